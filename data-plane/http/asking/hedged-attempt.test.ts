// The race over real attempts, with providers whose every word comes when the test says so: at random, and several within one tick.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { ask, goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import type { UpstreamCall, UpstreamClient, UpstreamHandler } from '../../upstream/client.ts';

/** One call, which says nothing by itself. */
class ScriptedCall implements UpstreamCall {
  readonly requestSent = true;
  isAborted = false;
  #isOver = false;
  readonly #handler: UpstreamHandler;

  constructor(handler: UpstreamHandler) {
    this.#handler = handler;
  }

  get isOver(): boolean {
    return this.isAborted || this.#isOver;
  }

  head(status = 200): void {
    if (!this.isOver) this.#handler.onHead(status, { 'content-type': 'text/event-stream' });
  }

  say(chunk: object | string): void {
    const text = typeof chunk === 'string' ? chunk : JSON.stringify(chunk);
    if (!this.isOver) this.#handler.onData(Buffer.from(`data: ${text}\n\n`));
  }

  end(): void {
    if (this.isOver) return;
    this.#isOver = true;
    this.#handler.onEnd();
  }

  break(): void {
    if (this.isOver) return;
    this.#isOver = true;
    this.#handler.onError(new SignalboxError('upstream_truncated', 'It broke off.'));
  }

  abort(): void {
    this.isAborted = true;
  }

  pause(): void {}

  resume(): void {}
}

const at = (name: string) => providerOf(name, { baseUrl: `http://${name}.test/v1` });
const snapshot = snapshotOf({
  deployments: [deploymentOf('a', at('one')), deploymentOf('b', at('two'))],
  routes: [
    {
      ...routeOf('smart', ['a', 'b']),
      hedge: { delayMs: 1, requestShareMax: 1000, spendShareMax: 1 },
      concurrencyMax: 2,
    },
  ],
  keys: { [goodKey]: principalOf('key_good') },
});

let gateway: TestGateway;
let calls: ScriptedCall[];

beforeEach(async () => {
  calls = [];
  const upstream: UpstreamClient = {
    dispatch: (_, handler) => {
      const call = new ScriptedCall(handler);
      calls.push(call);
      return call;
    },
    upgrade: () => Promise.reject(new SignalboxError('upstream_unreachable', 'There are none.')),
    reach: () => Promise.resolve(),
    close: () => {},
  };
  gateway = await startGateway({ upstream });
  gateway.snapshot = snapshot;
});

afterEach(async () => {
  await gateway.stop();
});

const words = (id: string, content: string) => ({ id, choices: [{ index: 0, delta: { content } }] });
const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
const last = (id: string) => ({ id, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage });

/** Both attempts are out. */
async function both(): Promise<readonly [ScriptedCall, ScriptedCall]> {
  await expect.poll(() => calls, { interval: 2 }).toHaveLength(2);
  return [calls[0]!, calls[1]!];
}

const request = (signal?: AbortSignal) =>
  ask(gateway.url, { model: 'smart', stream: true, ...(signal && { signal }) });

describe('within one tick', () => {
  test('the one that speaks first is the answer, and what the other had said it used is on the ledger', async () => {
    const answer = request();
    const [first, second] = await both();
    for (const call of [second, first]) call.head();
    second.say(words('from-two', 'Hello'));
    first.say(words('from-one', 'Hi'));
    first.say(last('from-one'));
    second.say(last('from-two'));
    second.say('[DONE]');
    second.end();
    first.say('[DONE]');
    first.end();
    const text = await (await answer).text();
    expect([text.includes('from-two'), text.includes('from-one')]).toEqual([true, false]);
    expect(gateway.ledger.story).toEqual(['cancelled hedge_lost', 'completed']);
    const [lost] = gateway.ledger.entries;
    expect(lost!.settlements[0]!.usage).toMatchObject({ input: 7, output: 2 });
  });

  test('an attempt that ends in nonsense as it loses takes nothing from the winner', async () => {
    const answer = request();
    const [first, second] = await both();
    for (const call of [first, second]) call.head();
    first.say(words('from-one', 'Hi'));
    second.say('{"id": ');
    first.say(last('from-one'));
    first.say('[DONE]');
    first.end();
    expect(await (await answer).text()).toContain('[DONE]');
    expect(gateway.ledger.story).toEqual(['completed', 'cancelled hedge_lost']);
  });

  test('both failing is both failures, each once', async () => {
    const answer = request();
    const [first, second] = await both();
    second.break();
    first.break();
    expect((await answer).status).toBe(502);
    expect(gateway.ledger.story).toEqual(['failed upstream_truncated', 'failed upstream_truncated']);
  });
});

describe('a role is no answer', () => {
  const role = (id: string) => ({ id, choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] });

  test('so the one that has words first is taken, whole', async () => {
    const answer = request();
    const [first, second] = await both();
    for (const call of [first, second]) call.head();
    first.say(role('from-one'));
    second.say(role('from-two'));
    second.say(words('from-two', 'Hello'));
    second.say(last('from-two'));
    second.say('[DONE]');
    second.end();
    const text = await (await answer).text();
    expect(text).not.toContain('from-one');
    expect(text.indexOf('"role":"assistant"')).toBeLessThan(text.indexOf('Hello'));
    expect(gateway.ledger.story).toEqual(['cancelled hedge_lost', 'completed']);
    const [lost, won] = gateway.ledger.entries.map(({ settlements }) => settlements[0]!.firstByteMs);
    expect([lost, won! > 0]).toEqual([0, true]);
  });

  test('and one that breaks off behind it has said nothing: the other still may', async () => {
    const answer = request();
    const [first, second] = await both();
    first.head();
    first.say(role('from-one'));
    first.break();
    second.head();
    second.say(words('from-two', 'Hello'));
    second.say(last('from-two'));
    second.say('[DONE]');
    second.end();
    const response = await answer;
    expect(response.status).toBe(200);
    expect(await response.text()).not.toContain('from-one');
    expect(gateway.ledger.story).toEqual(['failed upstream_truncated', 'completed']);
  });

  test('but an answer that is empty is one', async () => {
    const answer = request();
    const [first] = await both();
    first.head();
    first.say(role('from-one'));
    first.say(last('from-one'));
    first.say('[DONE]');
    first.end();
    expect(await (await answer).text()).toContain('[DONE]');
    expect(gateway.ledger.story[0]).toBe('completed');
  });
});

type Deed = 'head' | 'say' | 'finish' | 'break' | 'refuse' | 'pause' | 'leave';
const anyDeeds = fc.array(
  fc.record({
    lane: fc.constantFrom<0 | 1>(0, 1),
    deed: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom<Deed>('head', 'say', 'finish', 'pause') },
      { weight: 2, arbitrary: fc.constantFrom<Deed>('break', 'refuse', 'leave') },
    ),
  }),
  { minLength: 3, maxLength: 14 },
);

/** What a provider may do next, whatever it has done. */
class Player {
  readonly #call: ScriptedCall;
  readonly #id: string;
  #hasHead = false;

  constructor(call: ScriptedCall, id: string) {
    this.#call = call;
    this.#id = id;
  }

  do(deed: Deed): void {
    if (deed === 'break') this.#call.break();
    else if (deed === 'refuse') this.#refuse();
    else if (deed !== 'pause') {
      if (!this.#hasHead) this.#call.head();
      this.#hasHead = true;
      if (deed !== 'head') this.#call.say(words(this.#id, 'word'));
      if (deed === 'finish') this.#finish();
    }
  }

  #refuse(): void {
    if (this.#hasHead) return;
    this.#call.head(503);
    this.#call.end();
  }

  #finish(): void {
    this.#call.say(last(this.#id));
    this.#call.say('[DONE]');
    this.#call.end();
  }
}

test('whatever comes in whatever order: one answer from one of them, each settled once, and nothing is held', async () => {
  await fc.assert(
    fc.asyncProperty(anyDeeds, async (deeds) => {
      calls = [];
      // Who has failed before is not thought ill of.
      gateway.snapshot = snapshot;
      const before = gateway.ledger.entries.length;
      const leaving = new AbortController();
      const body = request(leaving.signal).then((response) => response.text());
      const answered = body.catch(() => 'left');
      const pair = await both();
      const players = [new Player(pair[0], 'from-one'), new Player(pair[1], 'from-two')];
      for (const { lane, deed } of deeds) {
        if (deed === 'pause') await new Promise(setImmediate);
        else if (deed === 'leave') leaving.abort();
        else players[lane]!.do(deed);
      }
      for (const player of players) player.do('finish');
      const text = await answered;
      await expect.poll(() => gateway.gateway.inFlight, { interval: 2 }).toBe(0);
      expect(text.includes('from-one') && text.includes('from-two')).toBe(false);
      const entries = gateway.ledger.entries.slice(before);
      expect(entries.map(({ settlements }) => settlements.length)).toEqual([1, 1]);
      const outcomes = entries.map(({ settlements }) => settlements[0]!.outcome);
      expect(outcomes.filter((outcome) => outcome === 'completed').length).toBeLessThanOrEqual(1);
      expect(pair.every((call) => call.isOver)).toBe(true);
    }),
    { numRuns: 50 },
  );
  // Two places are enough for any number of requests, one after the other.
  calls = [];
  const answer = request();
  const [first] = await both();
  first.head();
  first.say(last('from-one'));
  first.say('[DONE]');
  first.end();
  expect((await answer).status).toBe(200);
});
