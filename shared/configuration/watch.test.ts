import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Watch, watchConfiguration } from './watch.ts';

let folder: string;
let file: string;
let watch: Watch | undefined;
const texts: string[] = [];
const errors: Error[] = [];

function start(onChange: (text: string) => Promise<void> | void = (text) => void texts.push(text)): void {
  watch = watchConfiguration({
    file,
    text: 'first',
    onChange,
    onError: (error) => errors.push(error),
    intervalMs: 10,
  });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-watch-'));
  file = join(folder, 'signalbox.yaml');
  writeFileSync(file, 'first');
  texts.length = 0;
  errors.length = 0;
});

afterEach(async () => {
  await watch?.close();
  rmSync(folder, { recursive: true });
});

const newestText = (expected: string) => vi.waitFor(() => expect(texts.at(-1)).toBe(expected));

test('a file written in place is read again, each text once', async () => {
  start();
  writeFileSync(file, 'second');
  await newestText('second');
  writeFileSync(file, 'second');
  writeFileSync(file, 'third');
  await newestText('third');
  expect(texts).toEqual(['second', 'third']);
});

test('a file that another is renamed over is read again', async () => {
  start();
  for (const text of ['second', 'third']) {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
    await newestText(text);
  }
});

test('a file behind links, as Kubernetes mounts it, is read again when a link is swapped', async () => {
  const publish = (name: string, text: string) => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'signalbox.yaml'), text);
    symlinkSync(name, join(folder, '..data.new'));
    renameSync(join(folder, '..data.new'), join(folder, '..data'));
  };
  rmSync(file);
  publish('..1', 'first');
  symlinkSync('..data/signalbox.yaml', file);
  start();
  publish('..2', 'second');
  await newestText('second');
});

test('a file that is away is reported once, and read when it is back', async () => {
  start();
  rmSync(file);
  await vi.waitFor(() => expect(errors).toHaveLength(1));
  writeFileSync(file, 'back');
  await newestText('back');
  expect(errors).toHaveLength(1);
});

test('a text that could not be taken is offered again until it is', async () => {
  let failures = 3;
  start((text) => {
    if (failures-- > 0) throw new Error('the database is away');
    texts.push(text);
  });
  writeFileSync(file, 'second');
  await newestText('second');
  expect(errors.map(({ message }) => message)).toEqual(['the database is away']);
});

test('nothing is called after closing', async () => {
  start();
  await watch!.close();
  writeFileSync(file, 'second');
  await expect(watch!.close()).resolves.toBeUndefined();
  expect(texts).toEqual([]);
});
