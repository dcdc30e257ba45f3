import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { type ObserveOptions, observe, originAt } from '#test/harness/upstream-exchange.ts';
import { createUpstreamClient, type UpstreamClient } from './client.ts';

let provider: FakeProvider;
let client: UpstreamClient;

beforeEach(async () => {
  provider = await startFakeProvider();
  client = createUpstreamClient();
});
afterEach(async () => {
  client.close();
  await provider.stop();
});

function chat(
  model: string,
  { stream = false, ...change }: Partial<ObserveOptions> & { stream?: boolean } = {},
) {
  const body = JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello' }] });
  return observe(client, { origin: originAt(provider.port), body: [Buffer.from(body)], ...change });
}

describe('an exchange', () => {
  test('is told in order: head, data, end', async () => {
    const { status, headers, body, callbacks } = await chat('ok').over;
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(body).choices[0].message.content).toBe('word1 word2 word3 word4 word5 ');
    expect(callbacks).toEqual(['head', 'data', 'end']);
  });

  test('sends the bytes it was given, in however many pieces', async () => {
    const pieces = ['{"model":"ok",', '', '"messages":[{"role":"user","content":"Zürich', ' ☃"}]}'];
    await chat('', {
      body: pieces.map((piece) => Buffer.from(piece)),
      headers: { 'x-client-request-id': 'a1' },
    }).over;
    const [request] = provider.requests();
    expect(request!.body.toString()).toBe(pieces.join(''));
    expect(request!.headers).toEqual({
      host: `127.0.0.1:${provider.port}`,
      'content-length': String(Buffer.byteLength(pieces.join(''))),
      'x-client-request-id': 'a1',
    });
    expect(provider.bill()).toMatchObject([{ clientRequestId: 'a1', finished: true, aborted: false }]);
  });

  test.each([100, 64 * 1024, 300 * 1024, 10 * 1024 * 1024])('sends a prompt of %i bytes', async (size) => {
    const body = JSON.stringify({ model: 'ok', messages: [{ role: 'user', content: 'x'.repeat(size) }] });
    const half = body.length >> 1;
    const halves = [Buffer.from(body.slice(0, half)), Buffer.from(body.slice(half))];
    expect((await chat('', { body: halves }).over).ended).toBe(true);
    expect(provider.requests()[0]!.body.equals(Buffer.from(body))).toBe(true);
    expect((await chat('ok').over).ended).toBe(true);
    expect(provider.load().accepted).toBe(1);
  });

  test('delivers an answer of 10 MB whole, streamed and not', async () => {
    const content = 10 * 1024 * 1024;
    const whole = await chat('big-10mb').over;
    expect(JSON.parse(whole.body).choices[0].message.content).toHaveLength(content);
    const streamed = await chat('big-10mb', { stream: true, discard: true }).over;
    expect(streamed.ended).toBe(true);
    expect(streamed.bodyBytes).toBeGreaterThan(content);
  });

  test.each(['one-byte-chunks', 'crlf', 'close-delimited', 'close', 'pause-5ms'])(
    'delivers the same stream when the server is %s',
    async (script) => {
      const text = ({ body }: { body: string }) =>
        body
          .split(/\r?\n\r?\n/)
          .filter((line) => line.startsWith('data: {'))
          .map((line) => JSON.parse(line.slice(6)).choices[0].delta.content)
          .join('');
      const answer = await chat(script, { stream: true }).over;
      expect(answer.ended).toBe(true);
      expect(text(answer)).toBe('word1 word2 word3 word4 word5 ');
      expect(answer.body).toContain('[DONE]');
    },
  );

  test('reports error statuses and redirects like any other; a redirect is never followed', async () => {
    for (const status of [301, 302, 307, 308, 401, 429, 500, 529]) {
      const answer = await chat(`error-${status}-retry-7`).over;
      expect(answer).toMatchObject({ status, ended: true });
      expect(answer.headers['retry-after']).toBe('7');
    }
    expect(provider.requests()).toHaveLength(8);
  });

  test('never begins before dispatch has returned, not even to fail', async () => {
    let returned = false;
    const early: boolean[] = [];
    const handler = {
      onHead: () => early.push(!returned),
      onData: () => undefined,
      onEnd: () => undefined,
      onError: () => early.push(!returned),
    };
    const base = { origin: originAt(provider.port), method: 'POST', body: [], headers: {} } as const;
    const times = { headTimeoutMs: 1000, idleTimeoutMs: 1000 };
    client.dispatch({ ...base, ...times, path: '/v1/models' }, handler);
    client.dispatch({ ...base, ...times, path: 'bad path' }, handler);
    returned = true;
    await expect.poll(() => early).toEqual([false, false]);
  });

  test('that cannot be written is refused with the name of what is wrong', async () => {
    const { error, call } = await chat('ok', { headers: { authorization: 'Bearer a\nb' } }).over;
    expect(error).toMatchObject({
      code: 'upstream_unreachable',
      message: expect.stringContaining('"authorization"'),
    });
    expect(error!.message).not.toContain('Bearer');
    expect(call.requestSent).toBe(false);
  });
});

describe('a stream cut anywhere', () => {
  test.each(['fin', 'rst'])('by %s is an error, never an end', async (how) => {
    const whole = chat('chunks-2', { stream: true });
    await whole.over;
    const total = provider.requests()[0]!.bytesSent;
    for (let at = 0; at < total; at += at < 130 ? 1 : 13) {
      const { code, ended } = await chat(`chunks-2.cut-at-byte-${at}.${how}`, { stream: true }).over;
      expect({ at, code, ended }).toEqual({
        at,
        code: at === 0 ? 'upstream_unreachable' : 'upstream_truncated',
        ended: false,
      });
    }
  });

  test('by a reset is an error even where closing would be the end', async () => {
    const { code } = await chat('close-delimited.cut-after-3.rst', { stream: true }).over;
    expect(code).toBe('upstream_truncated');
  });

  test('delivers what came before the cut', async () => {
    const answer = await chat('cut-after-3', { stream: true }).over;
    expect(answer.body).toContain('word3');
    expect(answer.body).not.toContain('word4');
    expect(answer.callbacks.at(-1)).toBe('upstream_truncated');
  });
});

describe('the client as a whole', () => {
  test('refuses new work and gives up what is under way when it is closed', async () => {
    const waiting = chat('never-head');
    await expect.poll(() => provider.load().inFlight).toBe(1);
    client.close();
    expect((await waiting.over).code).toBe('upstream_unreachable');
    expect((await chat('ok').over).code).toBe('upstream_unreachable');
    await expect.poll(() => provider.load().open).toBe(0);
  });

  test('shares connections between origins that say the same', async () => {
    await chat('ok', { origin: originAt(provider.port) }).over;
    await chat('ok', { origin: originAt(provider.port) }).over;
    expect(provider.load().accepted).toBe(1);
    await chat('ok', { origin: originAt(provider.port, { host: 'localhost' }) }).over;
    expect(provider.load().accepted).toBe(2);
  });

  test('keeps nothing of the exchanges it has served', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const heapAfter = async (count: number): Promise<number> => {
      const worker = async (): Promise<void> => {
        for (let served = 0; served < count / 20; served++) {
          expect((await chat('chunks-1', { discard: true }).over).ended).toBe(true);
        }
      };
      await Promise.all(Array.from({ length: 20 }, worker));
      provider.reset();
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(1000);
    const after = await heapAfter(10_000);
    expect(provider.load().accepted).toBeLessThanOrEqual(20);
    expect(after - before).toBeLessThan(3_000_000);
  });
});
