import { expect, test } from 'vitest';
import { ObjectIndex } from './object-index.ts';

const limits = { objectsPerKeyMax: 3, objectsRememberedMax: 5, objectBytesMax: 100 };

function idsOf(index: ObjectIndex, keyId: string): unknown[] {
  return index.list(keyId, 'files').map(({ id }) => id);
}

test('each key has its own, the newest first', () => {
  const index = new ObjectIndex(limits);
  index.remember('a', 'files', 'one', { id: 'one', created_at: 1 });
  index.remember('a', 'files', 'two', { id: 'two', created_at: 3 });
  index.remember('a', 'files', 'three', { id: 'three', created_at: 2 });
  index.remember('a', 'batches', 'batch', { id: 'batch' });
  expect(idsOf(index, 'a')).toEqual(['two', 'three', 'one']);
  expect(idsOf(index, 'b')).toEqual([]);
  index.forget('a', 'files', 'three');
  expect(idsOf(index, 'a')).toEqual(['two', 'one']);
});

test('the last description counts', () => {
  const index = new ObjectIndex(limits);
  index.remember('a', 'files', 'one', { id: 'one', status: 'new' });
  index.remember('a', 'files', 'one', { id: 'one', status: 'old' });
  expect(index.list('a', 'files')).toEqual([{ id: 'one', status: 'old' }]);
});

test('what is too much is forgotten, first of the key itself, then of whoever has been away longest', () => {
  const index = new ObjectIndex(limits);
  for (const id of ['1', '2', '3', '4']) index.remember('a', 'files', id, { id });
  expect(idsOf(index, 'a')).toEqual(['4', '3', '2']);
  for (const id of ['5', '6', '7']) index.remember('b', 'files', id, { id });
  expect([idsOf(index, 'a'), idsOf(index, 'b')]).toEqual([
    ['4', '3'],
    ['7', '6', '5'],
  ]);
  index.remember('c', 'files', 'large', { id: 'x'.repeat(200) });
  expect(idsOf(index, 'c')).toEqual([]);
});
