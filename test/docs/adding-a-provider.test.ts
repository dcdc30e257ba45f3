// The lines that docs/adding-a-provider.md quotes are those of the project: each indented block stands, line by line, in the file
// that was named last.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');
const INDENT = '    ';

interface Quotation {
  readonly path: string;
  readonly lines: readonly string[];
}

const quotations = quotationsIn(read('docs/adding-a-provider.md'));

test('there are quotations', () => {
  expect(quotations.length).toBeGreaterThan(3);
});

test.each(quotations)('of $path, as it is', ({ path, lines }) => {
  const source = read(path)
    .split('\n')
    .map((line) => line.trim());
  const quoted = lines.map((line) => line.trim());
  const at = source.findIndex((_, start) => quoted.every((line, offset) => source[start + offset] === line));
  expect(at, `${path} has no such lines:\n${lines.join('\n')}`).toBeGreaterThanOrEqual(0);
});

function quotationsIn(document: string): Quotation[] {
  const found: { path: string; lines: string[] }[] = [];
  let path = '';
  let isFenced = false;
  let isQuoting = false;
  for (const line of document.split('\n')) {
    if (line.startsWith('```')) isFenced = !isFenced;
    const isQuoted: boolean = !isFenced && (line.startsWith(INDENT) || (isQuoting && line === ''));
    if (!isQuoted) path = [...line.matchAll(/`((?:shared|data-plane)\/[\w./-]+\.ts)`/g)].at(-1)?.[1] ?? path;
    else if (isQuoting) found.at(-1)!.lines.push(line);
    else found.push({ path, lines: [line] });
    isQuoting = isQuoted;
  }
  // The empty line behind a quotation is none of it.
  return found.map(({ path: file, lines }) => ({
    path: file,
    lines: lines.join('\n').trimEnd().split('\n'),
  }));
}
