import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Slots, StreamGate } from './admission.ts';

describe('slots', () => {
  test('are given in order, never more than there are, and all come back', () => {
    const slots = new Slots(2);
    const granted: number[] = [];
    const releases: (() => void)[] = [];
    for (const number of [1, 2, 3, 4]) {
      slots.acquire((release) => {
        granted.push(number);
        releases.push(release);
      });
    }
    expect(granted).toEqual([1, 2]);
    expect(slots.waiting).toBe(2);
    releases[1]!();
    releases[1]!(); // a second time must not let in another one
    expect(granted).toEqual([1, 2, 3]);
    releases[0]!();
    expect(granted).toEqual([1, 2, 3, 4]);
    expect(slots.waiting).toBe(0);
  });
});

describe('the gate for new streams', () => {
  test('lets a second’s worth in at once and spaces out the rest', () => {
    const gate = new StreamGate({ perSecond: 10 });
    const waits = Array.from({ length: 13 }, (_, index) => gate.ask(`node-${index}`, 0)).map((admission) =>
      admission.admitted ? 0 : admission.retryAfterMs,
    );
    expect(waits).toEqual([...Array(10).fill(0), 100, 200, 300]);
  });

  test('keeps its word, and lets in no more a second than it should, however the nodes come', () => {
    const arrivals = fc.array(fc.nat({ max: 3_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 20 }), (firstTries, perSecond) => {
        const gate = new StreamGate({ perSecond });
        const tries = firstTries.map((atMs, index) => ({ nodeId: `node-${index}`, atMs, told: false }));
        const admitted: number[] = [];
        while (tries.length > 0) {
          tries.sort((left, right) => left.atMs - right.atMs);
          const { nodeId, atMs, told } = tries.shift()!;
          const admission = gate.ask(nodeId, atMs);
          if (admission.admitted) admitted.push(atMs);
          else {
            expect(told).toBe(false); // who waited as told is not sent away again
            tries.push({ nodeId, atMs: atMs + admission.retryAfterMs, told: true });
          }
        }
        expect(admitted).toHaveLength(firstTries.length);
        for (const startMs of admitted) {
          const within = admitted.filter((atMs) => atMs >= startMs && atMs < startMs + 1_000);
          // The burst, a second's refill, and those few that rounding up to whole milliseconds brings together.
          expect(within.length).toBeLessThanOrEqual(2 * perSecond + 2);
        }
      }),
    );
  });

  test('a node that comes back too early is told the time that is left', () => {
    const gate = new StreamGate({ perSecond: 1 });
    gate.ask('first', 0);
    expect(gate.ask('second', 0)).toEqual({ admitted: false, retryAfterMs: 1_000 });
    expect(gate.ask('second', 400)).toEqual({ admitted: false, retryAfterMs: 600 });
    expect(gate.ask('second', 1_000)).toEqual({ admitted: true });
  });
});
