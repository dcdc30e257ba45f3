import { expect, test } from 'vitest';
import { splice } from './splice.ts';

const body = Buffer.from('0123456789');

function spliced(...replacements: Parameters<typeof splice>[1]): string {
  return Buffer.concat(splice(body, replacements)).toString();
}

test('pieces are replaced, inserted and taken out, in whatever order they are given', () => {
  expect(
    spliced({ start: 7, end: 9, text: 'x' }, { start: 0, end: 0, text: '<' }, { start: 2, end: 4, text: '' }),
  ).toBe('<01456x9');
  expect(spliced({ start: 0, end: 10, text: 'all' })).toBe('all');
  expect(spliced()).toBe('0123456789');
});

test('what stays is not copied', () => {
  const parts = splice(body, [{ start: 5, end: 5, text: 'x' }]);
  expect(parts[0]!.buffer).toBe(body.buffer);
  expect(parts[2]!.buffer).toBe(body.buffer);
});
