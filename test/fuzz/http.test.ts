// The HTTP surface under bytes that nobody should send. Whatever comes: never a crash, never a hang, never memory that grows
// with it; always an answer with a status that exists, or a closed connection; and never a fault of ours (500). Seeded, so
// that a failure can be had again. An unhandled rejection fails the run by itself.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routePaths } from '#data-plane/http/routes.ts';
import { anthropic } from '#data-plane/providers/anthropic.ts';
import { demoProvider } from '#data-plane/providers/demo.ts';
import { errorTable } from '#shared/errors.ts';
import {
  type FakeProvider,
  goodKey,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';

const SEED = 20_261_120;
/** Longer than every timer of the gateway below; an exchange that takes longer hangs. */
const HANG_MS = 5000;
const MEBIBYTE = 1024 * 1024;

let provider: FakeProvider;
let gateway: TestGateway;

beforeAll(async () => {
  provider = await startFakeProvider({ requestsKept: 10 });
  const fake = providerOf('fake', { baseUrl: provider.baseUrl });
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  gateway = await startGateway({
    snapshot: plainSnapshot(provider, {
      providers: [claude, providerOf('demo', { kind: demoProvider })],
      deployments: [
        deploymentOf('claude-model', claude, { upstreamModel: 'ok' }),
        deploymentOf('spare', fake),
      ],
      routes: [routeOf('smart', ['claude-model', 'ok'])],
    }),
    corsOrigins: ['https://app.example.com'],
    limits: {
      requestBodyBytesMax: MEBIBYTE,
      requestHeaderBytesMax: 8192,
      requestHeadersMsMax: 200,
      requestBodyMsMax: 200,
      keepAliveMs: 50,
      lingerMs: 20,
    },
  });
});

afterAll(async () => {
  await gateway.stop();
  await provider.stop();
});

const known = new Set<number>([
  ...Object.values(errorTable).map(({ status }) => status),
  ...[100, 101, 200, 204, 404, 422],
]);

function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** What came back for these bytes until the connection was closed, which it is in any case. */
async function answerTo(bytes: Buffer, cuts: readonly number[] = []): Promise<string> {
  const client = await openRaw(gateway.port);
  let from = 0;
  for (const cut of [
    ...cuts.map((part) => Math.floor(part * bytes.length)).toSorted((a, b) => a - b),
    bytes.length,
  ]) {
    if (cut > from) client.send(bytes.subarray(from, cut));
    from = Math.max(from, cut);
    await Promise.resolve();
  }
  const { promise: hang, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`no end to ${JSON.stringify(bytes.toString('latin1'))}`)),
    HANG_MS,
  );
  const received = await Promise.race([client.end(), hang]);
  clearTimeout(timer);
  return received;
}

function expectSane(received: string): void {
  for (const status of statuses(received)) expect(known).toContain(status);
  expect(received).not.toContain('HTTP/1.1 500');
  if (received !== '') expect(received).toMatch(/^HTTP\/1\.1 \d{3} /);
}

async function expectWell(): Promise<void> {
  await expect.poll(() => gateway.gateway.inFlight, { timeout: HANG_MS }).toBe(0);
  await expect.poll(() => provider.load().inFlight, { timeout: HANG_MS }).toBe(0);
  for (const { intent, settlements } of gateway.ledger.entries) {
    expect([intent.attemptId, settlements.length]).toEqual([intent.attemptId, 1]);
  }
  const body = JSON.stringify({ model: 'ok', messages: [{ role: 'user', content: 'hello' }] });
  const headers = { 'x-api-key': goodKey, 'content-type': 'application/json' };
  const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body });
  expect([response.status, await response.json()]).toMatchObject([200, { object: 'chat.completion' }]);
}

const auth = { authorization: `Bearer ${goodKey}` };
const json = { ...auth, 'content-type': 'application/json' };
const chat = JSON.stringify({
  model: 'ok',
  messages: [{ role: 'user', content: 'hi' }],
  'x-gateway': { tags: ['a'] },
});
const messages = JSON.stringify({
  model: 'smart',
  max_tokens: 9,
  stream: true,
  messages: [{ role: 'user', content: 'hi' }],
});

const seeds: readonly string[] = [
  rawRequest('GET', '/v1/models?limit=2', { ...auth, 'anthropic-version': '2023-06-01' }),
  rawRequest('OPTIONS', '/v1/models', {
    origin: 'https://app.example.com',
    'access-control-request-method': 'GET',
  }),
  rawRequest('POST', '/v1/chat/completions', { ...json, 'accept-encoding': 'gzip;q=0.5, br' }, chat),
  rawRequest(
    'POST',
    '/v1/chat/completions',
    { ...json, 'x-signalbox-timeout': '30s', 'x-signalbox-tags': 'a,b' },
    chat,
  ),
  rawRequest('POST', '/v1/messages', { ...json, expect: '100-continue' }, messages),
  `${rawRequest('POST', '/v1/messages', { ...json, 'transfer-encoding': 'chunked' })}${messages.length.toString(16)};x=1\r\n${messages}\r\n0\r\nx: y\r\n\r\n`,
  rawRequest('GET', '/livez') +
    rawRequest('POST', '/v1/chat/completions', json, chat) +
    rawRequest('HEAD', '/health'),
  rawRequest('POST', '/v1/chat/completions', { ...json, 'content-encoding': 'gzip' }, chat),
  rawRequest('GET', '/v1/realtime?model=ok', {
    ...auth,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }),
];

/** One small harm done to a request: where, as a part of its length, and what. */
const harm = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat(40),
  how: fc.constantFrom('delete', 'insert', 'flip', 'repeat', 'truncate', 'swap-case'),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        '\r\n',
        '\n',
        '\r\n\r\n',
        '\0',
        ':',
        ' ',
        '0',
        '-1',
        '"',
        '{',
        '[',
        '\\ud800',
        '%00',
        'HTTP/1.1',
        'chunked',
        '\u00ff',
      )
      .map((text) => Buffer.from(text, 'latin1')),
  ),
});
type Harm = typeof harm extends fc.Arbitrary<infer Value> ? Value : never;

function harmed(bytes: Buffer, { at, length, how, bytes: more }: Harm): Buffer {
  const from = Math.floor(at * bytes.length);
  const [before, part, after] = [
    bytes.subarray(0, from),
    bytes.subarray(from, from + length),
    bytes.subarray(from + length),
  ];
  if (how === 'truncate') return before;
  if (how === 'delete') return Buffer.concat([before, after]);
  if (how === 'insert') return Buffer.concat([before, more, part, after]);
  if (how === 'repeat') return Buffer.concat([before, part, part, after]);
  return Buffer.concat([
    before,
    Buffer.from(part.map((byte) => byte ^ (how === 'flip' ? 0xff : 0x20))),
    after,
  ]);
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 });
/** Many at a time, because most of them wait for a timer. */
const CROWD = 25;
const LARGE_CROWD = 160;

function crowd<Value>(one: fc.Arbitrary<Value>, size = CROWD): fc.Arbitrary<Value[]> {
  return fc.array(one, { minLength: size, maxLength: size });
}

describe('bytes on a connection', () => {
  test('that were a request before they were harmed', async () => {
    const one = fc.tuple(fc.constantFrom(...seeds), fc.array(harm, { minLength: 1, maxLength: 4 }), cuts);
    await fc.assert(
      fc.asyncProperty(crowd(one, LARGE_CROWD), async (all) => {
        await Promise.all(
          all.map(async ([seed, harms, where]) => {
            expectSane(await answerTo(harms.reduce(harmed, Buffer.from(seed)), where));
          }),
        );
      }),
      { seed: SEED, numRuns: 3, endOnFailure: true },
    );
    await expectWell();
  });

  test('that are heads made up of pieces', async () => {
    const name = fc.constantFrom(
      'host',
      'content-length',
      'transfer-encoding',
      'expect',
      'connection',
      'upgrade',
      'accept-encoding',
      'content-encoding',
      'content-type',
      'authorization',
      'x-api-key',
      'origin',
      'x-request-id',
      'x-signalbox-metadata',
      'x-signalbox-cache',
      'range',
      'te',
      'trailer',
      '',
    );
    const value = fc.oneof(
      fc.constantFrom(
        '',
        '0',
        '5',
        'chunked',
        '100-continue',
        'close',
        'keep-alive',
        'websocket',
        'gzip',
        '*;q=0',
        `Bearer ${goodKey}`,
        goodKey,
        'application/json',
        'null',
        '{"a":"b"}',
        'a, b',
      ),
      fc.string({ maxLength: 30 }),
      fc.string({ unit: 'binary', maxLength: 10 }),
    );
    const head = fc.tuple(
      fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'DELETE', 'PUT', 'CONNECT', 'get', ''),
      fc.oneof(
        fc.constantFrom(...routePaths, '*', 'http://a', '//', '/%00', '/v1/models/%ff'),
        fc.webUrl(),
        fc.string(),
      ),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', ''),
      fc.array(fc.tuple(name, value), { maxLength: 6 }),
      fc.string({ maxLength: 40 }),
    );
    await fc.assert(
      fc.asyncProperty(crowd(head, LARGE_CROWD), async (all) => {
        await Promise.all(
          all.map(async ([method, target, version, headers, rest]) => {
            const lines = headers.map(([header, text]) => `${header}: ${text}\r\n`).join('');
            expectSane(
              await answerTo(Buffer.from(`${method} ${target} ${version}\r\nhost: a\r\n${lines}\r\n${rest}`)),
            );
          }),
        );
      }),
      { seed: SEED, numRuns: 2, endOnFailure: true },
    );
    await expectWell();
  });

  test('that never end do not pile up', async () => {
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const heads = [
      rawRequest('POST', '/v1/chat/completions', { ...json, 'transfer-encoding': 'chunked' }),
      rawRequest('POST', '/v1/chat/completions', { ...json, 'content-length': '999999999' }),
      rawRequest('POST', '/v1/messages', {
        ...json,
        'content-encoding': 'gzip',
        'transfer-encoding': 'chunked',
      }),
      'GET /livez HTTP/1.1\r\nx: ',
      '',
    ];
    const flood = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    await Promise.all(
      heads.map(async (head) => {
        const client = await openRaw(gateway.port);
        client.send(head);
        for (let turn = 0; turn < 200 && !client.closed; turn++) {
          client.send(flood);
          await new Promise((resolve) => setImmediate(resolve));
        }
        expectSane(await client.end());
      }),
    );
    await expectWell();
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * MEBIBYTE);
  });
});

/** Names that readers act upon, and some that are something else in JavaScript. */
const member = fc.constantFrom(
  'model',
  'messages',
  'input',
  'contents',
  'parts',
  'role',
  'content',
  'type',
  'text',
  'tools',
  'tool_choice',
  'function',
  'parameters',
  'name',
  'stream',
  'stream_options',
  'max_tokens',
  'temperature',
  'stop',
  'n',
  'system',
  'response_format',
  'prompt',
  'query',
  'documents',
  'thinking',
  'metadata',
  'image_url',
  'url',
  'source',
  'data',
  'file',
  'id',
  'instructions',
  'x-gateway',
  '__proto__',
  'constructor',
  'toString',
  '',
);
const word = fc.constantFrom(
  'user',
  'assistant',
  'system',
  'tool',
  'developer',
  'text',
  'image_url',
  'tool_use',
  'tool_result',
  'function',
  'auto',
  'none',
  'json_schema',
  'data:image/png;base64,AA==',
  'https://example.com/x',
  'ok',
  '',
);
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word,
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.double(),
    fc.string({ unit: 'binary', maxLength: 5 }),
    tie('list'),
    tie('object'),
    tie('object'),
  ),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc
    .array(fc.tuple(fc.oneof(member, fc.string({ maxLength: 4 })), tie('value')), { maxLength: 6 })
    .map((entries) => Object.fromEntries(entries)),
}));
const model = fc.constantFrom(
  'ok',
  'smart',
  'claude-model',
  'claude/ok',
  'demo/demo',
  'fake/tool-call',
  'fake/error-429',
  'nobody',
);
const body = fc
  .tuple(anything, model, fc.dictionary(member, anything, { maxKeys: 8 }), fc.nat(9))
  .map(([whole, name, fields, choice]) => {
    if (choice === 0) return JSON.stringify(whole) ?? '';
    return JSON.stringify({
      ...fields,
      model: name,
      ...(choice > 5 && { messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 }),
    });
  });

describe('bodies of every shape', () => {
  const posted = [...new Set(routePaths)].filter(
    (path) => path.startsWith('/v1') || path.startsWith('/chat'),
  );

  test.each(posted)('to %s', async (path) => {
    const target = path.replaceAll(/\/[:*]\w+/g, '/ok');
    await fc.assert(
      fc.asyncProperty(crowd(body), async (bodies) => {
        await Promise.all(
          bodies.map(async (text) => {
            const request = {
              method: 'POST',
              headers: json,
              body: text,
              signal: AbortSignal.timeout(HANG_MS),
            };
            const response = await fetch(gateway.url + target, request);
            const answer = await response.text();
            expect(known, `${text} got ${answer}`).toContain(response.status);
            expect(response.status, `${text} got ${answer}`).not.toBe(500);
            if (response.headers.get('content-type')?.includes('json') === true) JSON.parse(answer);
          }),
        );
      }),
      { seed: SEED, numRuns: 2, endOnFailure: true },
    );
    await expectWell();
  });

  test('in what is said to the gateway', async () => {
    const option = fc.constantFrom(
      'timeout',
      'provider',
      'metadata',
      'tags',
      'drop_unsupported',
      'priority',
      'cache',
      'tag',
    );
    const said = fc.oneof(
      anything,
      fc.dictionary(option, anything),
      fc.record(
        { drop_unsupported: fc.boolean(), timeout: fc.nat(60), tags: fc.array(word) },
        { requiredKeys: [] },
      ),
    );
    const request = fc.tuple(
      said,
      model,
      fc.boolean(),
      fc.boolean(),
      fc.dictionary(member, anything, { maxKeys: 3 }),
    );
    await fc.assert(
      fc.asyncProperty(crowd(request), async (all) => {
        await Promise.all(
          all.map(async ([gatewaySays, name, stream, first, more]) => {
            const own = { 'x-gateway': gatewaySays };
            const rest = {
              ...more,
              model: name,
              stream,
              messages: [{ role: 'user', content: 'hi' }],
              max_tokens: 5,
            };
            const text = JSON.stringify(first ? { ...own, ...rest } : { ...rest, ...own });
            const response = await fetch(`${gateway.url}/v1/chat/completions`, {
              method: 'POST',
              headers: json,
              body: text,
            });
            const answer = await response.text();
            expect(known, `${text} got ${answer}`).toContain(response.status);
            expect(response.status, `${text} got ${answer}`).not.toBe(500);
          }),
        );
      }),
      { seed: SEED, numRuns: 8, endOnFailure: true },
    );
    await expectWell();
  });
});
