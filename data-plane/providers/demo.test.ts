import { describe, expect, test, vi } from 'vitest';
import type { TurnEvent } from '../turn/events.ts';
import { type FoldedTurn, foldTurn } from '../turn/fold.ts';
import { checkTurn } from '../turn/grammar.ts';
import type { Tool, TurnRequest } from '../turn/request.ts';
import { inputTotal, outputTotal } from '../turn/usage.ts';
import { demoAnswer, demoModels, play } from './demo.ts';

const weather: Tool = {
  name: 'get_weather',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 2 } },
    required: ['city', 'days'],
  },
};
const time: Tool = { name: 'get_time', parameters: { type: 'object', properties: {} } };

function ask(text: string, more: Partial<TurnRequest> = {}): TurnRequest {
  return {
    model: 'demo',
    stream: false,
    messages: [{ role: 'user', parts: [{ kind: 'text', text }] }],
    tools: [],
    extras: {},
    ...more,
  };
}

async function collect(
  request: TurnRequest,
  model = 'demo',
): Promise<{ events: readonly TurnEvent[]; pausesMs: readonly number[] }> {
  const pausesMs: number[] = [];
  const pause = async (ms: number) => {
    pausesMs.push(ms);
  };
  const events: TurnEvent[] = [];
  for await (const event of play(request, { model, signal: new AbortController().signal }, pause))
    events.push(event);
  return { events: checkTurn(events), pausesMs };
}

async function answer(request: TurnRequest, model = 'demo'): Promise<FoldedTurn> {
  return foldTurn((await collect(request, model)).events);
}

describe('demo', () => {
  test('repeats what was asked, says what it is, and always the same', async () => {
    const one = await answer(ask('Why is the sky blue?'));
    expect(one.choices[0]).toMatchObject({
      reason: 'stop',
      text: expect.stringContaining('Why is the sky blue?'),
    });
    expect(one.choices[0]?.text).toContain('demo provider');
    expect((await answer(ask('Why is the sky blue?'))).choices).toEqual(one.choices);
    expect((await answer(ask('Why?'))).choices).not.toEqual(one.choices);
  });

  test('counts four bytes as a token, streamed or not', async () => {
    const whole = await answer(ask('hi'));
    const streamed = await answer(ask('hi', { stream: true }));
    expect(outputTotal(whole.usage!)).toBe(Math.ceil(Buffer.byteLength(whole.choices[0]!.text) / 4));
    expect(inputTotal(whole.usage!)).toBeGreaterThan(0);
    expect(streamed.usage).toEqual(whole.usage);
    expect(streamed.choices[0]?.text).toBe(whole.choices[0]?.text);
  });

  test('keeps to the token limit and to stop sequences', async () => {
    const short = await answer(ask('Grüße 🙂🙂🙂', { maxOutputTokens: 7 }));
    expect(short.choices[0]?.reason).toBe('length');
    expect(outputTotal(short.usage!)).toBeLessThanOrEqual(7);
    expect(short.choices[0]?.text).not.toContain('\uFFFD');
    const stopped = await answer(ask('a b END c', { stop: ['never', 'END', 'asked'] }));
    expect(stopped.choices[0]).toMatchObject({ text: 'You ', reason: 'stop' });
    expect((await answer(ask('x', { maxOutputTokens: 0 }))).choices[0]).toMatchObject({
      text: '',
      reason: 'length',
    });
  });

  test('gives as many choices as are asked for, interleaved', async () => {
    const { events } = await collect(ask('hi', { choices: 3, stream: true }));
    const turn = foldTurn(events);
    expect(turn.choices.map(({ index, reason }) => [index, reason])).toEqual([
      [0, 'stop'],
      [1, 'stop'],
      [2, 'stop'],
    ]);
    expect(new Set(turn.choices.map(({ text }) => text)).size).toBe(3);
    expect(events.slice(1, 4).map(({ type }) => type)).toEqual(['block-start', 'block-start', 'block-start']);
  });

  test('refuses to give more choices than anyone can want', async () => {
    expect((await answer(ask('hi', { choices: 1_000_000_000 }))).error).toMatchObject({
      code: 'invalid_request',
      param: 'n',
    });
  });

  test('pauses between the pieces of a stream, and never without one', async () => {
    expect((await collect(ask('hi'))).pausesMs).toEqual([]);
    const { pausesMs } = await collect(ask('hi', { stream: true }));
    expect(pausesMs.length).toBeGreaterThan(5);
    expect(Math.max(...pausesMs)).toBeLessThan(50);
  });
});

describe('tools', () => {
  const calls = async (request: TurnRequest) => {
    const [choice] = (await answer(request)).choices;
    return choice?.toolCalls.map(({ name, arguments: text }) => [name, JSON.parse(text)]);
  };
  const tools = [weather, time];

  test('are called when demanded, named, or asked for in words', async () => {
    const expected = [['get_weather', { city: 'demo', days: 2 }]];
    expect(await calls(ask('hello', { tools, toolChoice: 'required' }))).toEqual(expected);
    expect(await calls(ask('hello', { tools, toolChoice: { name: 'get_time' } }))).toEqual([
      ['get_time', {}],
    ]);
    expect(await calls(ask('What is the weather?', { tools }))).toEqual(expected);
    expect(await calls(ask('call get_weather and get_time', { tools }))).toEqual([
      ...expected,
      ['get_time', {}],
    ]);
    expect(await calls(ask('call get_weather and get_time', { tools, parallelToolCalls: false }))).toEqual(
      expected,
    );
  });

  test('are left alone otherwise', async () => {
    expect(await calls(ask('hello', { tools }))).toEqual([]);
    expect(await calls(ask('the weather?', { tools, toolChoice: 'none' }))).toEqual([]);
  });

  test('end the turn as tool calls do, and their result is answered', async () => {
    const request = ask('the weather?', { tools });
    const turn = await answer(request);
    expect(turn.choices[0]?.reason).toBe('tool-calls');
    const [call] = turn.choices[0]!.toolCalls;
    const messages = [
      ...request.messages,
      {
        role: 'assistant',
        parts: [{ kind: 'tool-call', id: call!.id, name: call!.name, arguments: call!.arguments }],
      } as const,
      {
        role: 'tool',
        parts: [{ kind: 'tool-result', toolCallId: call!.id, parts: [{ kind: 'text', text: '21 degrees' }] }],
      } as const,
    ];
    const after = await answer({ ...request, messages, toolChoice: 'required' });
    expect(after.choices[0]).toMatchObject({
      reason: 'stop',
      toolCalls: [],
      text: expect.stringContaining('21 degrees'),
    });
  });
});

test('JSON is answered where JSON is demanded', async () => {
  const free = await answer(ask('say "hi"', { responseFormat: { kind: 'json' } }));
  expect(JSON.parse(free.choices[0]!.text)).toMatchObject({ question: 'say "hi"' });
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' } },
    required: ['name'],
    additionalProperties: false,
  };
  const shaped = await answer(
    ask('x', { responseFormat: { kind: 'schema', fields: { name: 'n', schema } } }),
  );
  expect(JSON.parse(shaped.choices[0]!.text)).toEqual({ name: 'demo' });
});

describe('the other models', () => {
  test('demo-slow takes two seconds to begin and 50 ms a token, streamed or not', async () => {
    const { pausesMs } = await collect(ask('hi'), 'demo-slow');
    expect(pausesMs[0]).toBe(2000);
    expect(new Set(pausesMs.slice(1))).toEqual(new Set([50]));
  });

  test('demo-error is overloaded before anything is said', async () => {
    const { events } = await collect(ask('hi'), 'demo-error');
    expect(events).toMatchObject([
      { type: 'turn-error', error: { code: 'upstream_overloaded', retryAfterMs: 1000 } },
    ]);
  });

  test('demo-cut breaks off in the middle', async () => {
    const turn = await answer(ask('hi', { stream: true }), 'demo-cut');
    expect(turn).toMatchObject({
      error: { code: 'upstream_truncated' },
      choices: [{ text: expect.stringMatching(/\w/) }],
    });
  });

  test('any other is missing, and the error names those there are', async () => {
    const turn = await answer(ask('hi'), 'toString');
    expect(turn.error).toMatchObject({
      code: 'upstream_model_missing',
      message: expect.stringContaining(demoModels.join(', ')),
    });
  });
});

test('an aborted answer stops at once, even in a pause', async () => {
  const abort = new AbortController();
  const events = vi.fn();
  const run = async () => {
    for await (const event of demoAnswer(ask('hi', { stream: true }), {
      model: 'demo-slow',
      signal: abort.signal,
    })) {
      events(event);
      if (event.type === 'block-start') setImmediate(() => abort.abort());
    }
  };
  await expect(run()).rejects.toMatchObject({ name: 'AbortError' });
  expect(events).toHaveBeenCalledTimes(2);
});
