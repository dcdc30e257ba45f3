import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { checkResponseStream } from '#test/fixtures/response-events.ts';
import { responseSchema } from '#test/fixtures/response-schema.ts';
import { errorOf } from '#test/harness/gateway.ts';
import { ResponsesStage, spoken } from '#test/harness/responses-stage.ts';
import type { ResponseStore } from '../responses/store.ts';

let stage: ResponsesStage;

beforeAll(async () => {
  stage = await ResponsesStage.open();
});

beforeEach(() => stage.reset());

afterAll(() => stage.close());

const upstreams = ['native/ok', 'stateless/ok', 'chat/ok', 'claude/ok'];
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', name: 'get_weather', parameters: schema }];

describe.each([...upstreams, 'demo/demo'])('a response of %s', (model) => {
  test('has every field, and is kept', async () => {
    const response = responseSchema.parse(await stage.answerTo({ model }));
    expect(response).toMatchObject({ status: 'completed', output: [{ type: 'message' }] });
    if (model !== 'demo/demo') {
      expect(response.output).toMatchObject([{ content: [{ type: 'output_text', text: spoken }] }]);
    }
    expect(await (await stage.kept(response.id)).json()).toEqual(response);
  });

  test('streams by the grammar of the API, and is kept as it ended', async () => {
    const answer = await stage.ask({ model, stream: true });
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const { response } = checkResponseStream(await answer.text());
    expect(response.status).toBe('completed');
    expect(await (await stage.kept(response.id)).json()).toEqual(response);
  });

  test.each([false, true])('calls tools (streamed: %s)', async (stream) => {
    const calling = model.startsWith('demo') ? model : model.replace('/ok', '/tool-calls-2');
    const answer = await stage.ask({ model: calling, stream, tools, tool_choice: 'required' });
    const body = await answer.text();
    const { output } = stream ? checkResponseStream(body).response : responseSchema.parse(JSON.parse(body));
    const calls = output.filter(({ type }) => type === 'function_call');
    expect(calls.length).toBe(model.startsWith('demo') ? 1 : 2);
    for (const call of calls) {
      expect(call).toMatchObject({ name: 'get_weather', call_id: expect.stringMatching(/./) });
      expect(JSON.parse((call as { arguments: string }).arguments)).toHaveProperty('city');
    }
  });
});

test.each(upstreams)('a response of %s is settled as billed', async (model) => {
  await stage.answerTo({ model });
  const [entry] = stage.gateway.ledger.entries;
  const [bill] = stage.provider.bill();
  expect(entry!.intent.operation).toBe('openai-responses');
  expect(entry!.settlements).toMatchObject([
    { outcome: 'completed', usage: { input: bill!.promptTokens, output: bill!.completionTokens } },
  ]);
});

test('the older path answers too', async () => {
  expect((await stage.ask({ model: 'chat/ok', path: '/responses' })).status).toBe(200);
});

test('a model that stops at its limit gives an incomplete response', async () => {
  for (const model of upstreams) {
    expect(await stage.answerTo({ model, max_output_tokens: 2 })).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    });
  }
});

describe('to a provider of the same dialect', () => {
  test('the body goes with nothing but the model changed', async () => {
    const body = '{ "input": "hello",\n  "model" : "native/ok", "unknown": [1.50] , "store":true}';
    const response = await stage.post(body);
    expect(response.status).toBe(200);
    expect(stage.provider.requests().at(-1)!.body.toString()).toBe(body.replace('native/ok', 'ok'));
  });

  test('what it said comes back byte for byte', async () => {
    const answer = await (await stage.ask({ model: 'native/ok' })).text();
    expect(JSON.parse(answer).id).toMatch(/^resp_fake/);
  });

  test('that keeps nothing, a wish to keep is not told', async () => {
    await stage.answerTo({ model: 'stateless/ok', store: true });
    expect(stage.sent().store).toBe(false);
    await stage.answerTo({ model: 'stateless/ok' });
    expect(stage.sent()).not.toHaveProperty('store');
  });

  test('reasoning of other makers does not go', async () => {
    const foreign = { type: 'reasoning', summary: [], encrypted_content: 'sb1.anthropic..secret' };
    const own = { type: 'reasoning', summary: [], encrypted_content: 'gAAAA' };
    const said = { role: 'user', content: 'hello' };
    await stage.answerTo({ model: 'native/ok', input: [foreign, own, said] });
    expect(stage.sent().input).toEqual([own, said]);
  });
});

describe('what is not possible is refused by its name', () => {
  test.each([
    ['background', { background: true }],
    ['background', { background: 'yes' }],
    ['conversation', { conversation: 'conv_1' }],
    ['store', { store: 'yes' }],
    ['previous_response_id', { previous_response_id: 5 }],
  ])('%s in %j', async (param, fields) => {
    const response = await stage.ask({ model: 'native/ok', ...fields });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: 'invalid_request', param });
    expect(stage.provider.requests()).toEqual([]);
  });

  test('a tool that only this dialect knows, where it is translated', async () => {
    const response = await stage.ask({ model: 'chat/ok', tools: [{ type: 'web_search' }] });
    expect(await errorOf(response)).toMatchObject({
      code: 'unsupported_field',
      param: 'tools[0] (web_search)',
    });
    expect((await stage.ask({ model: 'native/ok', tools: [{ type: 'web_search' }] })).status).toBe(200);
  });
});

describe('an error in a stream', () => {
  test.each(['native', 'chat', 'claude'])(
    'of %s goes on counting, and says that the response failed',
    async (at) => {
      const answer = await stage.ask({ model: `${at}/cut-after-2`, stream: true });
      const events = (await answer.text())
        .split('\n\n')
        .filter(Boolean)
        .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)));
      expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
      expect(events.at(-2)).toMatchObject({ type: 'error', code: 'upstream_truncated' });
      expect(events.at(-1)).toMatchObject({ type: 'response.failed', response: { status: 'failed' } });
      expect(events.at(-1).response.id).toBe(events[0].response.id);
      expect(stage.gateway.ledger.story).toEqual(['failed upstream_truncated']);
    },
  );
});

describe('a store that cannot be reached', () => {
  const away: ResponseStore = {
    put: () => undefined,
    read: () => Promise.reject(unavailable()),
    findItems: () => Promise.reject(unavailable()),
    remove: () => Promise.reject(unavailable()),
    close: () => Promise.resolve(),
  };

  beforeEach(() => stage.reset(away));

  test('delays and fails no answer that does not need it', async () => {
    expect((await stage.ask({ model: 'chat/ok' })).status).toBe(200);
    expect((await stage.ask({ model: 'native/ok', stream: true })).status).toBe(200);
  });

  test('is told to those who need it', async () => {
    const id = 'resp_1';
    const answers = [
      stage.ask({ model: 'chat/ok', previous_response_id: id }),
      stage.ask({ model: 'chat/ok', input: [{ type: 'item_reference', id }] }),
      stage.kept(id),
      stage.kept(id, { method: 'DELETE' }),
      stage.kept(`${id}/input_items`),
    ];
    for (const answer of await Promise.all(answers)) {
      expect(answer.status).toBe(503);
      expect((await errorOf(answer)).code).toBe('response_store_unavailable');
      expect(answer.headers.get('retry-after')).toBe('1');
    }
  });
});

function unavailable(): SignalboxError {
  return new SignalboxError('response_store_unavailable', 'Away.', { retryAfterMs: 1000 });
}
