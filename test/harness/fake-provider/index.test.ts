import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeProvider, startFakeProvider } from './index.ts';
import { startFakeProviderProcess } from './process.ts';

let provider: FakeProvider;
beforeEach(async () => {
  provider = await startFakeProvider();
});
afterEach(() => provider.stop());

interface Asked {
  readonly stream?: boolean;
  readonly metadata?: Record<string, string>;
  readonly stream_options?: object;
  readonly signal?: AbortSignal;
  readonly [field: string]: unknown;
}

function ask(
  model: string,
  { signal, ...fields }: Asked = {},
  baseUrl = provider.baseUrl,
): Promise<Response> {
  return fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'x-client-request-id': 'attempt-1' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], ...fields }),
    ...(signal && { signal }),
  });
}

const eventsOf = (text: string) =>
  text
    .split(/\r?\n\r?\n/)
    .filter((block) => block.startsWith('data: {'))
    .map((block) => JSON.parse(block.slice(6)));

describe('an answer', () => {
  test('is the same whole and streamed, and so is its bill', async () => {
    const whole = (await (await ask('gpt-4o')).json()) as {
      choices: [{ message: { content: string } }];
      usage: object;
    };
    const events = eventsOf(await (await ask('gpt-4o', { stream: true })).text());
    const streamed = events.map((event) => event.choices[0].delta.content ?? '').join('');
    expect(streamed).toBe(whole.choices[0].message.content);
    const [first, second] = provider.bill();
    expect(first).toMatchObject({
      completionTokens: 5,
      finished: true,
      aborted: false,
      clientRequestId: 'attempt-1',
    });
    expect(second).toMatchObject({ ...first, streamed: true, at: second!.at });
    expect(whole.usage).toEqual({ prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 });
  });

  test('reports usage in a stream only when asked, unless told otherwise', async () => {
    const usages = async (model: string, fields: Asked = {}) =>
      eventsOf(await (await ask(model, { stream: true, ...fields })).text()).filter((event) => event.usage)
        .length;
    expect(await usages('ok')).toBe(0);
    expect(await usages('ok', { stream_options: { include_usage: true } })).toBe(1);
    expect(await usages('usage-on-finish')).toBe(1);
    expect(await usages('usage-every-chunk')).toBe(7);
    expect(await usages('no-usage', { stream_options: { include_usage: true } })).toBe(0);
  });

  test('may lie about usage, but not on the bill', async () => {
    const { usage } = (await (await ask('lie-usage')).json()) as { usage: { completion_tokens: number } };
    expect(usage.completion_tokens).toBe(1_000_000);
    expect(provider.bill()[0]!.completionTokens).toBe(5);
  });

  test('calls tools, in pieces that join to JSON', async () => {
    const events = eventsOf(await (await ask('tool-calls-2', { stream: true })).text());
    for (const index of [0, 1]) {
      const pieces = events.map(
        (event) => event.choices[0].delta.tool_calls?.[index]?.function.arguments ?? '',
      );
      expect(JSON.parse(pieces.join(''))).toEqual({ city: 'Zürich', days: [1, 2, 3] });
    }
  });

  test('gives several choices, stops at a limit, and echoes what it received', async () => {
    const choices = async (model: string, fields: Asked = {}) =>
      (
        (await (await ask(model, fields)).json()) as {
          choices: { finish_reason: string; message: { content: string } }[];
        }
      ).choices;
    expect(await choices('n-2')).toHaveLength(2);
    expect(await choices('ok', { max_tokens: 2 })).toMatchObject([{ finish_reason: 'length' }]);
    const [echoed] = await choices('echo', { unknown: [1] });
    expect(JSON.parse(echoed!.message.content)).toMatchObject({ model: 'echo', unknown: [1] });
  });
});

describe('behaviours', () => {
  test('are chosen by the request, then by setBehaviour, then by the name of the model', async () => {
    const status = async (model: string, fields?: Asked) => (await ask(model, fields)).status;
    expect(await status('error-503')).toBe(503);
    provider.setBehaviour('error-500');
    expect(await status('error-503')).toBe(500);
    provider.setBehaviour('error-429', { model: 'a' });
    expect([await status('a'), await status('b')]).toEqual([429, 500]);
    expect(await status('a', { metadata: { behaviour: 'ok' } })).toBe(200);
    provider.reset();
    provider.setBehaviour('error-500', { times: 2 });
    expect([await status('a'), await status('a'), await status('a')]).toEqual([500, 500, 200]);
  });

  test('that are misspelt are an error, ordinary model names are not', async () => {
    expect((await ask('ok.cut-aftr-3')).status).toBe(400);
    expect((await ask('gpt-4.1')).status).toBe(200);
    expect(() => provider.setBehaviour('eror-500')).toThrow(/"eror-500"/);
  });

  test('errors are not billed, answers that break are', async () => {
    await ask('error-500');
    await ask('wrong-content-type');
    expect(provider.bill()).toEqual([]);
    await expect(ask('cut-after-3', { stream: true }).then((answer) => answer.text())).rejects.toThrow();
    expect(provider.bill()).toMatchObject([{ completionTokens: 3, finished: false, aborted: false }]);
  });

  test('a client that leaves is seen', async () => {
    const leaving = new AbortController();
    const answer = await ask('stall-after-2', { stream: true, signal: leaving.signal });
    expect(answer.status).toBe(200);
    leaving.abort();
    await expect
      .poll(() => provider.bill()[0])
      .toMatchObject({ aborted: true, finished: false, completionTokens: 2 });
    expect(provider.load().inFlight).toBe(0);
  });

  test('a required key is required', async () => {
    const guarded = await startFakeProvider({ requiredKey: 'sk-right' });
    expect((await ask('ok', {}, guarded.baseUrl)).status).toBe(401);
    expect(guarded.bill()).toEqual([]);
    await guarded.stop();
  });
});

test('requests are read however they arrive', async () => {
  const body = JSON.stringify({ model: 'ok', messages: [] });
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const raw =
    `POST /v1/chat/completions HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}` +
    `POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n${chunked}`;
  const socket = connect(provider.port, '127.0.0.1');
  for (const character of raw) {
    socket.write(character);
    await new Promise(setImmediate);
  }
  await expect.poll(() => provider.bill().length).toBe(2);
  socket.destroy();
});

test('as a process of its own it keeps the same bill', async () => {
  const child = await startFakeProviderProcess({ behaviour: 'chunks-2' });
  try {
    await (await ask('gpt-4o', {}, child.baseUrl)).text();
    expect(await child.bill()).toMatchObject([{ model: 'gpt-4o', completionTokens: 2, finished: true }]);
    const [request] = await child.requests();
    expect(JSON.parse(request!.body.toString())).toMatchObject({ model: 'gpt-4o' });
    await child.setBehaviour('error-500');
    expect((await ask('gpt-4o', {}, child.baseUrl)).status).toBe(500);
    await expect(child.setBehaviour('nonsense')).rejects.toThrow(/"nonsense"/);
    await child.reset();
    expect(await child.bill()).toEqual([]);
  } finally {
    await child.stop();
  }
  expect(child.process.running()).toBe(false);
});
