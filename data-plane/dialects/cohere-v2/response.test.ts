import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { cohereV2 } from './index.ts';

type Event = Readonly<Record<string, unknown>>;

const inMessage = (type: string, field: string, value: unknown, more: object = {}): Event => ({
  type,
  ...more,
  delta: { message: { [field]: value } },
});
const start: Event = { id: 'co-1', type: 'message-start', delta: { message: { role: 'assistant' } } };
const opened = (type: string, index = 0): Event =>
  inMessage('content-start', 'content', { type, [type]: '' }, { index });
const said = (text: string, index = 0): Event => inMessage('content-delta', 'content', { text }, { index });
const thought = (thinking: string): Event =>
  inMessage('content-delta', 'content', { thinking }, { index: 0 });
const usage = {
  billed_units: { input_tokens: 12, output_tokens: 36 },
  tokens: { input_tokens: 212, output_tokens: 40 },
  cached_tokens: 208,
};
const ended = (reason: string, more: object = {}): Event => ({
  type: 'message-end',
  delta: { finish_reason: reason, usage, ...more },
});
const callStart = (index: number, id: string, name: string): Event =>
  inMessage(
    'tool-call-start',
    'tool_calls',
    { id, type: 'function', function: { name, arguments: '' } },
    { index },
  );
const callDelta = (index: number, text: string): Event =>
  inMessage('tool-call-delta', 'tool_calls', { function: { arguments: text } }, { index });
const cited = (citation: object, index = 0): Event =>
  inMessage('citation-start', 'citations', citation, { index });

function stream(...events: readonly Event[]): Buffer {
  const written = events.map((event) => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`);
  return Buffer.from(`${written.join('')}data: [DONE]\n\n`);
}

function read(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(cohereV2, pieces, { model: 'command-a' } as TurnRequest);
}

function fold(...events: readonly Event[]) {
  return foldTurn(checkTurn(read([stream(...events)])));
}

const withTools = stream(
  start,
  inMessage('tool-plan-delta', 'tool_plan', 'I will '),
  inMessage('tool-plan-delta', 'tool_plan', 'look für Sie.'),
  callStart(0, 'c-1', 'get_time'),
  callDelta(0, '{"city"'),
  callDelta(0, ':"Köln"}'),
  { type: 'tool-call-end', index: 0 },
  callStart(1, 'c-2', 'now'),
  { type: 'tool-call-end', index: 1 },
  ended('TOOL_CALL'),
);

test('a stream reads the same however it is cut', () => {
  const events = checkTurn(read([withTools]));
  for (const pieces of everyCut(withTools)) expect(read(pieces)).toEqual(events);
  expect(read(oneByOne(withTools))).toEqual(events);
  const turn = foldTurn(events);
  expect(turn).toMatchObject({ id: 'co-1', model: 'command-a', error: undefined });
  expect(turn.choices[0]).toMatchObject({
    reasoning: 'I will look für Sie.',
    text: '',
    reason: 'tool-calls',
  });
  expect(turn.choices[0]!.toolCalls).toMatchObject([
    { id: 'c-1', name: 'get_time', arguments: '{"city":"Köln"}' },
    { id: 'c-2', name: 'now', arguments: '{}' },
  ]);
});

test('what is billed is what is counted, and everything that was said about it is kept', () => {
  const turn = fold(start, opened('text'), said('Hi'), ended('COMPLETE'));
  expect(turn.usage).toMatchObject({ input: 12, output: 36, inputCacheRead: 0 });
  expect(JSON.parse(turn.rawUsage)).toEqual(usage);
  const counted = fold(start, said('Hi'), ended('COMPLETE', { usage: { tokens: usage.tokens } }));
  expect(counted.usage).toMatchObject({ input: 212, output: 40 });
});

test('thoughts come before the words, each a block of its own', () => {
  const turn = fold(
    start,
    opened('thinking'),
    thought('Hm.'),
    opened('text', 1),
    said('Yes', 1),
    ended('COMPLETE'),
  );
  expect(turn.choices[0]!.blocks.map(({ head, text }) => [head.kind, text])).toEqual([
    ['reasoning', 'Hm.'],
    ['text', 'Yes'],
  ]);
});

describe('sources', () => {
  const document = {
    type: 'document',
    id: 'd',
    document: { title: 'Rome', url: 'https://x', snippet: 'sunny' },
  };
  const citation = {
    start: 0,
    end: 5,
    text: 'Sunny',
    sources: [document],
    type: 'TEXT_CONTENT',
    content_index: 0,
  };
  const expected = { start: 0, end: 5, url: 'https://x', title: 'Rome', quote: 'sunny' };

  test.each<[string, readonly Event[]]>([
    ['while the text goes on', [said('Sunny'), cited(citation), said(' today')]],
    ['after it has ended', [said('Sunny today'), { type: 'content-end', index: 0 }, cited(citation)]],
  ])('belong to their text when they come %s', (_, events) => {
    const turn = fold(start, opened('text'), ...events, ended('COMPLETE'));
    expect(turn.choices[0]!.blocks.map(({ text, citations }) => [text, citations])).toEqual([
      ['Sunny today', [expected]],
    ]);
  });

  test('may be tools, and several', () => {
    const tool = { type: 'tool', id: 'c-1:0', tool_output: { output: '5' } };
    const turn = fold(
      start,
      said('Five'),
      cited({ ...citation, sources: [tool, document] }),
      ended('COMPLETE'),
    );
    expect(turn.choices[0]!.blocks[0]!.citations).toEqual([
      { start: 0, end: 5, title: 'c-1:0', quote: '{"output":"5"}' },
      expected,
    ]);
  });

  test('of a plan belong to the plan', () => {
    const plan = inMessage('tool-plan-delta', 'tool_plan', 'Look');
    const turn = fold(start, plan, cited({ ...citation, type: 'PLAN' }), said('Sunny'), ended('COMPLETE'));
    expect(turn.choices[0]!.blocks.map(({ citations }) => citations.length)).toEqual([1, 0]);
  });
});

test('likelihoods of tokens are told', () => {
  const logprobs = { text: 'Hi', token_ids: [1, 2], logprobs: [-0.5, -0.25] };
  const turn = fold(start, { ...said('Hi'), logprobs }, ended('COMPLETE'));
  expect(turn.choices[0]!.blocks[0]!.logprobs).toEqual([{ token: 'Hi', logprob: -0.75, top: [] }]);
});

describe('the end', () => {
  test.each([
    ['COMPLETE', 'stop'],
    ['STOP_SEQUENCE', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['ERROR_LIMIT', 'length'],
    ['ERROR_TOXIC', 'content-filter'],
  ])('%s', (reason, expected) => {
    expect(fold(start, said('Hi'), ended(reason)).choices[0]!.reason).toBe(expected);
  });

  test('with calls is an end with calls, whatever it is called', () => {
    expect(fold(start, callStart(0, 'c', 'now'), ended('COMPLETE')).choices[0]!.reason).toBe('tool-calls');
  });

  test.each<[string, object, string]>([
    ['ERROR', { error: 'invalid tool generation', error_type: 'INVALID_TOOL_GENERATION' }, 'upstream_error'],
    ['ERROR', {}, 'upstream_error'],
    ['TIMEOUT', {}, 'upstream_timeout'],
    ['SOMETHING_NEW', {}, 'upstream_error'],
  ])('%s %j is an error, with what it cost', (reason, more, code) => {
    const turn = fold(start, said('Hi'), ended(reason, more));
    expect(turn.error?.code).toBe(code);
    expect(turn.usage).toMatchObject({ input: 12, output: 36 });
  });

  test('that is missing is an error, end mark or not', () => {
    for (let at = 0; at < withTools.indexOf('event: message-end'); at += 1) {
      expect(foldTurn(checkTurn(read([withTools.subarray(0, at)]))).error?.code).toBe('upstream_truncated');
    }
    expect(fold(start, said('Hi')).error?.code).toBe('upstream_truncated');
  });

  test('may be an error in the middle', () => {
    const failure = Buffer.from(`event: error\ndata: {"message":"internal server error"}\n\n`);
    const turn = foldTurn(checkTurn(read([stream(start, said('Hi')).subarray(0, -14), failure])));
    expect(turn.error?.code).toBe('upstream_error');
    expect(turn.choices[0]!.text).toBe('Hi');
  });
});

test('whatever comes, the grammar holds and nothing is thrown', () => {
  const types = [
    'content-start',
    'content-delta',
    'tool-call-start',
    'tool-call-delta',
    'citation-start',
    'message-end',
  ];
  const event = fc.record({
    type: fc.constantFrom(...types, 'message-start', 'unknown'),
    index: fc.oneof(fc.nat({ max: 2 }), fc.jsonValue()),
    delta: fc.oneof(
      fc.jsonValue(),
      fc.record({
        message: fc.record({
          content: fc.jsonValue(),
          tool_calls: fc.jsonValue(),
          citations: fc.jsonValue(),
        }),
      }),
    ),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 8 }), (events) => {
      checkTurn(read([stream(start, ...events)]));
      checkTurn(read([stream(...events)]));
    }),
    { numRuns: 300 },
  );
});

describe('a whole body', () => {
  const body = {
    id: 'co-2',
    message: {
      role: 'assistant',
      tool_plan: 'I will look.',
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Wait.' },
      ],
      tool_calls: [{ id: 'c-1', type: 'function', function: { name: 'now', arguments: '{}' } }],
      citations: [
        { start: 0, end: 4, text: 'Wait', sources: [{ type: 'tool', id: 'c-0', tool_output: 'x' }] },
      ],
    },
    finish_reason: 'TOOL_CALL',
    usage,
    logprobs: [{ text: 'Wait.', token_ids: [1], logprobs: [-0.5] }],
  };
  const unfold = (value: unknown) => cohereV2.unfold(Buffer.from(JSON.stringify(value)));

  test('says what a stream would have said', () => {
    const turn = foldTurn(checkTurn(unfold(body)));
    expect(turn.choices[0]!.blocks.map(({ head, text }) => [head.kind, text])).toEqual([
      ['reasoning', 'I will look.'],
      ['reasoning', 'Hm.'],
      ['text', 'Wait.'],
      ['tool-call', '{}'],
    ]);
    expect(turn.choices[0]!.blocks[2]).toMatchObject({
      citations: [{ start: 0, end: 4, title: 'c-0', quote: 'x' }],
      logprobs: [{ token: 'Wait.', logprob: -0.5 }],
    });
    expect(turn).toMatchObject({ id: 'co-2', usage: { input: 12, output: 36 } });
  });

  test.each<unknown>([[], {}, { message: {} }, { finish_reason: 'COMPLETE' }, 'x'])(
    '%j is no answer',
    (value) => {
      expect(() => unfold(value)).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
    },
  );
});
