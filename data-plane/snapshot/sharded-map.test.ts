import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ShardedMap } from './sharded-map.ts';

const change = fc.record({
  key: fc.string({ maxLength: 3 }),
  value: fc.option(fc.integer(), { nil: undefined }),
});

test('any series of edits gives what a Map gives, and leaves every earlier map as it was', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 20 }), { maxLength: 8 }), (edits) => {
      const expected = new Map<string, number>();
      let map = ShardedMap.empty<number>();
      const history: { map: ShardedMap<number>; expected: Map<string, number> }[] = [];
      for (const changes of edits) {
        history.push({ map, expected: new Map(expected) });
        const edit = map.edit();
        for (const { key, value } of changes) {
          if (value === undefined) {
            expect(edit.delete(key)).toBe(expected.delete(key));
          } else {
            edit.set(key, value);
            expected.set(key, value);
          }
          expect(edit.get(key)).toBe(value);
        }
        map = edit.finish();
      }
      for (const one of [...history, { map, expected }]) {
        expect(one.map.size).toBe(one.expected.size);
        expect(new Map(one.map.entries())).toEqual(one.expected);
      }
    }),
  );
});

test('names that differ only at the end are spread over many shards', () => {
  const edit = ShardedMap.empty<number>().edit();
  for (let index = 0; index < 10_000; index++) edit.set(`key_${index.toString(16).padStart(24, '0')}`, index);
  const map = edit.finish();
  const startedMs = performance.now();
  for (let round = 0; round < 200; round++) {
    const next = map.edit();
    next.set('key_another', round);
    expect(next.finish().size).toBe(10_001);
  }
  const spreadMs = performance.now() - startedMs;
  const copiedMs = performance.now();
  const plain = new Map(map.entries());
  for (let round = 0; round < 200; round++)
    expect(new Map(plain).set('key_another', round).size).toBe(10_001);
  expect(spreadMs).toBeLessThan(performance.now() - copiedMs);
});
