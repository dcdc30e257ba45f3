import { expect, test } from 'vitest';
import { type ProcessOptions, startProcess } from './process.ts';

const node = (script: string, more: Partial<ProcessOptions> = {}) =>
  startProcess({ name: 'child', command: process.execPath, args: ['-e', script], ...more });
const counting = `let n = 0; setInterval(() => console.log('count', ++n), 5)`;

test('a child says what is waited for, and is killed', async () => {
  const child = node(counting);
  await child.waitForOutput(/count 3/);
  expect(child.running()).toBe(true);
  expect(await child.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  expect(child.running()).toBe(false);
});

test('waiting for a child that exits fails with its output', async () => {
  const child = node(`console.error('out of luck'); process.exit(3)`);
  await expect(child.waitForOutput(/ready/)).rejects.toThrow(/"code":3.*out of luck/s);
});

test('waiting for what is never said fails in time', async () => {
  const child = node(counting);
  await expect(child.waitForOutput(/ready/, { withinMs: 50 })).rejects.toThrow(/within 50 ms/);
  await child.kill();
});

test('a frozen child is still until it thaws', async () => {
  const child = node(counting);
  await child.waitForOutput(/count 1/);
  child.freeze();
  let before = '';
  await expect
    .poll(
      () => {
        const same = before === child.output();
        before = child.output();
        return same;
      },
      { interval: 100 },
    )
    .toBe(true);
  child.thaw();
  await expect.poll(() => child.output().length).toBeGreaterThan(before.length);
  await child.kill();
});

test('a child that ignores the request to stop is killed', async () => {
  const child = node(`process.on('SIGTERM', () => {}); ${counting}`);
  await child.waitForOutput(/count/);
  await child.stop({ withinMs: 100 });
  expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('the environment is that of the test, with changes', async () => {
  const child = node("const { ADDED, PATH } = process.env; console.log('[' + ADDED + '] [' + PATH + ']')", {
    environment: { ADDED: 'yes', PATH: undefined },
  });
  await child.waitForOutput(/\[yes\] \[undefined\]/);
  await child.exited;
});

test('a program that does not exist is reported', async () => {
  const child = startProcess({ name: 'child', command: '/nowhere/at/all' });
  await expect(child.waitForOutput(/ready/)).rejects.toThrow(/ENOENT/);
});
