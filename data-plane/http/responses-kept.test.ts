import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { checkResponseStream } from '#test/fixtures/response-events.ts';
import { errorOf } from '#test/harness/gateway.ts';
import { otherKey, ResponsesStage, spoken } from '#test/harness/responses-stage.ts';

let stage: ResponsesStage;

beforeAll(async () => {
  stage = await ResponsesStage.open();
});

beforeEach(() => stage.reset());

afterAll(() => stage.close());

const tools = [{ type: 'function', name: 'get_weather', parameters: { type: 'object' } }];

describe('going on from a response', () => {
  const first = { model: 'chat/ok', input: 'My name is Alice.', instructions: 'Be brief.' };

  test.each(['chat/echo.chunks-1', 'claude/echo.chunks-1', 'demo/demo'])(
    'at %s, the model sees the whole conversation and not the old instructions',
    async (model) => {
      const { id } = await stage.answerTo(first);
      const answer = await stage.answerTo({ model, input: 'What is my name?', previous_response_id: id });
      expect(answer.previous_response_id).toBe(id);
      if (model === 'demo/demo') return;
      const seen = stage.provider.requests().at(-1)!.body.toString();
      expect(seen).toContain('My name is Alice.');
      expect(seen).toContain(spoken.trim());
      expect(seen.indexOf('My name is Alice.')).toBeLessThan(seen.indexOf('What is my name?'));
      expect(seen).not.toContain('Be brief.');
    },
  );

  test('three times over, every turn is there once and in order', async () => {
    let id: string | undefined;
    for (const input of ['one', 'two', 'three', 'four']) {
      const more = id === undefined ? {} : { previous_response_id: id };
      id = (await stage.answerTo({ model: 'chat/ok', input, ...more })).id;
    }
    const messages = stage.sent().messages as { role: string; content: string }[];
    expect(messages.map(({ content }) => content)).toEqual([
      'one',
      spoken,
      'two',
      spoken,
      'three',
      spoken,
      'four',
    ]);
  });

  test('a streamed one works as well, at once', async () => {
    const answer = await stage.ask({ ...first, stream: true });
    const { response } = checkResponseStream(await answer.text());
    await stage.answerTo({ model: 'chat/ok', input: 'And?', previous_response_id: response.id });
    expect(stage.sent().messages).toHaveLength(3);
  });

  test('with the result of a tool, the call stands before it', async () => {
    const { id, output } = await stage.answerTo({ model: 'chat/tool-call', tools, input: 'Weather?' });
    const call = output[0] as unknown as { call_id: string };
    await stage.answerTo({
      model: 'claude/ok',
      tools,
      previous_response_id: id,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: 'Sunny' }],
    });
    expect(stage.sent().messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: [{ type: 'tool_use', id: call.call_id }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.call_id }] },
    ]);
  });

  test('where the provider kept it, it is left to the provider', async () => {
    const { id } = await stage.answerTo({ model: 'native/ok' });
    await stage.answerTo({ model: 'native/ok', input: 'And?', previous_response_id: id });
    expect(stage.sent()).toEqual({ model: 'ok', input: 'And?', previous_response_id: id });
  });

  test.each([
    ['another account', 'native/ok', 'native-b/ok'],
    ['one of several keys', 'two-keys/ok', 'two-keys/ok'],
    ['a provider that keeps nothing', 'stateless/ok', 'stateless/ok'],
    ['a provider that did not make it', 'chat/ok', 'native/ok'],
  ])('at %s, the conversation goes in full and without ids', async (_, made, asked) => {
    const { id } = await stage.answerTo({ model: made, input: 'one' });
    await stage.answerTo({ model: asked, input: 'two', previous_response_id: id });
    const { input, ...others } = stage.sent();
    expect(others).toEqual({ model: 'ok' });
    expect(input).toEqual([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'one' }] },
      {
        type: 'message',
        role: 'assistant',
        content: [{ type: 'output_text', text: spoken, annotations: [], logprobs: [] }],
      },
      { role: 'user', content: 'two' },
    ]);
  });

  test('after a failure, the next provider gets it in its own way', async () => {
    const { id } = await stage.answerTo({ model: 'native/ok', input: 'one' });
    await stage.answerTo({ model: 'native-then-chat', input: 'two', previous_response_id: id });
    const [, refused, answered] = stage.provider.requests().map(({ body }) => JSON.parse(body.toString()));
    expect(refused).toMatchObject({ previous_response_id: id });
    expect(answered.messages).toHaveLength(3);
  });

  test.each([
    ['that never was', () => 'resp_unknown'],
    ['of another key', async () => (await stage.answerTo({ model: 'chat/ok', key: otherKey })).id],
    ['that was not to be kept', async () => (await stage.answerTo({ model: 'chat/ok', store: false })).id],
  ])('%s is refused before any model is asked', async (_, makeId) => {
    const previous_response_id = await makeId();
    const before = stage.provider.requests().length;
    const response = await stage.ask({ model: 'chat/ok', previous_response_id });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({
      code: 'previous_response_not_found',
      type: 'invalid_request_error',
      param: 'previous_response_id',
      message: expect.stringContaining(previous_response_id),
    });
    expect(stage.provider.requests().length).toBe(before);
  });

  test('of which an earlier one was deleted is refused', async () => {
    const one = await stage.answerTo({ model: 'chat/ok' });
    const two = await stage.answerTo({ model: 'chat/ok', previous_response_id: one.id });
    expect((await stage.kept(one.id, { method: 'DELETE' })).status).toBe(200);
    const response = await stage.ask({ model: 'chat/ok', previous_response_id: two.id });
    expect((await errorOf(response)).message).toContain(one.id);
  });

  test('an answer that broke off is not kept', async () => {
    const answer = await stage.ask({ model: 'chat/cut-after-2', stream: true });
    const id = /"id":"(resp_[^"]+)"/.exec(await answer.text())![1]!;
    expect((await stage.kept(id)).status).toBe(404);
  });
});

describe('a reference to an item', () => {
  test('is resolved for a provider that did not keep it', async () => {
    const { output } = await stage.answerTo({ model: 'chat/ok', input: 'one' });
    const reference = { type: 'item_reference', id: output[0]!.id };
    await stage.answerTo({ model: 'chat/ok', input: [reference, { role: 'user', content: 'two' }] });
    expect(stage.sent().messages).toEqual([
      { role: 'assistant', content: spoken },
      { role: 'user', content: 'two' },
    ]);
  });

  test('is left to the provider that kept it', async () => {
    const { output } = await stage.answerTo({ model: 'native/ok', input: 'one' });
    const input = [{ id: output[0]!.id }, { role: 'user', content: 'two' }];
    await stage.answerTo({ model: 'native/ok', input });
    expect(stage.sent().input).toEqual(input);
  });

  test.each(['chat/ok', 'native/ok'])('to nothing of this key is refused at %s', async (model) => {
    const theirs = await stage.answerTo({ model, key: otherKey });
    for (const id of ['msg_unknown', theirs.output[0]!.id]) {
      const response = await stage.ask({ model, input: ['x', { type: 'item_reference', id }] });
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject({ code: 'invalid_request', param: 'input[1].id' });
    }
  });
});

describe('a kept response', () => {
  test('is told again as a stream, from any of its events', async () => {
    const made = await stage.answerTo({ model: 'chat/ok' });
    const whole = checkResponseStream(await (await stage.kept(`${made.id}?stream=true`)).text());
    expect(whole.response).toEqual(made);
    const rest = await (await stage.kept(`${made.id}?stream=true&starting_after=3`)).text();
    const numbers = [...rest.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number));
    expect(numbers).toEqual(whole.events.slice(4).map(({ sequence_number }) => sequence_number));
    const wrong = await stage.kept(`${made.id}?stream=true&starting_after=x`);
    expect(await errorOf(wrong)).toMatchObject({ code: 'invalid_request', param: 'starting_after' });
  });

  test('is nothing to another key, in any way', async () => {
    const { id } = await stage.answerTo({ model: 'chat/ok' });
    const paths = [id, `${id}/input_items`, `${id}?stream=true`];
    for (const path of paths) {
      const response = await stage.kept(path, { key: otherKey });
      expect(response.status).toBe(404);
      expect(await errorOf(response)).toMatchObject({ code: 'not_found', type: 'invalid_request_error' });
    }
    expect((await stage.kept(id, { key: otherKey, method: 'DELETE' })).status).toBe(404);
    expect((await stage.kept(id)).status).toBe(200);
    expect((await stage.kept(id, { key: 'sb-wrong' })).status).toBe(401);
  });

  test('is deleted once', async () => {
    const { id } = await stage.answerTo({ model: 'native/ok' });
    expect(await (await stage.kept(id, { method: 'DELETE' })).json()).toEqual({
      id,
      object: 'response',
      deleted: true,
    });
    expect((await stage.kept(id, { method: 'DELETE' })).status).toBe(404);
    expect((await stage.kept(id)).status).toBe(404);
  });

  test('cannot be cancelled, because it is finished', async () => {
    const { id } = await stage.answerTo({ model: 'chat/ok' });
    const response = await stage.kept(`${id}/cancel`, { method: 'POST' });
    expect(response.status).toBe(400);
  });

  test('lists everything it was made from, page by page', async () => {
    const one = await stage.answerTo({ model: 'chat/ok', input: 'one' });
    const two = await stage.answerTo({
      model: 'chat/ok',
      previous_response_id: one.id,
      input: [
        { role: 'user', content: 'two' },
        { role: 'user', content: [{ type: 'input_text', text: 'three' }] },
      ],
    });
    const list = async (query: string) => (await stage.kept(`${two.id}/input_items${query}`)).json();
    const all = (await list('?order=asc')) as { data: { id: string; content: { text: string }[] }[] };
    expect(all).toMatchObject({ object: 'list', has_more: false });
    expect(all.data.map(({ content }) => content[0]!.text)).toEqual(['one', spoken, 'two', 'three']);
    expect(all.data.every(({ id }) => id !== '')).toBe(true);
    const ids = all.data.map(({ id }) => id);
    expect(await list('?limit=2')).toMatchObject({
      data: [{ id: ids[3] }, { id: ids[2] }],
      first_id: ids[3],
      last_id: ids[2],
      has_more: true,
    });
    expect(await list(`?limit=2&after=${ids[2]}`)).toMatchObject({
      data: [{ id: ids[1] }, { id: ids[0] }],
      has_more: false,
    });
    for (const query of ['?limit=0', '?limit=101', '?limit=x', '?order=up', '?after=msg_unknown']) {
      expect(await list(query)).toMatchObject({ error: { code: 'invalid_request' } });
    }
  });
});

test('a conversation longer than the limit of its chain goes on all the same', async () => {
  let previous: object = {};
  const turns = limits.responseChainMax + 3;
  for (let turn = 0; turn < turns; turn += 1) {
    const { id } = await stage.answerTo({ model: 'chat/chunks-1', input: `turn ${turn}`, ...previous });
    previous = { previous_response_id: id };
  }
  const messages = stage.sent().messages as { role: string; content: string }[];
  expect(messages.filter(({ role }) => role === 'user').map(({ content }) => content)).toEqual(
    Array.from({ length: turns }, (_, turn) => `turn ${turn}`),
  );
}, 20_000);
