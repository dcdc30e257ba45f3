// HTTP/1.1 as it is written down, where clients, proxies and attackers differ: what a well-behaved client library never sends.
import { describe, expect, test, vi } from 'vitest';
import { goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';

const CHAT = '/v1/chat/completions';
const key = { authorization: `Bearer ${goodKey}` };
const json = { ...key, 'content-type': 'application/json' };
const close = { connection: 'close' };

const { provider, gateway } = gatewayPerFile(({ provider }) => ({
  snapshot: plainSnapshot(provider),
  limits: { requestHeaderBytesMax: 8192, requestHeadersMsMax: 500, requestBodyMsMax: 400, lingerMs: 60 },
}));

/** Everything that comes back until the connection is closed. */
async function exchange(bytes: string | Buffer): Promise<string> {
  const client = await openRaw(gateway.port);
  client.send(bytes);
  return await client.end();
}

function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

function chatBody(model = 'ok', more: object = {}): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], ...more });
}

function chunked(body: string, sizes: readonly number[], end = '0\r\n\r\n'): string {
  const chunks: string[] = [];
  let from = 0;
  for (let turn = 0; from < body.length; turn++) {
    const part = body.slice(from, from + sizes[turn % sizes.length]!);
    chunks.push(`${part.length.toString(16)}\r\n${part}\r\n`);
    from += part.length;
  }
  return chunks.join('') + end;
}

describe('a head that can be understood in two ways', () => {
  test.each<[string, string]>([
    ['two hosts', 'GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n'],
    ['no host', 'GET /livez HTTP/1.1\r\n\r\n'],
    [
      'two keys',
      `GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${goodKey}\r\nAuthorization: x\r\n\r\n`,
    ],
    [
      'two content types',
      `POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-type: a/b\r\ncontent-type: c/d\r\n\r\n`,
    ],
    [
      'a transfer coding of its own',
      rawRequest('POST', CHAT, { ...json, 'transfer-encoding': 'gzip, chunked' }),
    ],
    [
      'two transfer codings',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n',
    ],
    [
      'a transfer coding that is no coding',
      rawRequest('POST', CHAT, { ...json, 'transfer-encoding': 'identity' }),
    ],
    ['an empty transfer coding', rawRequest('POST', CHAT, { 'transfer-encoding': '' }, '{}')],
    ['a length and a transfer coding', rawRequest('POST', CHAT, { 'transfer-encoding': 'chunked' }, '{}')],
    ['a transfer coding in HTTP/1.0', 'POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length with a sign', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\n{}'],
    ['a list of lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2, 2\r\n\r\n{}'],
    [
      'the same length twice',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}',
    ],
    ['a folded header', 'GET /livez HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n'],
    ['lines without a carriage return', 'GET /livez HTTP/1.1\nhost: a\n\n'],
    ['HTTP/0.9', 'GET /livez\r\n\r\n'],
    ['HTTP/1.2', 'GET /livez HTTP/1.2\r\nhost: a\r\n\r\n'],
    ['HTTP/2.0 in words', 'GET /livez HTTP/2.0\r\nhost: a\r\n\r\n'],
    ['HTTP/2 itself', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', 'BREW /livez HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['a NUL in the path', 'GET /v1/mod\0els HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['a NUL in a header', 'GET /livez HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n'],
    [
      'letters beyond ASCII in the path',
      Buffer.from('GET /v1/models/\u00fc HTTP/1.1\r\nhost: a\r\n\r\n').toString('latin1'),
    ],
  ])('%s is refused with 400, and nothing follows on that connection', async (_what, bytes) => {
    const received = await exchange(Buffer.from(bytes + rawRequest('GET', '/livez'), 'latin1'));
    expect(statuses(received)).toEqual([400]);
    expect(received).toMatch(/connection: close/i);
    expect(received).toContain('"code":"invalid_request"');
  });

  test('CONNECT is no business of ours', async () => {
    expect(await exchange('CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n')).toBe('');
  });
});

describe('an odd head that means one thing', () => {
  test.each<[string, string, number]>([
    ['a target with a host and no path', rawRequest('GET', 'http://test?x=/v1/models', close), 200],
    [
      'an absolute target below /v1',
      rawRequest('GET', 'http://test/v1/models?x#y', { ...key, ...close }),
      200,
    ],
    ['an absolute target of a stranger', rawRequest('GET', 'https://test/v1/nothing', close), 401],
    ['a query with anything in it', rawRequest('GET', '/livez?a=%zz&&=;/../?', close), 200],
    ['dots in a path', rawRequest('GET', '/v1/../livez', close), 401],
    ['slashes in a row', rawRequest('GET', '//livez', close), 404],
    [
      'a small p in the scheme of the key',
      rawRequest('GET', '/v1/models', { authorization: `bearer ${goodKey}`, ...close }),
      200,
    ],
    [
      'names in capitals',
      rawRequest('GET', '/v1/models', { AUTHORIZATION: `Bearer ${goodKey}`, ...close }),
      200,
    ],
    ['an empty header', rawRequest('GET', '/livez', { 'x-empty': '', ...close }), 200],
    [
      'an offer to change the protocol',
      rawRequest('GET', '/livez', { connection: 'upgrade, close', upgrade: 'h2c' }),
      200,
    ],
    ['a body on GET', rawRequest('GET', '/livez', close, '{"a":1}'), 200],
    ['all of the server', rawRequest('OPTIONS', '*', close), 204],
  ])('%s is answered', async (_what, bytes, status) => {
    expect(statuses(await exchange(bytes))).toEqual([status]);
  });

  test('letters beyond ASCII in a header are harmless', async () => {
    const bytes = Buffer.from(rawRequest('GET', '/livez', { 'x-name': 'J\u00f6rg \u20ac', ...close }));
    expect(statuses(await exchange(bytes))).toEqual([200]);
  });

  test.each(['/v1/models/', '/livez?'])('%s of many kilobytes is 431', async (path) => {
    const received = await exchange(rawRequest('GET', path + 'x'.repeat(9000), { ...key, ...close }));
    expect(statuses(received)).toEqual([431]);
    const long = await exchange(rawRequest('GET', path + 'x'.repeat(7000), { ...key, ...close }));
    expect(statuses(long)).toEqual([path === '/livez?' ? 200 : 404]);
  });
});

describe('HEAD and OPTIONS', () => {
  test.each([
    ['/livez', 200],
    ['/v1/models', 200],
    ['/v1/models/ok', 200],
    ['/v1/models/nobody', 404],
    ['/', 200],
    ['/nothing', 404],
    [CHAT, 405],
  ])('HEAD %s answers %i as GET would, without a body, and the connection goes on', async (path, status) => {
    const received = await exchange(
      rawRequest('HEAD', path, key) + rawRequest('GET', path, key) + rawRequest('GET', '/livez', close),
    );
    expect(statuses(received)).toEqual([status, status, 200]);
    const lengths = [...received.matchAll(/content-length: (\d+)/gi)].map(([, length]) => Number(length));
    // Errors name the method.
    if (status === 200) expect(lengths[0]).toBe(lengths[1]);
    expect(lengths[0]).toBeGreaterThan(0);
    const [head] = received.split('HTTP/1.1 ').slice(1);
    expect(head).toMatch(/\r\n\r\n$/);
  });

  test.each([
    ['/livez', 'GET, HEAD, OPTIONS'],
    ['/v1/models', 'GET, HEAD, OPTIONS'],
    [CHAT, 'POST, OPTIONS'],
  ])('OPTIONS %s lists the methods and has no body', async (path, methods) => {
    const received = await exchange(rawRequest('OPTIONS', path, { ...key, ...close }));
    expect(received).toMatch(
      new RegExp(`^HTTP/1\\.1 204 [^]*\\r\\nallow: ${methods}\\r\\n[^]*\\r\\n\\r\\n$`),
    );
    expect(received).not.toMatch(/content-length|transfer-encoding/i);
  });

  test.each(['PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'])('%s is 405', async (method) => {
    const received = await exchange(rawRequest(method, '/v1/models', { ...key, ...close }));
    expect(statuses(received)).toEqual([405]);
    expect(received).not.toContain(goodKey);
  });
});

describe('an expectation', () => {
  test.each(['200-ok', '100-continue, x', ''])('%j that nobody knows is 417', async (expect_) => {
    const received = await exchange(rawRequest('POST', CHAT, { ...json, expect: expect_ }, chatBody()));
    expect(statuses(received)).toEqual([417]);
    expect(received).toContain('"code":"expectation_failed"');
    expect(provider.requests()).toHaveLength(0);
  });

  test('of HTTP/1.0 is passed over', async () => {
    const bytes = rawRequest('POST', CHAT, { ...json, expect: '100-continue' }, chatBody());
    expect(statuses(await exchange(bytes.replace('HTTP/1.1', 'HTTP/1.0')))).toEqual([200]);
  });

  test('whose body is not wanted ends the connection, as nobody can tell what comes next on it', async () => {
    const stranger = { 'content-type': 'application/json', expect: '100-continue', 'content-length': '20' };
    const received = await exchange(rawRequest('POST', CHAT, stranger));
    expect(statuses(received)).toEqual([401]);
    expect(received).toMatch(/connection: close/i);
  });

  test('is met in turn on a connection with requests sent ahead', async () => {
    const client = await openRaw(gateway.port);
    const body = chatBody();
    const headers = { ...json, expect: '100-continue', 'content-length': String(body.length), ...close };
    client.send(
      rawRequest('POST', CHAT, json, chatBody('fake/slow-head-60ms')) + rawRequest('POST', CHAT, headers),
    );
    await client.until((received) => received.includes('100 Continue'));
    client.send(body);
    expect(statuses(await client.end())).toEqual([200, 100, 200]);
  });
});

describe('a body in chunks', () => {
  test.each([[[1]], [[7, 1, 300]], [[5000]]])(
    'of %j bytes is read whole, with extensions and trailers',
    async (sizes) => {
      const body = chatBody('ok', { user: 'x'.repeat(900) });
      const trailers = '0;last=1\r\nauthorization: Bearer nobody\r\nx-signalbox-tags: a\r\n\r\n';
      const head = rawRequest('POST', CHAT, {
        ...json,
        'transfer-encoding': 'chunked',
        trailer: 'x',
        ...close,
      });
      expect(statuses(await exchange(head + chunked(body, sizes, trailers)))).toEqual([200]);
      expect(provider.requests()[0]!.body.toString()).toBe(body);
      expect(gateway.ledger.entries.at(-1)!.intent.tags).toEqual([]);
    },
  );

  test.each(['zz\r\n', 'ffffffffffffffffff\r\n', '-1\r\n', '5\r\nabcdefg\r\n', '\r\n'])(
    'that is broken by %j is 400 and reaches nobody',
    async (broken) => {
      const head = rawRequest('POST', CHAT, { ...json, 'transfer-encoding': 'chunked' });
      const received = await exchange(`${head}5\r\n{"mod\r\n${broken}`);
      expect(statuses(received)).toEqual([400]);
      expect(provider.requests()).toHaveLength(0);
      await expect.poll(() => gateway.gateway.inFlight).toBe(0);
    },
  );
});

describe('requests sent ahead on one connection', () => {
  const slow = rawRequest('POST', CHAT, { ...json, 'x-request-id': 'slow' }, chatBody('fake/slow-head-80ms'));
  const stream = rawRequest(
    'POST',
    CHAT,
    { ...json, 'x-request-id': 'stream' },
    chatBody('ok', { stream: true }),
  );
  const refused = rawRequest('POST', CHAT, { ...json, 'x-request-id': 'refused' }, '{"model":');
  const quick = rawRequest('GET', '/livez', { 'x-request-id': 'quick' });

  function order(received: string): string[] {
    return [...received.matchAll(/\r\nx-request-id: (\w+)/g)].map(([, id]) => id!);
  }

  test('are answered in their order, whatever becomes of each', async () => {
    const last = rawRequest('GET', '/livez', { 'x-request-id': 'last', ...close });
    const received = await exchange(slow + refused + stream + quick + stream + slow + last);
    expect(order(received)).toEqual(['slow', 'refused', 'stream', 'quick', 'stream', 'slow', 'last']);
    expect(statuses(received)).toEqual([200, 400, 200, 200, 200, 200, 200]);
  });

  test('arrive a byte at a time', async () => {
    const client = await openRaw(gateway.port);
    const all = quick + refused + rawRequest('GET', '/livez', { 'x-request-id': 'last', ...close });
    for (const byte of all) client.send(byte);
    expect(order(await client.end())).toEqual(['quick', 'refused', 'last']);
  });

  test.each<[string, string, number]>([
    ['bytes that are no request', 'nonsense\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ['headers that are too large', rawRequest('GET', '/livez', { x: 'x'.repeat(9000) }), 431],
    ['a head that does not end', 'GET /livez HTTP/1.1\r\nhost:', 408],
    ['two hosts', 'GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 400],
  ])('followed by %s are answered first', async (_what, broken, status) => {
    const received = await exchange(slow + stream + broken);
    expect(statuses(received)).toEqual([200, 200, status]);
    expect(order(received).slice(0, 2)).toEqual(['slow', 'stream']);
    expect(received).toContain('data: [DONE]');
    expect(provider.bill().every(({ finished }) => finished)).toBe(true);
  });

  test('are given up together when the client leaves', async () => {
    const before = gateway.ledger.entries.length;
    const client = await openRaw(gateway.port);
    const never = rawRequest('POST', CHAT, json, chatBody('fake/never-head'));
    client.send(`${never}${never}nonsense\r\n\r\n`);
    await vi.waitFor(() => expect(provider.load().inFlight).toBe(2));
    client.destroy();
    await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(0));
    const story = gateway.ledger.story.slice(before);
    expect(story).toEqual(['cancelled client_closed', 'cancelled client_closed']);
  });
});

describe('a connection', () => {
  test('whose client stops sending is taken for left: a stopped sender cannot be told from one that has gone', async () => {
    const before = gateway.ledger.entries.length;
    const client = await openRaw(gateway.port);
    client.send(rawRequest('POST', CHAT, json, chatBody('fake/never-head')));
    await vi.waitFor(() => expect(gateway.ledger.entries.length).toBe(before + 1));
    client.socket.end();
    await client.end();
    await vi.waitFor(() => expect(gateway.ledger.story.at(-1)).toBe('cancelled client_closed'));
  });

  test('of HTTP/1.0 is kept only where that is asked for', async () => {
    const old = rawRequest('GET', '/livez').replace('HTTP/1.1', 'HTTP/1.0');
    expect(statuses(await exchange(old + old))).toEqual([200]);
    const kept = rawRequest('GET', '/livez', { connection: 'keep-alive' }).replace('HTTP/1.1', 'HTTP/1.0');
    expect(statuses(await exchange(kept + kept + old))).toEqual([200, 200, 200]);
  });

  test('on which nonsense never ends is closed', async () => {
    const client = await openRaw(gateway.port);
    const noise = setInterval(() => client.send('nonsense '.repeat(100)), 1);
    const received = await client.end();
    clearInterval(noise);
    expect(statuses(received)).toEqual([400]);
  });

  test('that is closed in the middle of a body leaves nothing behind', async () => {
    for (const bytes of [{ 'content-length': '500' }, { 'transfer-encoding': 'chunked' }]) {
      const client = await openRaw(gateway.port);
      client.send(rawRequest('POST', CHAT, { ...json, ...bytes }));
      await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(1));
      client.destroy();
      await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(0));
    }
    expect(provider.requests()).toHaveLength(0);
  });
});
