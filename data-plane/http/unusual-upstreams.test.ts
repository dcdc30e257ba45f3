import { afterEach, describe, expect, test, vi } from 'vitest';
import { ask, errorOf, plainSnapshot } from '#test/harness/gateway.ts';
import { type RawServer, startRawServer } from '#test/harness/raw-server.ts';
import { deploymentOf, providerOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';

const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

const { provider: good, gateway } = gatewayPerTest(({ provider }) => ({ snapshot: plainSnapshot(provider) }));
let odd: RawServer | undefined;

afterEach(async () => {
  await odd?.stop();
  odd = undefined;
});

/** The model `m` is answered with these bytes, and where that fails, by a good provider; the model `alone` only with them. */
async function answerWith(bytes: string, { closes = false, timeoutMs = 5000 } = {}): Promise<void> {
  odd = await startRawServer({
    onData: ({ socket }) => {
      if (closes) socket.end(bytes);
      else socket.write(bytes);
    },
  });
  const first = providerOf('odd', { baseUrl: `http://127.0.0.1:${odd.port}/v1` });
  const second = providerOf('second', { baseUrl: good.baseUrl });
  gateway.snapshot = plainSnapshot(good, {
    deployments: [
      deploymentOf('m', first, { timeoutMs }),
      deploymentOf('m', second, { upstreamModel: 'ok', priority: 2 }),
      deploymentOf('alone', first, { id: 'alone', timeoutMs }),
    ],
  });
}

function whole(body: string, type = 'application/json', more = '', status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;
}

const answer = JSON.stringify({
  id: 'chatcmpl-odd',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
});

describe('an upstream', () => {
  test('that sends the head of a stream and then nothing is left in time', async () => {
    await answerWith(STREAM, { timeoutMs: 150 });
    const response = await ask(gateway.url, { model: 'm', stream: true });
    expect(response.headers.get('x-signalbox-provider')).toBe('second');
    expect(await response.text()).toContain('[DONE]');
    expect(gateway.ledger.story).toEqual(['failed upstream_timeout', 'completed']);
    await vi.waitFor(() => expect(odd!.connections[0]!.closed()).toBe(true));
  });

  test('that compresses its answer unasked cannot be read', async () => {
    await answerWith(whole('not really gzip', 'application/json', 'content-encoding: gzip\r\n'));
    const response = await ask(gateway.url, { model: 'alone' });
    expect([response.status, (await errorOf(response)).code]).toEqual([502, 'upstream_invalid']);
  });

  test('that answers whole where a stream was asked for is not passed off as one, and its usage is kept', async () => {
    await answerWith(whole(answer));
    const response = await ask(gateway.url, { model: 'm', stream: true });
    expect(response.headers.get('x-signalbox-provider')).toBe('second');
    await response.text();
    expect(gateway.ledger.entries[0]!.settlements).toMatchObject([
      { outcome: 'failed', errorCode: 'upstream_invalid', usage: { input: 9, output: 4 } },
    ]);
  });

  test('that reports an error with the status of a success has failed', async () => {
    await answerWith(whole('{"error":{"message":"Too busy","code":503}}'));
    for (const stream of [false, true]) {
      const response = await ask(gateway.url, { model: 'alone', stream });
      expect(response.status).toBe(503);
      expect((await errorOf(response)).code).toBe('upstream_overloaded');
    }
  });

  test('that answers with an HTML page of a proxy is not quoted as it is', async () => {
    await answerWith(whole('<html><h1>Bad gateway</h1></html>', 'text/html', '', '502 Bad Gateway'));
    const response = await ask(gateway.url, { model: 'alone' });
    expect(response.headers.get('content-type')).toBe('application/json');
    const error = await errorOf(response);
    expect(error.code).toBe('upstream_error');
    expect(error.message).not.toContain('<h1>');
  });

  test('whose refusal breaks off is still understood by its status', async () => {
    const cut = whole('{"error":', 'application/json', '', '400 Bad Request').replace(
      /length: \d+/,
      'length: 500',
    );
    await answerWith(cut, { closes: true });
    const response = await ask(gateway.url, { model: 'm' });
    expect(response.status).toBe(400);
    expect((await errorOf(response)).code).toBe('upstream_rejected');
    expect(gateway.ledger.story).toEqual(['failed upstream_rejected']);
  });

  test('whose refusal never ends is read only so far', async () => {
    const endless = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n${'x'.repeat(300 * 1024)}`;
    await answerWith(endless);
    const response = await ask(gateway.url, { model: 'alone' });
    expect(response.status).toBe(400);
    expect((await response.text()).length).toBeLessThan(8 * 1024);
    await vi.waitFor(() => expect(odd!.connections[0]!.closed()).toBe(true));
  });

  test('that redirects is not followed', async () => {
    const elsewhere = `location: ${good.baseUrl}/chat/completions\r\n`;
    await answerWith(whole('', 'text/plain', elsewhere, '307 Temporary Redirect'));
    expect((await ask(gateway.url, { model: 'alone' })).status).toBeGreaterThanOrEqual(400);
    expect(good.requests()).toEqual([]);
  });

  test('with a status and a type of its own has them passed on', async () => {
    await answerWith(whole(answer, 'application/json; profile=odd', '', '201 Created'));
    const response = await ask(gateway.url, { model: 'alone' });
    expect([response.status, response.headers.get('content-type')]).toEqual([
      201,
      'application/json; profile=odd',
    ]);
    expect(await response.text()).toBe(answer);
  });

  test('that ends its stream without the last blank line has still finished', async () => {
    const event = `data: ${JSON.stringify({ id: 'a', choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }] })}\n\n`;
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n';
    await answerWith(`${head}${event}data: [DONE]`, { closes: true });
    const text = await (await ask(gateway.url, { model: 'alone', stream: true })).text();
    expect(text).toBe(`${event}data: [DONE]`);
    expect(gateway.ledger.story).toEqual(['completed']);
  });
});
