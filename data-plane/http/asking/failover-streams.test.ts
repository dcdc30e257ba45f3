import { describe, expect, test } from 'vitest';
import { ask, goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { startRawServer } from '#test/harness/raw-server.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropic } from '../../providers/anthropic.ts';
import type { Route } from '../../snapshot/snapshot.ts';

const { provider, gateway } = gatewayPerTest(() => ({ limits: { upstreamIdleMs: 100 } }));

type Recovery = Route['streamRecovery'];

/** Members of a route, the first of them at a provider that speaks OpenAI's language, the others as they are told. */
function offer(
  members: readonly string[],
  streamRecovery: Recovery = 'continue',
  speaksClaude = false,
): void {
  const deployments = members.map((script, index) => {
    const kind = speaksClaude && index > 0 ? { kind: anthropic('anthropic') } : {};
    const baseUrl = provider.baseUrl;
    return deploymentOf(script, providerOf(`p${index}`, { baseUrl, ...kind }), { id: `${index}` });
  });
  gateway.snapshot = plainSnapshot(provider, {
    deployments,
    routes: [{ ...routeOf('smart', members), streamRecovery }],
  });
}

interface Chunk {
  readonly id: string;
  readonly error?: { readonly code: string };
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly choices: readonly {
    readonly delta: { readonly role?: string; readonly content?: string | null };
    readonly finish_reason: string | null;
  }[];
}

async function chat(more: object = {}) {
  const options = { stream_options: { include_usage: true }, ...more };
  const response = await ask(gateway.url, { model: 'smart', stream: true, more: options });
  const data = (await response.text()).split('\n\n').flatMap((event) => event.split('data: ')[1] ?? []);
  const chunks = data.filter((text) => text !== '[DONE]').map((text) => JSON.parse(text) as Chunk);
  const deltas = chunks.flatMap(({ choices = [] }) => choices);
  return {
    text: deltas.map(({ delta }) => delta.content ?? '').join(''),
    ids: [...new Set(chunks.flatMap(({ id = [] }) => id))],
    roles: deltas.filter(({ delta }) => delta.role !== undefined).length,
    ends: deltas.flatMap(({ finish_reason }) => finish_reason ?? []),
    isDone: data.at(-1) === '[DONE]',
    error: chunks.find(({ error }) => error)?.error?.code,
    usage: chunks.findLast(({ usage }) => usage)?.usage?.completion_tokens,
  };
}

describe('a stream that breaks off', () => {
  test.each([
    'cut-after-1',
    'cut-after-3.rst',
    'cut-after-5',
    'stall-after-2',
    'error-in-stream.pause-20ms',
    'garbage-after-2.pause-20ms',
  ])('(%s) goes on at the next target as if nothing had happened', async (script) => {
    offer([script, 'ok.chunks-3']);
    const seen = await chat();
    expect(seen).toMatchObject({ roles: 1, ends: ['stop'], isDone: true, error: undefined });
    expect(seen.ids).toHaveLength(1);
    expect(gateway.ledger.story.map((end) => end.split(' ')[0])).toEqual(['failed', 'completed']);
    const [first, second] = provider.requests().map(({ body }) => JSON.parse(body.toString()));
    const [beginning, ...rest] = second.messages.slice(first.messages.length);
    expect(rest).toEqual([]);
    expect(beginning.role).toBe('assistant');
    expect(seen.text.startsWith(beginning.content)).toBe(true);
    expect(seen.text.length).toBeGreaterThan(beginning.content.length);
  });

  test('goes on in another language', async () => {
    offer(['cut-after-2', 'ok.chunks-3'], 'continue', true);
    expect(await chat()).toMatchObject({ roles: 1, ends: ['stop'], isDone: true, error: undefined });
  });

  test('goes on in the language of the client, whoever answers', async () => {
    offer(['cut-after-2', 'ok.chunks-3'], 'continue', true);
    const response = await fetch(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': goodKey, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'smart',
        max_tokens: 64,
        stream: true,
        messages: [{ role: 'user', content: 'hello' }],
      }),
    });
    const types = [...(await response.text()).matchAll(/^event: (\w+)/gm)].map(([, type]) => type);
    expect(types.filter((type) => type !== 'content_block_delta' && type !== 'ping')).toEqual([
      'message_start',
      'content_block_start',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
  });

  test('goes on past those who cannot', async () => {
    offer(['cut-after-2', 'error-400', 'error-503', 'ok']);
    expect(await chat()).toMatchObject({ ends: ['stop'], isDone: true, error: undefined });
    expect(gateway.ledger.story).toHaveLength(4);
  });

  test('more than once goes on more than once, and the usage is that of all', async () => {
    offer([
      'usage-every-chunk.chunks-9.cut-after-2',
      'usage-every-chunk.chunks-9.cut-after-3',
      'ok.chunks-4',
    ]);
    const seen = await chat();
    expect(seen).toMatchObject({ roles: 1, ends: ['stop'], isDone: true });
    const settled = gateway.ledger.entries.flatMap(({ settlements }) => settlements[0]!.usage?.output ?? 0);
    expect(seen.usage).toBe(settled.reduce((sum, output) => sum + output, 0));
  });

  test('and that nobody goes on with ends with the reason why it broke off', async () => {
    offer(['cut-after-2', 'error-503', 'error-401']);
    expect(await chat()).toMatchObject({ error: 'upstream_truncated', isDone: false });
  });

  test('after a tool call ends with an error', async () => {
    offer(['tool-call.error-in-stream-after-3.pause-20ms', 'ok']);
    expect((await chat()).error).toBe('upstream_error');
    expect(provider.requests()).toHaveLength(1);
  });

  test.each([
    ['several answers', { n: 2 }],
    ['probabilities', { logprobs: true }],
    ['JSON', { response_format: { type: 'json_object' } }],
  ])('ends with an error where %s were asked for', async (_what, more) => {
    offer(['cut-after-2', 'ok']);
    expect((await chat(more)).error).toBe('upstream_truncated');
  });

  test('ends with an error where the route does not say otherwise', async () => {
    offer(['cut-after-2', 'ok'], 'error');
    expect((await chat()).error).toBe('upstream_truncated');
  });
});

test('a stream that breaks off before its first byte is asked for again from the beginning', async () => {
  offer(['error-in-stream-after-0', 'ok.chunks-3']);
  expect(await chat()).toMatchObject({ roles: 1, isDone: true, error: undefined });
  const [first, second] = provider.requests().map(({ body }) => JSON.parse(body.toString()));
  expect(second.messages).toEqual(first.messages);
});

test('a head and then silence is no first byte: another is asked', async () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
  const silent = await startRawServer({ onData: ({ socket }) => void socket.write(head) });
  const nowhere = providerOf('silent', { baseUrl: `http://127.0.0.1:${silent.port}/v1` });
  const well = providerOf('well', { baseUrl: provider.baseUrl });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [deploymentOf('mute', nowhere, { timeoutMs: 50 }), deploymentOf('ok.chunks-3', well)],
    routes: [routeOf('smart', ['mute', 'ok.chunks-3'])],
  });
  expect(await chat()).toMatchObject({ roles: 1, isDone: true, error: undefined });
  expect(gateway.ledger.story).toEqual(['failed upstream_timeout', 'completed']);
  await silent.stop();
});
