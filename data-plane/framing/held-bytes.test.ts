import { expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { HeldBytes } from './held-bytes.ts';

test('what is held comes out in order and once', () => {
  const held = new HeldBytes();
  for (let byte = 0; byte < 5000; byte += 1) held.append(Uint8Array.of(byte % 251));
  expect(held.length).toBe(5000);
  expect([...held.take()]).toEqual(Array.from({ length: 5000 }, (_, byte) => byte % 251));
  expect(held.length).toBe(0);
});

test('what was taken is not touched by what is held next', () => {
  const held = new HeldBytes();
  held.append(Buffer.from('first'));
  const taken = held.take();
  held.append(Buffer.from('other'));
  expect(taken.toString()).toBe('first');
});

test('more than the limit is refused', () => {
  const held = new HeldBytes();
  expect(() => held.append(new Uint8Array(limits.streamEventBytesMax + 1))).toThrow(
    expect.objectContaining({ code: 'upstream_invalid' }),
  );
});
