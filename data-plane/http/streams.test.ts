import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ask, goodKey, plainSnapshot, startGateway } from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { deploymentOf, principalOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { fixedCredential } from '../providers/credential.ts';
import type { LocalAnswer, Provider } from '../providers/provider.ts';
import { noUsage } from '../turn/usage.ts';

const MEBIBYTE = 1024 * 1024;

const { provider, gateway } = gatewayPerTest(({ provider }) => ({ snapshot: plainSnapshot(provider) }));

const headers = { 'content-type': 'application/json', authorization: `Bearer ${goodKey}` };

function streamRequest(model: string): string {
  return rawRequest(
    'POST',
    '/v1/chat/completions',
    headers,
    JSON.stringify({ model, messages: [], stream: true }),
  );
}

/** The `data:` lines of a stream, in order. */
function dataOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice('data: '.length));
}

function errorCode(text: string): string | undefined {
  const last = dataOf(text).at(-1);
  return last === undefined || last === '[DONE]' ? undefined : (JSON.parse(last).error?.code as string);
}

describe('a stream', () => {
  test('is passed through with the headers that proxies need', async () => {
    const response = await ask(gateway.url, { stream: true });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.has('content-encoding')).toBe(false);
    const text = await response.text();
    expect(dataOf(text).at(-1)).toBe('[DONE]');
    expect(text).toContain('word5');
    expect(gateway.ledger.story).toEqual(['completed']);
  });

  test('is asked for with usage, which is shown only to those who asked', async () => {
    const silent = await (await ask(gateway.url, { stream: true })).text();
    const asked = await (
      await ask(gateway.url, { stream: true, more: { stream_options: { include_usage: true } } })
    ).text();
    expect(silent).not.toContain('prompt_tokens');
    expect(asked).toContain('prompt_tokens');
    for (const { settlements } of gateway.ledger.entries)
      expect(settlements[0]!.usage).toMatchObject({ output: 5 });
  });

  test.each([
    'one-byte-chunks',
    'crlf',
    'usage-on-finish',
    'usage-every-chunk',
    'no-done',
    'n-3',
    'tool-calls-2',
    'close-delimited',
    'close',
    'drop-after-answer',
    'no-usage',
    'lie-usage',
    'echo',
  ])('with %s arrives whole and settles once', async (script) => {
    const text = await (await ask(gateway.url, { model: `fake/ok.${script}`, stream: true })).text();
    expect(errorCode(text)).toBeUndefined();
    expect(text).toMatch(script === 'no-done' ? /"finish_reason":"stop"/ : /data: \[DONE\]/);
    expect(gateway.ledger.story).toEqual(['completed']);
  });

  test('reaches the client as it comes, not when it is finished', async () => {
    const client = await openRaw(gateway.port);
    client.send(streamRequest('fake/chunks-3.stall-after-1'));
    const text = await client.until((received) => received.includes('word1'));
    expect(text).toContain('word1');
    expect(gateway.ledger.story).toEqual(['open']);
    client.destroy();
    await vi.waitFor(() => expect(gateway.ledger.story).toEqual(['cancelled client_closed']));
  });

  test('of many megabytes is not held in memory for a client that does not read', async () => {
    const response = await ask(gateway.url, { model: 'fake/chunks-2000.big-100mb', stream: true });
    const sent = () => provider.requests()[0]!.bytesSent;
    // Waits until the provider is held up: nothing more leaves it from one look to the next.
    let before = -1;
    await vi.waitFor(
      () => {
        const now = sent();
        const still = now === before;
        before = now;
        expect(still).toBe(true);
      },
      { interval: 100, timeout: 10_000 },
    );
    expect(sent()).toBeLessThan(50 * MEBIBYTE);
    let received = 0;
    let last = Buffer.alloc(0);
    for await (const bytes of response.body!) {
      received += bytes.length;
      last = Buffer.concat([last, bytes]).subarray(-200);
    }
    expect(received).toBeGreaterThan(100 * MEBIBYTE);
    expect(last.toString()).toContain('data: [DONE]');
    expect(gateway.ledger.story).toEqual(['completed']);
  });

  test('that nobody takes is given up after a while', async () => {
    const impatient = await startGateway({
      snapshot: plainSnapshot(provider),
      limits: { clientStallMs: 200 },
    });
    const client = await openRaw(impatient.port);
    client.socket.pause();
    client.send(streamRequest('fake/chunks-2000.big-100mb'));
    await vi.waitFor(() => expect(impatient.ledger.story).toEqual(['cancelled client_closed']), 10_000);
    await vi.waitFor(() => expect(provider.bill()).toMatchObject([{ aborted: true }]));
    client.destroy();
    await impatient.stop();
  });
});

describe('a stream that breaks off', () => {
  test.each([
    ['cut-after-2', 'upstream_truncated'],
    ['cut-after-2.rst', 'upstream_truncated'],
    ['close-delimited.cut-after-2', 'upstream_truncated'],
  ])(
    'with %s ends with an error that the client’s SDK raises, and without an end mark',
    async (script, code) => {
      const text = await (await ask(gateway.url, { model: `fake/${script}`, stream: true })).text();
      expect(text).toContain('word2');
      expect(errorCode(text)).toBe(code);
      expect(text).not.toContain('[DONE]');
      expect(gateway.ledger.story).toEqual([`failed ${code}`]);
    },
  );

  test('at any byte is either retried elsewhere, ended with an error, or whole', async () => {
    const whole = await (await ask(gateway.url, { stream: true })).text();
    const total = provider.requests()[0]!.bytesSent;
    for (let offset = 0; offset <= total; offset += 23) {
      const response = await ask(gateway.url, { model: `fake/cut-at-byte-${offset}`, stream: true });
      const text = await response.text();
      if (response.status !== 200) {
        expect(JSON.parse(text).error.code).toMatch(/^upstream_(unreachable|truncated|invalid)$/);
        continue;
      }
      const finished = text.includes('"finish_reason":"stop"');
      expect(errorCode(text) === undefined).toBe(finished);
      for (const data of dataOf(text)) expect(() => data === '[DONE]' || JSON.parse(data)).not.toThrow();
    }
    expect(whole).toContain('[DONE]');
    expect(gateway.ledger.entries.every(({ settlements }) => settlements.length === 1)).toBe(true);
  });

  test('by going silent ends with a time-out', async () => {
    const strict = await startGateway({ snapshot: plainSnapshot(provider), limits: { upstreamIdleMs: 150 } });
    const text = await (await ask(strict.url, { model: 'fake/stall-after-2', stream: true })).text();
    expect(errorCode(text)).toBe('upstream_timeout');
    expect(strict.ledger.story).toEqual(['failed upstream_timeout']);
    await strict.stop();
  });

  test('for longer than its deployment may, too', async () => {
    const strict = deploymentOf('strict', providerOf('strict', { baseUrl: provider.baseUrl }), {
      upstreamModel: 'stall-after-2',
      idleTimeoutMs: 150,
    });
    gateway.snapshot = plainSnapshot(provider, { deployments: [strict] });
    const text = await (await ask(gateway.url, { model: 'strict', stream: true })).text();
    expect(errorCode(text)).toBe('upstream_timeout');
  });

  const garbage = 'garbage-after-10.chunks-20.big-1mb';
  test.each([garbage, `${garbage}.usage-every-chunk`, `${garbage}.stall-after-15`])(
    'into what cannot be read (%s) ends there with an error, and the provider is not listened to any longer',
    async (script) => {
      const text = await (await ask(gateway.url, { model: `fake/${script}`, stream: true })).text();
      expect(text).not.toContain('\u0007');
      expect(errorCode(text)).toBe('upstream_invalid');
      expect(dataOf(text).filter((data) => data.includes('"error"'))).toHaveLength(1);
      expect(text).not.toContain('[DONE]');
      // The opening, the sound chunks, the error.
      expect(dataOf(text)).toHaveLength(1 + 10 + 1);
      expect(gateway.ledger.story).toEqual(['failed upstream_invalid']);
      const [settlement] = gateway.ledger.entries[0]!.settlements;
      expect(settlement!.usage !== undefined).toBe(script.includes('usage'));
      await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(0));
    },
  );

  test('anywhere, where only the end of the connection ends an answer, leaves no half event', async () => {
    const model = 'fake/ok.close-delimited';
    await (await ask(gateway.url, { model, stream: true })).text();
    const total = provider.requests()[0]!.bytesSent;
    for (let offset = total - 40; offset < total; offset += 1) {
      const text = await (
        await ask(gateway.url, { model: `${model}.cut-at-byte-${offset}`, stream: true })
      ).text();
      for (const data of dataOf(text)) expect(() => data === '[DONE]' || JSON.parse(data)).not.toThrow();
      const isFinished = text.includes('"finish_reason":"stop"');
      expect(errorCode(text) === undefined).toBe(isFinished);
      expect(gateway.ledger.story.at(-1)).toBe(isFinished ? 'completed' : 'failed upstream_truncated');
    }
  });

  test('with an error of the provider’s own passes that on and is settled as failed', async () => {
    const text = await (
      await ask(gateway.url, { model: 'fake/error-in-stream.pause-10ms', stream: true })
    ).text();
    expect(dataOf(text).filter((data) => data.includes('"error"'))).toHaveLength(1);
    expect(gateway.ledger.story[0]).toMatch(/^failed upstream_/);
  });
});

describe('a client that leaves a stream', () => {
  test('stops the upstream, and what is known is settled as cancelled', async () => {
    const leaving = new AbortController();
    const response = await ask(gateway.url, {
      model: 'fake/chunks-1000.pause-5ms.usage-every-chunk',
      stream: true,
      signal: leaving.signal,
    });
    const reader = response.body!.getReader();
    await reader.read();
    leaving.abort();
    await reader.closed.catch(() => undefined);
    await vi.waitFor(() => expect(gateway.ledger.story).toEqual(['cancelled client_closed']));
    expect(gateway.ledger.entries[0]!.settlements[0]!.usage?.output).toBeGreaterThan(0);
    await vi.waitFor(() => expect(provider.bill()).toMatchObject([{ aborted: true, finished: false }]));
    expect(gateway.gateway.inFlight).toBe(0);
  });
});

describe('draining', () => {
  test('finishes streams, says so in readiness and takes no new connections', async () => {
    const client = await openRaw(gateway.port);
    client.send(streamRequest('fake/chunks-20.pause-20ms'));
    const idle = await openRaw(gateway.port);
    idle.send(rawRequest('GET', '/readyz'));
    await idle.until((received) => received.includes('"status":"ok"'));
    await client.until((received) => received.includes('word1'));
    const closing = gateway.gateway.close({ drainMs: 10_000 });
    expect(gateway.gateway.ready).toBe(false);
    await idle.end();
    await expect(openRaw(gateway.port)).rejects.toThrow(/ECONNREFUSED/);
    const text = await client.end();
    expect(text).toContain('word20');
    expect(text).toContain('data: [DONE]');
    expect(gateway.ledger.story).toEqual(['completed']);
    await closing;
  });

  test('answers what still arrives on an open connection and then closes it', async () => {
    const client = await openRaw(gateway.port);
    client.send(streamRequest('fake/chunks-5.pause-20ms') + rawRequest('GET', '/readyz'));
    await client.until((received) => received.includes('word1'));
    const closing = gateway.gateway.close({ drainMs: 10_000 });
    const text = await client.end();
    expect(text).toContain('data: [DONE]');
    expect(gateway.ledger.story).toEqual(['completed']);
    await closing;
  });

  test('that takes too long ends streams with an error instead of cutting them', async () => {
    const streaming = await openRaw(gateway.port);
    streaming.send(streamRequest('fake/chunks-10.stall-after-1'));
    const waiting = await openRaw(gateway.port);
    waiting.send(
      rawRequest(
        'POST',
        '/v1/chat/completions',
        headers,
        JSON.stringify({ model: 'fake/never-head', messages: [] }),
      ),
    );
    await streaming.until((received) => received.includes('word1'));
    await vi.waitFor(() => expect(gateway.ledger.entries).toHaveLength(2));
    await gateway.gateway.close({ drainMs: 50 });
    expect(await streaming.end()).toContain('"code":"draining"');
    const refused = await waiting.end();
    expect(refused).toMatch(/^HTTP\/1\.1 503 /);
    expect(refused).toContain('"code":"draining"');
    expect(gateway.ledger.story).toEqual(['failed draining', 'failed draining']);
    await vi.waitFor(() => expect(provider.load().inFlight).toBe(0));
  });
});

describe('an answer made here', () => {
  const speak: LocalAnswer = async function* (request, { model }) {
    yield { type: 'turn-start', id: 'chatcmpl-local', model };
    yield { type: 'block-start', index: 0, block: { kind: 'text', choice: 0 } };
    yield { type: 'block-delta', index: 0, text: `heard ${request.messages.length}` };
    yield { type: 'block-end', index: 0 };
    yield { type: 'usage', usage: { ...noUsage, input: 3, output: 2 }, raw: '{"here":true}' };
    yield { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop' }] };
  };
  const stutter: LocalAnswer = async function* (_request, { model, signal }) {
    yield { type: 'turn-start', id: 'chatcmpl-slow', model };
    yield { type: 'block-start', index: 0, block: { kind: 'text', choice: 0 } };
    for (let word = 1; ; word++) {
      yield { type: 'block-delta', index: 0, text: `word${word} ` };
      if (word < 3) continue;
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve, { once: true });
      });
    }
  };
  const stop: LocalAnswer = async function* (_request, { model }) {
    yield { type: 'turn-start', id: 'chatcmpl-short', model };
  };
  const local = (answer: LocalAnswer): Provider => ({
    type: 'demo',
    turns: () => [],
    services: {},
    credential: () => fixedCredential({}),
    answer,
  });

  beforeEach(() => {
    gateway.snapshot = snapshotOf({
      deployments: [
        deploymentOf('speak', providerOf('local', { kind: local(speak) })),
        deploymentOf('stutter', providerOf('slow', { kind: local(stutter) })),
        deploymentOf('stop', providerOf('short', { kind: local(stop) })),
      ],
      keys: { [goodKey]: principalOf('key_good') },
    });
  });

  test('comes whole or as a stream, and is settled like any other', async () => {
    const whole = await ask(gateway.url, { model: 'speak' });
    expect(whole.headers.get('x-signalbox-provider')).toBe('local');
    expect(await whole.json()).toMatchObject({
      id: 'chatcmpl-local',
      choices: [{ message: { content: 'heard 1' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 3, completion_tokens: 2 },
    });
    const streamed = await (await ask(gateway.url, { model: 'speak', stream: true })).text();
    expect(dataOf(streamed).at(-1)).toBe('[DONE]');
    expect(streamed).toContain('heard 1');
    for (const { settlements } of gateway.ledger.entries) {
      expect(settlements).toMatchObject([
        { outcome: 'completed', usage: { input: 3, output: 2 }, rawUsage: '{"here":true}' },
      ]);
    }
  });

  test('that merely stops is a failure, before and after it has begun', async () => {
    expect((await ask(gateway.url, { model: 'stop' })).status).toBe(502);
    const text = await (await ask(gateway.url, { model: 'stop', stream: true })).text();
    expect(text).toContain('upstream_truncated');
    expect(text).not.toContain('[DONE]');
    expect(gateway.ledger.story).toEqual(['failed upstream_truncated', 'failed upstream_truncated']);
  });

  test('stops when its client leaves', async () => {
    const client = await openRaw(gateway.port);
    client.send(streamRequest('stutter'));
    await client.until((received) => received.includes('word3'));
    client.destroy();
    await vi.waitFor(() => expect(gateway.ledger.story).toEqual(['cancelled client_closed']));
  });

  test('ends with an error when the instance cannot wait any longer', async () => {
    const client = await openRaw(gateway.port);
    client.send(streamRequest('stutter'));
    await client.until((received) => received.includes('word3'));
    await gateway.gateway.close({ drainMs: 20 });
    expect(await client.end()).toContain('"code":"draining"');
    expect(gateway.ledger.story).toEqual(['failed draining']);
  });
});
