import { describe, expect, test } from 'vitest';
import { seededRandom } from '#test/harness/vitals.ts';
import { Waiting } from './waiting.ts';

const HALF_LIFE_MS = 30_000;

/** Ten requests a second, each of which waits as long as `waitMs` says; returns the largest figure of the last second. */
function observe(waitMs: (index: number) => number, isStream = (_index: number) => true): number {
  const waiting = new Waiting(HALF_LIFE_MS);
  const answers: { readonly atMs: number; readonly index: number }[] = [];
  let largest = 0;
  for (let index = 0; index < 600; index += 1) {
    const nowMs = index * 100;
    for (const answer of answers.filter(({ atMs }) => atMs <= nowMs)) {
      waiting.answered(isStream(answer.index), waitMs(answer.index), answer.atMs);
      answers.splice(answers.indexOf(answer), 1);
    }
    if (index >= 590) largest = Math.max(largest, waiting.stalling(nowMs));
    waiting.began(isStream(index), nowMs);
    answers.push({ atMs: nowMs + waitMs(index), index });
  }
  return largest;
}

describe('how long they wait', () => {
  const random = seededRandom(11);
  const varied = Array.from({ length: 600 }, () => 200 + 800 * random() ** 3);

  test('is about as usual while answers come as they did, also where some take five times as long', () => {
    expect(observe(() => 450)).toBeLessThan(1.5);
    expect(observe((index) => varied[index]!)).toBeLessThan(2);
  });

  test('is as usual for streams beside bodies that take ten times as long', () => {
    const isStream = (index: number) => index % 2 === 0;
    expect(observe((index) => (isStream(index) ? 350 : 3500), isStream)).toBeLessThan(1.5);
  });

  test('rises within a few usual times when answers stop coming', () => {
    const silence = (index: number) => (index > 570 ? 1_000_000 : 450);
    expect(observe(silence)).toBeGreaterThan(3);
  });

  test('is not told while nothing is known', () => {
    const waiting = new Waiting(HALF_LIFE_MS);
    waiting.began(true, 0);
    expect(waiting.stalling(60_000)).toBe(1);
  });

  test('forgets those who gave up', () => {
    const waiting = new Waiting(HALF_LIFE_MS);
    for (let index = 0; index < 5; index += 1) {
      waiting.began(true, index);
      waiting.answered(true, 400, index + 400);
    }
    waiting.began(true, 1000);
    expect(waiting.stalling(6000)).toBeGreaterThan(2);
    waiting.gaveUp(true, 5000, 6000);
    expect(waiting.stalling(6000)).toBe(1);
  });
});
