// Gemini's API as a surface: where it is asked, how a key comes in, in which forms a stream goes out, and that the same answer comes
// from every kind of upstream.
import { describe, expect, test } from 'vitest';
import { FAKE_SIGNATURE } from '#test/harness/fake-provider/gemini-answers.ts';
import { goodKey, limitedKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropic } from '../providers/anthropic.ts';
import { demoProvider } from '../providers/demo.ts';
import { gemini } from '../providers/gemini.ts';

const { provider, gateway } = gatewayPerTest(({ provider }) => {
  const google = providerOf('google', { baseUrl: provider.baseUrl, kind: gemini('gemini') });
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  return {
    snapshot: plainSnapshot(provider, {
      providers: [google, claude, providerOf('demo', { kind: demoProvider })],
      deployments: [
        deploymentOf('gemini', google, { upstreamModel: 'ok' }),
        deploymentOf('bad-gemini', google, { upstreamModel: 'error-500' }),
        deploymentOf('team/gemini', google, { upstreamModel: 'ok' }),
      ],
      routes: [routeOf('safe', ['bad-gemini', 'ok'])],
    }),
  };
});

const contents = [{ role: 'user', parts: [{ text: 'hello' }] }];

interface Answer {
  readonly candidates: readonly {
    readonly content: { readonly parts: readonly Record<string, unknown>[] };
    readonly finishReason?: string;
  }[];
  readonly usageMetadata?: { readonly candidatesTokenCount: number; readonly promptTokenCount: number };
}

function post(
  path: string,
  body: object = { contents },
  headers: Record<string, string> = { 'x-goog-api-key': goodKey },
) {
  return fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

function textIn(answers: readonly Answer[]): string {
  return answers
    .flatMap(({ candidates }) => candidates[0]!.content.parts.map(({ text }) => text ?? ''))
    .join('');
}

async function events(response: Response): Promise<readonly Answer[]> {
  expect(response.headers.get('content-type')).toMatch('text/event-stream');
  const lines = (await response.text()).split(/\r?\n/).filter((line) => line.startsWith('data:'));
  return lines.map((line) => JSON.parse(line.slice(5)) as Answer);
}

const words = 'word1 word2 word3 word4 word5 ';

describe.each(['gemini', 'google/ok', 'ok', 'claude/ok', 'google/crlf', 'google/one-byte-chunks', 'safe'])(
  'the model %s',
  (model) => {
    test('answers whole', async () => {
      const answer = (await (await post(`/v1beta/models/${model}:generateContent`)).json()) as Answer;
      expect(textIn([answer])).toBe(words);
      expect(answer.candidates[0]).toMatchObject({ finishReason: 'STOP', content: { role: 'model' } });
      expect(answer.usageMetadata?.candidatesTokenCount).toBe(5);
    });

    test('answers as a stream of events', async () => {
      const answers = await events(await post(`/v1beta/models/${model}:streamGenerateContent?alt=sse`));
      expect(textIn(answers)).toBe(words);
      expect(answers.at(-1)!.candidates[0]).toMatchObject({ finishReason: 'STOP' });
      expect(
        answers.findLast(({ usageMetadata }) => usageMetadata)?.usageMetadata?.candidatesTokenCount,
      ).toBe(5);
      for (const { candidates } of answers) expect(candidates[0]!.content.parts.length).toBeGreaterThan(0);
    });

    test('answers as one long list where nobody asks for events', async () => {
      const response = await post(`/v1beta/models/${model}:streamGenerateContent`);
      expect(response.headers.get('content-type')).toMatch('application/json');
      const answers = (await response.json()) as readonly Answer[];
      expect(textIn(answers)).toBe(words);
      expect(answers.at(-1)!.candidates[0]).toMatchObject({ finishReason: 'STOP' });
      const { settlements } = gateway.ledger.entries.at(-1)!;
      expect(settlements).toMatchObject([{ outcome: 'completed', usage: { output: 5 } }]);
    });
  },
);

test('the provider that answers by itself streams as one list too', async () => {
  const response = await post('/v1beta/models/demo/demo:streamGenerateContent');
  expect(textIn((await response.json()) as readonly Answer[])).toContain('hello');
});

describe('between a client and an upstream of this API', () => {
  test('bytes pass in both directions', async () => {
    const body = '{ "contents":[ {"parts":[{"text":"\\u0041"}]} ], "cachedContent" : "c" }';
    const send = (text: string) =>
      fetch(`${gateway.url}/v1beta/models/gemini:generateContent`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${goodKey}` },
        body: text,
      });
    const response = await send(body.replace('{ ', '{ "x-gateway":{"tags":["a"]}, '));
    expect(response.status).toBe(200);
    const [request] = provider.requests();
    expect(request!.body.toString().replace(/^\{\s*/, '{ ')).toBe(body);
    expect(request!.path).toBe('/v1/models/ok:generateContent');
    expect(gateway.ledger.entries[0]).toMatchObject({
      intent: { operation: 'gemini', upstreamModel: 'ok', tags: ['a'] },
      settlements: [{ outcome: 'completed', usage: { output: 5 } }],
    });
  });

  test('a provider’s refusal passes in its own words', async () => {
    const response = await post('/v1beta/models/google/error-400:generateContent');
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: { code: 400, status: 'INVALID_ARGUMENT', message: 'The fake provider rejects this request.' },
    });
  });

  test('a stream that breaks off ends with an error', async () => {
    const response = await post('/v1beta/models/google/cut-after-3:streamGenerateContent?alt=sse');
    const last = (await response.text()).trim().split('data: ').at(-1)!;
    expect(JSON.parse(last)).toMatchObject({ error: { code: 502, status: 'UNAVAILABLE' } });
    const list = await post('/v1beta/models/google/chunks-3.pause-5ms.no-done:streamGenerateContent');
    expect(((await list.json()) as unknown[]).at(-1)).toMatchObject({ error: { code: 502 } });
  });
});

describe('calls of tools', () => {
  const tools = [
    {
      functionDeclarations: [
        { name: 'get_weather', parameters: { type: 'OBJECT', properties: { city: { type: 'STRING' } } } },
      ],
    },
  ];

  test.each(['google/tool-calls-2', 'fake/tool-calls-2', 'claude/tool-calls-2'])(
    'of %s come whole, with ids',
    async (model) => {
      for (const verb of ['generateContent', 'streamGenerateContent?alt=sse']) {
        const response = await post(`/v1beta/models/${model}:${verb}`, { contents, tools });
        const answers =
          verb === 'generateContent' ? [(await response.json()) as Answer] : await events(response);
        const calls = answers.flatMap(({ candidates }) =>
          candidates[0]!.content.parts.flatMap(({ functionCall }) => functionCall ?? []),
        );
        expect(calls).toMatchObject([
          { name: 'get_weather', args: { city: 'Zürich' } },
          { name: 'get_weather', args: { city: 'Zürich' } },
        ]);
      }
    },
  );

  test('from Gemini reach clients of chat completions and go back with what they were signed with', async () => {
    const chat = (messages: readonly object[]) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${goodKey}` },
        body: JSON.stringify({
          model: 'google/tool-calls-2',
          messages,
          tools: [
            {
              type: 'function',
              function: { name: 'get_weather', parameters: { type: 'object', properties: {} } },
            },
          ],
        }),
      });
    const asked = { role: 'user', content: 'hello' };
    const { choices } = (await (await chat([asked])).json()) as {
      choices: { finish_reason: string; message: { tool_calls: { id: string }[] } }[];
    };
    expect(choices[0]!.finish_reason).toBe('tool_calls');
    const { message } = choices[0]!;
    const results = message.tool_calls.map(({ id }, index) => ({
      role: 'tool',
      tool_call_id: id,
      content: `result ${index}`,
    }));
    expect((await chat([asked, message, ...results])).status).toBe(200);
    const sent = JSON.parse(provider.requests().at(-1)!.body.toString());
    expect(sent.contents).toMatchObject([
      { role: 'user' },
      {
        role: 'model',
        parts: [
          { functionCall: { name: 'get_weather' }, thoughtSignature: FAKE_SIGNATURE },
          { functionCall: { name: 'get_weather' } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { name: 'get_weather', response: { output: 'result 0' } } },
          { functionResponse: { name: 'get_weather', response: { output: 'result 1' } } },
        ],
      },
    ]);
  });
});

describe('a path', () => {
  test.each([
    '/v1beta/models/team/gemini:generateContent',
    '/v1beta/models/team%2Fgemini:generateContent',
    '/v1beta/team/gemini:generateContent',
    '/v1/models/gemini:generateContent',
    '/v1beta/publishers/google/models/gemini:generateContent',
  ])('%s leads to a model', async (path) => {
    const response = await post(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-signalbox-model')).toMatch(/gemini$/);
  });

  test.each([
    ['/v1beta/models/nobody:generateContent', 404, 'NOT_FOUND'],
    ['/v1beta/models/%zz:generateContent', 400, 'INVALID_ARGUMENT'],
  ])('%s does not', async (path, status, word) => {
    const response = await post(path);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code: status, status: word } });
  });
});

describe('a key', () => {
  const path = '/v1beta/models/gemini:generateContent';

  test.each([
    [{ 'x-goog-api-key': goodKey }],
    [{ 'x-api-key': goodKey }],
    [{ authorization: `Bearer ${goodKey}` }],
  ])('is taken from the headers %j', async (headers) => {
    expect((await post(path, { contents }, headers as Record<string, string>)).status).toBe(200);
  });

  test('is never taken from the address, and whoever puts it there hears why', async () => {
    for (const headers of [{}, { 'x-goog-api-key': goodKey }]) {
      const response = await post(`${path}?key=${goodKey}`, { contents }, headers as Record<string, string>);
      expect(response.status).toBe(401);
      const { error } = (await response.json()) as { error: { message: string; status: string } };
      expect(error).toMatchObject({
        status: 'UNAUTHENTICATED',
        message: expect.stringContaining('x-goog-api-key'),
      });
      expect(JSON.stringify(error)).not.toContain(goodKey);
    }
    expect(provider.requests()).toEqual([]);
  });

  test('that is missing or wrong is told in Google’s words', async () => {
    for (const headers of [{}, { 'x-goog-api-key': 'sb-wrong' }]) {
      const response = await post(path, { contents }, headers as Record<string, string>);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ error: { code: 401, status: 'UNAUTHENTICATED' } });
    }
  });

  test('may ask for no model but its own', async () => {
    const response = await post(path, { contents, model: 'models/ok' }, { 'x-goog-api-key': limitedKey });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { status: 'PERMISSION_DENIED' } });
  });
});

describe('the list of models', () => {
  const get = (path: string, key = goodKey) =>
    fetch(gateway.url + path, { headers: { 'x-goog-api-key': key } });

  test('has those that the key may use, as Google lists them', async () => {
    const { models } = (await (await get('/v1beta/models?pageSize=50')).json()) as {
      models: { name: string }[];
    };
    expect(models.map(({ name }) => name)).toContain('models/team/gemini');
    expect(models[0]).toMatchObject({
      supportedGenerationMethods: expect.arrayContaining(['generateContent']),
    });
    expect(await (await get('/v1beta/models', limitedKey)).json()).toMatchObject({
      models: [{ name: 'models/ok' }],
    });
  });

  test('is Google’s at the path of the others too, for whoever comes with Google’s header', async () => {
    expect(await (await get('/v1/models')).json()).toHaveProperty('models');
    expect(await (await get('/v1/models/team/gemini')).json()).toMatchObject({ name: 'models/team/gemini' });
  });

  test('shows one', async () => {
    for (const path of ['/v1beta/models/team/gemini', '/v1beta/models/team%2Fgemini']) {
      expect(await (await get(path)).json()).toMatchObject({
        name: 'models/team/gemini',
        displayName: 'team/gemini',
      });
    }
    const missing = await get('/v1beta/models/nobody');
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { status: 'NOT_FOUND' } });
  });
});
