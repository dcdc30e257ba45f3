import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { answerOf, type RawServer, type RawServerOptions, startRawServer } from '#test/harness/raw-server.ts';
import { originAt } from '#test/harness/upstream-exchange.ts';
import { createUpstreamClient, type UpstreamClient } from './client.ts';
import { fetchText, type ShortQuestion } from './fetch-text.ts';

let client: UpstreamClient;
let server: RawServer | undefined;

beforeEach(() => {
  client = createUpstreamClient();
});
afterEach(async () => {
  client.close();
  await server?.stop();
});

async function ask(onData: RawServerOptions['onData'], change: Partial<ShortQuestion> = {}) {
  server = await startRawServer({ ...(onData && { onData }) });
  const question: ShortQuestion = {
    origin: originAt(server.port),
    method: 'POST',
    path: '/token?a=1',
    headers: { accept: 'application/json' },
    body: Buffer.from('{"a":1}'),
    timeoutMs: 10_000,
    bytesMax: 100,
    ...change,
  };
  return fetchText(client, question);
}

describe('a question', () => {
  test('is asked and answered, whatever the status', async () => {
    const answer = await ask(({ socket }) =>
      socket.write(answerOf('no', 'HTTP/1.1 403 Forbidden\r\nx-a: b')),
    );
    expect(answer).toMatchObject({ status: 403, headers: { 'x-a': 'b' } });
    expect(answer.body.toString()).toBe('no');
    const sent = server!.connections[0]!.received();
    expect(sent).toMatch(/^POST \/token\?a=1 HTTP\/1\.1\r\n/);
    expect(sent).toContain('accept: application/json\r\n');
    expect(sent).toMatch(/\r\n\r\n\{"a":1\}$/);
  });

  test('may have no body', async () => {
    await ask(({ socket }) => socket.write(answerOf('ok')), { method: 'GET', body: Buffer.alloc(0) });
    expect(server!.connections[0]!.received()).not.toContain('content-length');
  });

  test('is given up when the answer is longer than it may be', async () => {
    const tooLong = ask(({ socket }) => socket.write(answerOf('x'.repeat(101))));
    await expect(tooLong).rejects.toMatchObject({ code: 'upstream_invalid' });
    await expect.poll(() => server!.connections[0]!.closed()).toBe(true);
  });

  test.each<[string, string]>([
    ['silent', ''],
    ['slow, byte by byte', 'HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n'],
  ])('is given up when the other side is %s', async (_, opening) => {
    let dripping: NodeJS.Timeout | undefined;
    const late = ask(
      ({ socket }) => {
        socket.write(opening);
        dripping ??= setInterval(() => opening !== '' && socket.write('x'), 10);
      },
      { timeoutMs: 100 },
    );
    await expect(late).rejects.toMatchObject({ code: 'upstream_timeout' });
    clearInterval(dripping);
    await expect.poll(() => server!.connections[0]!.closed()).toBe(true);
  });

  test('fails as the connection does', async () => {
    const cut = ask(({ socket }) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nx'));
    await expect(cut).rejects.toMatchObject({ code: 'upstream_truncated' });
  });
});
