// What applications notice when a provider dies, freezes or talks nonsense while another is well: nothing. And when all of them are
// down: one honest error, soon, and everything again as soon as one is back.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/cluster.ts';
import { attemptTimeoutMs, FailoverStage, type Member } from './failover-stage.ts';

let stage: FailoverStage;
let first: Member;
let route: string;

beforeAll(async () => {
  stage = await FailoverStage.start();
  first = stage.members[0]!;
});

beforeEach(async () => {
  route = await stage.route();
});

afterAll(() => stage?.stop());

function everyone<Result>(act: (member: Member) => Promise<Result>): Promise<Result[]> {
  return Promise.all(stage.members.map(act));
}

/** So many at once, half of them streams; each with the time it took. */
function askAtOnce(count: number) {
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const startedAt = performance.now();
      const answer = await stage.ask(route, index % 2 === 0);
      return { ...answer, tookMs: performance.now() - startedAt };
    }),
  );
}

/** The time in which half of them were answered. */
function usualMs(answers: readonly { readonly tookMs: number }[]): number {
  const times = answers.map(({ tookMs }) => tookMs).toSorted((one, other) => one - other);
  return times[Math.floor(times.length / 2)]!;
}

function failed(answers: readonly { status: number; whole: boolean }[]) {
  return answers.filter(({ status, whole }) => status !== 200 || !whole);
}

describe('while another is well, nobody notices a provider that', () => {
  test('is killed', async () => {
    await stage.kill(first);
    expect(failed(await askAtOnce(10))).toEqual([]);
    expect(failed(await askAtOnce(40))).toEqual([]);
  });

  test('is frozen', async () => {
    first.provider!.process.freeze();
    expect(failed(await askAtOnce(10))).toEqual([]);
    // By now it is known to be ill, and nobody waits for it.
    const later = await askAtOnce(40);
    expect(failed(later)).toEqual([]);
    expect(usualMs(later)).toBeLessThan(attemptTimeoutMs / 2);
  });

  test.each([
    ['refuses', 'error-500'],
    ['is overloaded', 'error-503'],
    ['closes in the middle of a head', 'cut-at-byte-20'],
    ['resets before the first chunk', 'cut-at-byte-20.rst'],
    ['says nothing at all', 'never-head'],
    ['answers with a page', 'wrong-content-type'],
    ['answers with garbage', 'garbage'],
  ])('%s', async (_what, script) => {
    await first.provider!.setBehaviour(script);
    const asked = (await first.provider!.requests()).length;
    expect(failed(await askAtOnce(8))).toEqual([]);
    expect((await first.provider!.requests()).length).toBeGreaterThan(asked);
  });
});

describe.each([1, 2, 4])('a stream that is cut after %i chunks', (chunks) => {
  const script = `pause-20ms.cut-after-${chunks}`;

  test('ends with an error that says so', async () => {
    await first.provider!.setBehaviour(script);
    const { whole, detail } = await stage.ask(route, true);
    expect([whole, detail.includes('upstream_truncated')]).toEqual([false, true]);
  });

  test('is gone on with, where the route says so', async () => {
    route = await stage.route({ stream_recovery: 'continue' });
    await first.provider!.setBehaviour(script);
    expect(failed(await askAtOnce(8))).toEqual([]);
  });
});

describe('when all are down', () => {
  test('one honest error says so at once, and the first that is back answers', async () => {
    await everyone((member) => stage.kill(member));
    const answers = await askAtOnce(20);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]));
    expect(usualMs(answers)).toBeLessThan(attemptTimeoutMs);
    await stage.revive(stage.members[2]!);
    await waitFor('an answer', async () => (await stage.ask(route)).status === 200);
  });

  test('and do not even refuse, the error comes in a fraction of the time they are given', async () => {
    await everyone(async ({ provider }) => provider!.process.freeze());
    await askAtOnce(20);
    await askAtOnce(20);
    const answers = await askAtOnce(20);
    expect(answers.every(({ status }) => status >= 500)).toBe(true);
    expect(usualMs(answers)).toBeLessThan(attemptTimeoutMs);
    await everyone(async ({ provider }) => provider!.process.thaw());
    await waitFor('an answer', async () => (await stage.ask(route)).status === 200);
  });
});

test('a storm of time-outs leaves everything free behind', async () => {
  await everyone(async ({ provider }) => provider!.setBehaviour('never-head'));
  const storm = await askAtOnce(100);
  expect(storm.every(({ status }) => status >= 500)).toBe(true);
  await waitFor('nothing to be left running', async () => {
    const loads = await everyone(async ({ provider }) => provider!.load());
    return loads.every(({ inFlight }) => inFlight === 0);
  });
  await everyone(async ({ provider }) => provider!.setBehaviour('ok'));
  await waitFor('an answer', async () => (await stage.ask(route)).status === 200);
  expect(failed(await askAtOnce(100))).toEqual([]);
});
