// How copies end when nobody waits for them: bounded in number and in time, ended with the instance, and by nobody's leaving.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { ask, errorOf } from '#test/harness/gateway.ts';
import { MirrorStage } from '#test/harness/mirror-stage.ts';
import { demoProvider } from '../../providers/demo.ts';
import type { Capacity } from '../../snapshot/snapshot.ts';

let stage: MirrorStage;

beforeAll(async () => {
  stage = await MirrorStage.open();
});

beforeEach(() => stage.reset());

afterAll(() => stage.close());

const answered = async () => {
  const response = await ask(stage.gateway.url, { model: 'smart' });
  expect([response.status, response.headers.get('x-signalbox-attempts')]).toEqual([200, '1']);
  await response.text();
};

const hanging = (count: number) => expect.poll(() => stage.provider.load().inFlight).toBe(count);

function limitRoute(capacity: Capacity): void {
  const { snapshot } = stage.gateway;
  const [route] = snapshot!.routes.values();
  stage.gateway.snapshot = { ...snapshot!, routes: new Map([['smart', { ...route!, ...capacity }]]) };
}

describe('a copy is dropped', () => {
  test('where as many as may be are under way', async () => {
    await stage.reset({ limits: { mirrorsAtOnceMax: 2 } });
    stage.offer({ shadow: 'never-head' });
    for (let count = 0; count < 4; count += 1) await answered();
    await expect.poll(() => stage.counted('dropped')).toBe(2);
    expect(stage.copies).toHaveLength(2);
    await stage.gateway.gateway.close();
    expect(await stage.counted('cancelled')).toBe(2);
  });

  test('where its target is full, and it waits in no line', async () => {
    const capacity = { concurrencyMax: 1, waitingMax: 10, waitMsMax: 60_000 };
    stage.offer({ shadow: 'never-head', target: capacity });
    await answered();
    await hanging(1);
    await answered();
    await expect.poll(() => stage.counted('dropped')).toBe(1);
    expect(stage.copies).toHaveLength(1);
  });

  test('where its target is shut off', async () => {
    stage.offer({ shadow: 'error-500' });
    for (let count = 0; count < limits.breakerFailuresInARowMax; count += 1) await answered();
    await expect.poll(() => stage.counted('failed')).toBe(limits.breakerFailuresInARowMax);
    await answered();
    await expect.poll(() => stage.counted('dropped')).toBe(1);
  });

  test('where its attempt cannot be written down, and nobody asks', async () => {
    stage.offer();
    const { ledger } = stage.gateway;
    const open = ledger.open.bind(ledger);
    ledger.open = (intent) => {
      if (intent.shadow) throw new Error('The disk is full.');
      return open(intent);
    };
    await answered();
    await expect.poll(() => stage.counted('failed')).toBe(1);
    expect(stage.provider.bill()).toHaveLength(1);
  });
});

test('a place that a copy had is free when it is over', async () => {
  const capacity = { concurrencyMax: 1, waitingMax: 0, waitMsMax: 0 };
  await stage.reset({ limits: { mirrorsAtOnceMax: 1 } });
  stage.offer({ shadow: 'error-400', target: capacity });
  for (let count = 1; count <= 3; count += 1) {
    await answered();
    await expect.poll(() => stage.counted('failed')).toBe(count);
  }
});

test('the places of its route are left to requests', async () => {
  stage.offer({ shadow: 'never-head' });
  limitRoute({ concurrencyMax: 1, waitingMax: 0, waitMsMax: 0 });
  await answered();
  await hanging(1);
  await answered();
  await hanging(2);
});

test.each([false, true])('a copy without an end is ended by its own time (stream: %s)', async (stream) => {
  await stage.reset({ limits: { mirrorMsMax: 50 } });
  stage.offer({ shadow: 'stall-after-1' });
  await (await ask(stage.gateway.url, { model: 'smart', stream })).text();
  await expect.poll(() => stage.story).toEqual(['completed', 'cancelled deadline_exceeded']);
  await hanging(0);
});

test('the time of a client says nothing about the copy, and its end is no failure of the target', async () => {
  stage.offer({ big: 'never-head', shadow: 'slow-head-100ms' });
  const response = await ask(stage.gateway.url, {
    model: 'smart',
    more: { 'x-gateway': { timeout: 50 } },
  });
  expect((await errorOf(response)).code).toBe('deadline_exceeded');
  await expect.poll(() => stage.story).toEqual(['failed deadline_exceeded', 'completed']);
});

test('a client that leaves does not end the copy', async () => {
  stage.offer({ big: 'never-head', shadow: 'chunks-3.pause-20ms' });
  const leaving = new AbortController();
  const asked = ask(stage.gateway.url, { model: 'smart', stream: true, signal: leaving.signal });
  await expect.poll(() => stage.story).toHaveLength(2);
  leaving.abort();
  await expect(asked).rejects.toThrow();
  await expect.poll(() => stage.story).toEqual(['cancelled client_closed', 'completed']);
});

describe('an instance that stops', () => {
  test('ends copies at once, settles them, and does not wait for them', async () => {
    stage.offer({ shadow: 'stall-after-1' });
    const stream = await ask(stage.gateway.url, { model: 'smart', stream: true });
    await stream.text();
    await hanging(1);
    await stage.gateway.gateway.close({ drainMs: 60_000 });
    expect(stage.story).toEqual(['completed', 'cancelled draining']);
    expect(await stage.counted('cancelled')).toBe(1);
    await hanging(0);
  });

  test('makes none of the requests that it still answers', async () => {
    stage.offer({ big: 'slow-head-300ms' });
    limitRoute({ concurrencyMax: 1, waitingMax: 1, waitMsMax: 60_000 });
    const both = [answered(), answered()];
    await expect.poll(() => [stage.gateway.gateway.inFlight, stage.copies.length]).toEqual([2, 1]);
    await stage.gateway.gateway.close();
    await Promise.all(both);
    await expect.poll(() => stage.counted('dropped')).toBe(1);
    expect(stage.copies).toHaveLength(1);
  });

  test('ends those that are answered in it as well', async () => {
    stage.offer({ at: { kind: demoProvider }, target: { upstreamModel: 'demo-slow' } });
    await (await ask(stage.gateway.url, { model: 'smart', stream: true })).text();
    await expect.poll(() => stage.copies.length).toBe(1);
    await stage.gateway.gateway.close();
    await expect.poll(() => stage.story).toEqual(['completed', 'cancelled draining']);
  });
});
