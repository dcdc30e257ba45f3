import { expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { fromBase64 } from '../services/embeddings/base64.ts';
import { demoEmbeddings } from './demo-embeddings.ts';

function embed(input: unknown, more: object = {}): readonly number[][] {
  const body = Buffer.from(JSON.stringify({ model: 'demo', input, ...more }));
  const answer = JSON.parse(demoEmbeddings(body, () => undefined).toString());
  return answer.data.map((item: { embedding: number[] }) => item.embedding);
}

function similarity(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * other[index]!, 0);
}

test('the same text has the same vector, of length 1', () => {
  const [one, again] = embed(['The red fox', 'the RED fox!']);
  expect(one).toEqual(again);
  expect(similarity(one!, one!)).toBeCloseTo(1, 5);
});

test('texts that share words lie closer together than texts that do not', () => {
  const [fox, foxes, ship] = embed(['a red fox runs', 'the red fox sleeps', 'ships sail at dawn']);
  expect(similarity(fox!, foxes!)).toBeGreaterThan(0.3);
  expect(similarity(fox!, ship!)).toBeLessThan(0.25);
});

test('a vector is as long as it is asked to be, and in the coding that is asked for', () => {
  expect(embed('')[0]).toHaveLength(256);
  expect(embed('x', { dimensions: 8 })[0]).toHaveLength(8);
  const [coded] = embed('x', { encoding_format: 'base64' }) as unknown as string[];
  expect(fromBase64(coded!)).toEqual(embed('x')[0]);
});

test.each([
  [{ input: 3 }, 'input'],
  [{ input: [] }, 'input'],
  [{ input: Array.from({ length: 129 }, () => 'x') }, 'input'],
  [{ input: 'x '.repeat(40_000) }, 'input'],
  [{ input: 'x', dimensions: 0 }, 'dimensions'],
  [{ input: 'x', dimensions: 4096 }, 'dimensions'],
  [{ input: 'x', encoding_format: 'hex' }, 'encoding_format'],
])('%.40j is refused', (body, param) => {
  const ask = () => demoEmbeddings(Buffer.from(JSON.stringify(body)), () => undefined);
  expect(ask).toThrow(expect.objectContaining({ code: 'invalid_request', param }) as SignalboxError);
});
