import { describe, expect, test, vi } from 'vitest';
import { goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropicMessages } from '../dialects/anthropic-messages/index.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { openaiChat } from '../dialects/openai-chat/index.ts';
import { anthropic } from '../providers/anthropic.ts';
import { demoProvider } from '../providers/demo.ts';
import { type FoldedTurn, foldTurn } from '../turn/fold.ts';
import { checkTurn } from '../turn/grammar.ts';

const { provider, backup, gateway } = gatewayPerTest(() => ({ snapshot: snapshotOver('ok') }));

/** `claude/<script>` and `fake/<script>` speak the two dialects; the routes lead from one to the other. */
function snapshotOver(script: string) {
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  const chat = providerOf('chat', { baseUrl: provider.baseUrl });
  const safeClaude = providerOf('safe-claude', { baseUrl: backup.baseUrl, kind: anthropic('anthropic') });
  const safeChat = providerOf('safe-chat', { baseUrl: backup.baseUrl });
  const demo = providerOf('demo', { kind: demoProvider });
  return plainSnapshot(provider, {
    providers: [claude, demo],
    deployments: [
      deploymentOf('bad-claude', claude, { upstreamModel: script }),
      deploymentOf('bad-chat', chat, { upstreamModel: script }),
      deploymentOf('good-claude', safeClaude, { upstreamModel: 'ok' }),
      deploymentOf('good-chat', safeChat, { upstreamModel: 'ok' }),
    ],
    routes: [
      routeOf('claude-then-chat', ['bad-claude', 'good-chat']),
      routeOf('chat-then-claude', ['bad-chat', 'good-claude']),
      routeOf('claude-then-claude', ['bad-claude', 'good-claude']),
    ],
  });
}

interface Client {
  readonly dialect: Dialect;
  readonly path: string;
  readonly tools: object;
}

const schema = { type: 'object', properties: { city: { type: 'string' } } };
const clients: Readonly<Record<'messages' | 'chat', Client>> = {
  messages: {
    dialect: anthropicMessages,
    path: '/v1/messages',
    tools: [{ name: 'get_weather', input_schema: schema }],
  },
  chat: {
    dialect: openaiChat,
    path: '/v1/chat/completions',
    tools: [{ type: 'function', function: { name: 'get_weather', parameters: schema } }],
  },
};
type ClientName = keyof typeof clients;

function ask(client: ClientName, model: string, more: object = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(gateway.url + clients[client].path, {
    method: 'POST',
    headers: { 'x-api-key': goodKey, 'content-type': 'application/json', 'anthropic-beta': 'x-1' },
    body: JSON.stringify({
      model,
      max_tokens: 100,
      messages: [{ role: 'user', content: 'hello' }],
      ...more,
    }),
    ...(signal && { signal }),
  });
}

/** Reads what a client got as its own SDK would: every frame has to be known and in order. */
function readStream(client: ClientName, text: string): FoldedTurn {
  const { dialect } = clients[client];
  const frames = dialect.framing.reader();
  const turn = dialect.reader();
  const events = [...frames.push(Buffer.from(text)), ...frames.end()].flatMap((frame) => turn.push(frame));
  return foldTurn(checkTurn([...events, ...turn.end()]));
}

const pairs = (['messages', 'chat'] as const).flatMap((client) =>
  (['claude', 'fake'] as const).map((upstream) => ({ client, upstream })),
);
const expectedText = 'word1 word2 word3 word4 word5 ';

describe.each(pairs)('a client of $client at an upstream of $upstream', ({ client, upstream }) => {
  test('gets a whole answer, metered as billed', async () => {
    const response = await ask(client, `${upstream}/ok`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('application/json');
    const turn = foldTurn(clients[client].dialect.unfold(Buffer.from(await response.arrayBuffer())));
    expect(turn.choices[0]).toMatchObject({ text: expectedText, reason: 'stop' });
    expectSettledAsBilled(client);
  });

  test('gets a stream, metered as billed', async () => {
    const response = await ask(client, `${upstream}/ok`, {
      stream: true,
      ...(client === 'chat' && { stream_options: { include_usage: true } }),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const turn = readStream(client, await response.text());
    expect(turn.choices[0]).toMatchObject({ text: expectedText, reason: 'stop' });
    expect(turn.usage).toMatchObject({ output: 5 });
    expectSettledAsBilled(client);
  });

  test.each([false, true])('calls tools in parallel (streamed: %s)', async (stream) => {
    const response = await ask(client, `${upstream}/tool-calls-2`, { stream, tools: clients[client].tools });
    const bytes = Buffer.from(await response.arrayBuffer());
    const turn = stream
      ? readStream(client, bytes.toString())
      : foldTurn(clients[client].dialect.unfold(bytes));
    const calls = turn.choices[0]!.toolCalls;
    expect(calls.map(({ name }) => name)).toEqual(['get_weather', 'get_weather']);
    expect(calls.map((call) => JSON.parse(call.arguments))).toEqual([
      { city: 'Zürich', days: [1, 2, 3] },
      { city: 'Zürich', days: [1, 2, 3] },
    ]);
    expect(turn.choices[0]!.reason).toBe('tool-calls');
  });

  test('is told of an error in a stream that has begun, in its own words and once', async () => {
    const response = await ask(client, `${upstream}/error-in-stream.pause-20ms`, { stream: true });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text.match(/"error":\s*\{/g)).toHaveLength(1);
    expect(text).not.toMatch(endMark(client, upstream));
    expect(readStream(client, text).error).toBeDefined();
    expect(gateway.ledger.story).toEqual(['failed upstream_error']);
  });

  test('is told when an answer is cut', async () => {
    const text = await (await ask(client, `${upstream}/cut-after-2`, { stream: true })).text();
    const turn = readStream(client, text);
    expect(turn.error).toBeDefined();
    expect(turn.choices[0]!.text).toBe('word1 word2 ');
    expect(gateway.ledger.story).toEqual(['failed upstream_truncated']);
  });

  test('that leaves stops the upstream, and is settled as cancelled', async () => {
    const abort = new AbortController();
    const response = await ask(client, `${upstream}/chunks-500.pause-5ms`, { stream: true }, abort.signal);
    await response.body!.getReader().read();
    abort.abort();
    await expect.poll(() => gateway.ledger.story).toEqual(['cancelled client_closed']);
    await vi.waitFor(() => expect(provider.bill()).toMatchObject([{ aborted: true, finished: false }]));
  });

  test('hears of limits with the time to wait', async () => {
    const response = await ask(client, `${upstream}/error-429-retry-7`);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('7');
    const { error } = (await response.json()) as { error: { type: string } };
    expect(error.type).toBe('rate_limit_error');
  });

  test('is refused in its own shape', async () => {
    const response = await ask(client, `${upstream}/error-400`);
    expect(response.status).toBe(400);
    const body = (await response.json()) as { type?: string; error: { type: string; message: string } };
    expect(body.error.type).toBe('invalid_request_error');
    expect(body.error.message).toContain('The fake provider rejects this request.');
    expect(body.type).toBe(client === 'messages' ? 'error' : undefined);
  });
});

/** Bytes of the same dialect pass as they come, behind an error too; a translation ends with the error. */
function endMark(client: ClientName, upstream: string): RegExp {
  const isSame = (client === 'messages') === (upstream === 'claude');
  return isSame ? /nothing of the kind/ : /message_stop|\[DONE\]/;
}

describe('a chain of upstreams that speak different dialects', () => {
  const failures = ['error-500', 'error-529', 'error-in-stream', 'garbage', 'cut-at-byte-10'];
  const routes = ['claude-then-chat', 'chat-then-claude', 'claude-then-claude'];
  const cases = failures.flatMap((script) =>
    routes.flatMap((route) => (['messages', 'chat'] as const).map((client) => ({ script, route, client }))),
  );

  test.each(cases)(
    '$route fails over for a client of $client after $script',
    async ({ script, route, client }) => {
      gateway.snapshot = snapshotOver(script);
      const response = await ask(client, route, { stream: true });
      expect(response.status).toBe(200);
      expect(response.headers.get('x-signalbox-attempts')).toBe('2');
      expect(readStream(client, await response.text()).choices[0]!.text).toBe(expectedText);
      expect(gateway.ledger.story[1]).toBe('completed');
    },
  );

  test('passes over a target that cannot be asked, and says so when none can', async () => {
    const chosen = await ask('chat', 'claude-then-chat', { n: 2 });
    expect(chosen.status).toBe(200);
    expect(chosen.headers.get('x-signalbox-attempts')).toBe('1');
    expect(provider.bill()).toEqual([]);

    const refused = await ask('chat', 'claude-then-claude', { n: 2 });
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as { error: object }).error).toMatchObject({
      code: 'unsupported_field',
      param: 'n',
    });
    expect(gateway.ledger.story).toEqual(['completed']);
  });

  test.each([
    ['chat', 'claude/ok', { logprobs: true }, 'logprobs'],
    ['chat', 'claude/ok', { modalities: ['text', 'audio'] }, 'modalities'],
    ['chat', 'claude/ok', { seed: 1 }, 'seed'],
    ['messages', 'fake/ok', { top_k: 5 }, 'top_k'],
    ['messages', 'fake/ok', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0]'],
  ] as const)('a client of %s asking %s for %j is refused by name', async (client, model, more, field) => {
    const response = await ask(client, model, more);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(`"${field}"`);
    expect(provider.requests()).toEqual([]);
  });
});

describe('a translated stream that is cut', () => {
  test.each([
    ['messages', 'chat-then-claude'],
    ['chat', 'claude-then-chat'],
  ] as const)('for %s on %s at any byte is retried, ended with an error, or whole', async (client, route) => {
    gateway.snapshot = snapshotOver('chunks-2');
    await (await ask(client, route, { stream: true })).text();
    const bytes = provider.requests()[0]!.bytesSent;
    for (let at = 1; at < bytes; at += 1) {
      gateway.snapshot = snapshotOver(`chunks-2.cut-at-byte-${at}`);
      const response = await ask(client, route, { stream: true });
      const text = await response.text();
      const turn = readStream(client, text);
      const isRetried = response.headers.get('x-signalbox-attempts') === '2';
      if (isRetried) expect(turn.choices[0]!.text).toBe(expectedText);
      else if (turn.error === undefined) expect(turn.choices[0]!.text).toBe('word1 word2 ');
      else expect('word1 word2 ').toContain(turn.choices[0]?.text ?? '');
    }
    expect(gateway.ledger.entries.every(({ settlements }) => settlements.length === 1)).toBe(true);
  });
});

describe('a translated stream of many megabytes', () => {
  test.each([
    ['messages', 'fake'],
    ['chat', 'claude'],
  ] as const)(
    'for %s from %s is not held in memory for a client that does not read',
    async (client, upstream) => {
      const model = `${upstream}/chunks-2000.big-60mb`;
      const response = await ask(client, model, { stream: true, max_tokens: 2000 });
      const sent = () => provider.requests()[0]!.bytesSent;
      // Waits until the provider is held up: nothing more leaves it from one look to the next.
      let before = -1;
      await vi.waitFor(
        () => {
          const now = sent();
          const isStill = now === before;
          before = now;
          expect(isStill).toBe(true);
        },
        { interval: 100, timeout: 10_000 },
      );
      expect(sent()).toBeLessThan(40 * 1024 * 1024);
      let received = 0;
      for await (const bytes of response.body!) received += bytes.length;
      expect(received).toBeGreaterThan(60 * 1024 * 1024);
      expect(gateway.ledger.story).toEqual(['completed']);
    },
  );
});

describe('what reaches an upstream of the messages dialect', () => {
  test('from its own client are the bytes, with the model changed, and the headers of the dialect', async () => {
    const body = '{ "max_tokens":9, "model" : "claude/ok", "messages":[{"content":"é","role":"user"}] }';
    await fetch(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${goodKey}`,
        'content-type': 'application/json',
        'anthropic-beta': 'a,b',
        'anthropic-version': '2024-01-01',
      },
      body,
    });
    const [request] = provider.requests();
    expect(request!.body.toString()).toBe(body.replace('claude/ok', 'ok'));
    expect(request!.path).toBe('/v1/messages');
    expect(request!.headers).toMatchObject({ 'anthropic-beta': 'a,b', 'anthropic-version': '2024-01-01' });
    expect(request!.headers.authorization).toBeUndefined();
  });

  test('from another client is a request with a limit, and without the client’s headers', async () => {
    await ask('chat', 'claude/ok', { max_tokens: undefined });
    const [request] = provider.requests();
    expect(JSON.parse(request!.body.toString())).toEqual({
      model: 'ok',
      max_tokens: 64_000,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
    });
    expect(request!.headers).toMatchObject({ 'anthropic-version': '2023-06-01' });
    expect(request!.headers['anthropic-beta']).toBeUndefined();
  });

  test('and one of the chat dialect is asked for usage and told the limit', async () => {
    await (await ask('messages', 'fake/ok', { stream: true, system: 'Be brief.' })).text();
    expect(JSON.parse(provider.requests()[0]!.body.toString())).toEqual({
      model: 'ok',
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 100,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
      ],
    });
  });
});

describe('the messages API', () => {
  test('works on the provider that answers by itself', async () => {
    const turn = readStream('messages', await (await ask('messages', 'demo/demo', { stream: true })).text());
    expect(turn.choices[0]!.text).toContain('You asked: "hello".');
    expect(gateway.ledger.entries[0]!.intent.operation).toBe('anthropic-messages');
  });

  test('estimates tokens without asking anyone', async () => {
    const response = await fetch(`${gateway.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: { 'x-api-key': goodKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'ok', messages: [{ role: 'user', content: 'x'.repeat(35) }] }),
    });
    expect(await response.json()).toEqual({ input_tokens: 10 });
    expect(provider.requests()).toEqual([]);
  });

  test.each([
    ['/v1/messages', { 'x-api-key': 'sb-wrong' }, 401, 'authentication_error'],
    ['/v1/messages', { 'x-api-key': goodKey }, 404, 'not_found_error'],
    ['/v1/messages/count_tokens', { 'x-api-key': goodKey }, 404, 'not_found_error'],
  ] as const)('at %s tells %j errors in its own shape', async (path, headers, status, type) => {
    const response = await fetch(gateway.url + path, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'nobody', max_tokens: 1, messages: [] }),
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ type: 'error', error: { type, message: expect.any(String) } });
  });
});

function expectSettledAsBilled(client: ClientName): void {
  const [billed] = provider.bill();
  const [entry] = gateway.ledger.entries;
  expect(entry!.intent.operation).toBe(clients[client].dialect.name);
  expect(entry!.settlements).toMatchObject([
    {
      outcome: 'completed',
      errorCode: '',
      usage: { input: billed!.promptTokens, output: billed!.completionTokens },
    },
  ]);
}
