import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import {
  callItem,
  type Event,
  eventBytes,
  messageItem,
  reasoningItem,
  refusalItem,
  responseOf,
  searchItem,
  streamOf,
} from '#test/fixtures/openai-responses.ts';
import { readStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { openaiResponses } from './index.ts';

const { unfold } = openaiResponses;

function read(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(openaiResponses, pieces);
}

const readEvents = (events: readonly Event[]) => foldTurn(checkTurn(read([eventBytes(events)])));

const everything = [reasoningItem, searchItem, messageItem, callItem, refusalItem];

describe('a whole answer', () => {
  test('becomes blocks in order, its usage, and its end', () => {
    const turn = foldTurn(checkTurn(unfold(Buffer.from(JSON.stringify(responseOf(everything))))));
    expect(turn).toMatchObject({ id: 'resp_1', model: 'gpt-5-mini', createdAtMs: 1_750_000_000_000 });
    const [choice] = turn.choices;
    expect(choice).toMatchObject({
      text: 'Grüße, 世界 🎉',
      reasoning: 'First I add.\n\nThen I check.',
      refusal: 'I would rather not.',
      reason: 'tool-calls',
      toolCalls: [{ id: 'call_1', name: 'get_weather', arguments: '{"city":"Paris"}' }],
    });
    expect(choice!.blocks.map(({ head }) => head.kind)).toEqual([
      'reasoning',
      'private',
      'text',
      'tool-call',
      'refusal',
    ]);
    expect(choice!.blocks[0]!.signature).toEqual({ maker: 'openai', value: 'gAAAA-secret', id: 'rs_1' });
    expect(choice!.blocks[2]).toMatchObject({
      citations: [{ start: 0, end: 5, url: 'https://a.example', title: 'A' }],
      logprobs: [{ token: 'Grüße', logprob: -0.5, bytes: [71], top: [] }],
    });
    expect(turn.usage).toMatchObject({ input: 20, inputCacheRead: 10, output: 8, outputReasoning: 12 });
  });

  test.each([
    ['max_output_tokens', 'length'],
    ['content_filter', 'content-filter'],
    ['something new', 'length'],
  ])('incomplete for %s ends with %s', (reason, expected) => {
    const response = responseOf([messageItem], { status: 'incomplete', incomplete_details: { reason } });
    const turn = foldTurn(unfold(Buffer.from(JSON.stringify(response))));
    expect(turn.choices[0]!.reason).toBe(expected);
  });

  test.each([
    ['text', 'Hello'],
    ['a list', '[]'],
    ['no output', '{"id":"resp_1"}'],
    ['a response that is still being made', JSON.stringify(responseOf([], { status: 'queued' }))],
  ])('%s is no answer', (_, body) => {
    expect(() => unfold(Buffer.from(body))).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
  });

  test('that failed is its error, with what it cost', () => {
    const error = { code: 'rate_limit_exceeded', message: 'Slow down.' };
    const turn = foldTurn(unfold(Buffer.from(JSON.stringify(responseOf([], { status: 'failed', error })))));
    expect(turn.error).toMatchObject({ code: 'upstream_rate_limited' });
    expect(turn.usage).toBeDefined();
  });
});

describe('a stream', () => {
  const bytes = eventBytes(streamOf(everything));
  const events = read([bytes]);

  test('folds to the same as the whole answer', () => {
    const streamed = foldTurn(checkTurn(events));
    const whole = foldTurn(unfold(Buffer.from(JSON.stringify(responseOf(everything)))));
    const plain = ({ choices, usage, id }: typeof whole) => ({
      id,
      usage,
      choices: choices.map(({ blocks, ...choice }) => ({
        ...choice,
        blocks: blocks.map(({ head, text, signature, citations, logprobs }) => ({
          kind: head.kind,
          text,
          signature,
          citations,
          logprobs,
        })),
      })),
    });
    expect(plain(streamed)).toEqual(plain(whole));
    expect(streamed.rawUsage).toBe(whole.rawUsage);
  });

  test('reads the same however it is cut', () => {
    for (const pieces of everyCut(bytes)) expect(read(pieces)).toEqual(events);
    expect(read(oneByOne(bytes))).toEqual(events);
    const holds = (pieces: readonly Buffer[]) => {
      expect(read(pieces)).toEqual(events);
    };
    fc.assert(fc.property(anyCuts(bytes), holds), { numRuns: 50 });
  });

  test.each(['\r\n', '\r'])('reads the same with lines that end in %j', (lineEnd) => {
    const spelled = eventBytes(streamOf(everything), { lineEnd });
    for (const pieces of everyCut(spelled.subarray(0, 900))) {
      expect(read([...pieces, spelled.subarray(900)])).toEqual(events);
    }
  });

  test('reads the same without the names of its events', () => {
    expect(read([eventBytes(streamOf(everything), { isNamed: false })])).toEqual(events);
  });

  test('that ends before it says that it is finished is broken, wherever it is cut', () => {
    const end = bytes.lastIndexOf('event: response.completed');
    for (const cut of [0, 10, 500, end, end + 40, bytes.length - 4]) {
      const broken = read([bytes.subarray(0, cut)]);
      expect(broken.at(-1)).toMatchObject({ type: 'turn-error', error: { code: 'upstream_truncated' } });
    }
  });

  test('keeps items apart by their place when their ids change from event to event', () => {
    let serial = 0;
    const rotating = streamOf(everything).map((event) => {
      serial += 1;
      return event.item_id === undefined ? event : { ...event, item_id: `random_${serial}` };
    });
    expect(readEvents(rotating).choices[0]).toMatchObject({
      text: 'Grüße, 世界 🎉',
      toolCalls: [{ arguments: '{"city":"Paris"}' }],
    });
  });

  test('takes interleaved items apart', () => {
    const second = { ...callItem, id: 'fc_2', call_id: 'call_2', arguments: '{"city":"Rome"}' };
    const all = streamOf([callItem, second]);
    const of = (index: number) => all.filter((event) => event.output_index === index);
    const mixed = of(0).flatMap((event, at) => [event, of(1)[at]!]);
    const turn = readEvents([...all.slice(0, 2), ...mixed, all.at(-1)!]);
    expect(turn.choices[0]!.toolCalls.map((call) => call.arguments)).toEqual([
      '{"city":"Paris"}',
      '{"city":"Rome"}',
    ]);
  });

  test.each([
    ['no deltas', (type: string) => type.endsWith('.delta')],
    ['no deltas and no done texts', (type: string) => /\.delta$|_text\.done$|arguments\.done$/.test(type)],
    ['nothing but the finished response', (type: string) => !/response\.(created|completed)$/.test(type)],
    ['no finished items', (type: string) => type === 'response.output_item.done'],
    ['no opening of items', (type: string) => /item\.added$|part\.added$/.test(type)],
  ])('with %s says the same', (_, isMissing) => {
    const turn = readEvents(streamOf([messageItem, refusalItem]).filter(({ type }) => !isMissing(type)));
    expect(turn.choices[0]).toMatchObject({ text: 'Grüße, 世界 🎉', refusal: 'I would rather not.' });
  });

  test('ignores keepalives, unknown events and an end mark', () => {
    const stream = streamOf([messageItem]);
    const noisy = [
      { type: 'keepalive', sequence_number: 0 },
      ...stream.slice(0, 3),
      { type: 'response.brand_new', output_index: 0 },
      ...stream.slice(3),
    ];
    const marked = Buffer.concat([eventBytes(noisy), Buffer.from('data: [DONE]\n\n')]);
    expect(foldTurn(checkTurn(read([marked]))).choices[0]!.text).toBe('Grüße, 世界 🎉');
  });

  test.each([
    ['flat', { code: 'rate_limit_exceeded', message: 'Slow down.', param: null }],
    ['nested', { error: { type: 'tokens', code: 'rate_limit_exceeded', message: 'Slow down.' } }],
  ])('takes an error event with %s fields', (_, fields) => {
    const stream = streamOf([messageItem]);
    const turn = readEvents([...stream.slice(0, 5), { type: 'error', sequence_number: 5, ...fields }]);
    expect(turn.error).toMatchObject({ code: 'upstream_rate_limited' });
    expect(turn.error?.message).toContain('Slow down.');
  });

  test('takes an error that comes first as one that nothing came before', () => {
    const events = read([eventBytes([{ type: 'error', code: 'server_error', message: 'Down.' }])]);
    expect(events.map(({ type }) => type)).toEqual(['turn-error']);
  });

  test('takes a failed response as its error, with what it cost', () => {
    const failed = responseOf([], { status: 'failed', error: { code: 'server_error', message: 'Oh no.' } });
    const turn = readEvents([...streamOf([]).slice(0, 2), { type: 'response.failed', response: failed }]);
    expect(turn.error).toMatchObject({ code: 'upstream_error' });
    expect(turn.usage).toBeDefined();
  });

  test('of what is no JSON is an error', () => {
    expect(read([Buffer.from('data: {"type":\n\n')]).at(-1)).toMatchObject({
      type: 'turn-error',
      error: { code: 'upstream_invalid' },
    });
  });

  test('of anything never throws and always ends', () => {
    const types = fc.constantFrom(...new Set(streamOf(everything).map(({ type }) => type)), 'error', 'x');
    const event = fc.record(
      {
        type: types,
        output_index: fc.oneof(fc.nat({ max: 3 }), fc.jsonValue()),
        content_index: fc.oneof(fc.nat({ max: 2 }), fc.jsonValue()),
        summary_index: fc.oneof(fc.nat({ max: 2 }), fc.jsonValue()),
        item: fc.oneof(fc.constantFrom(...everything), fc.jsonValue()),
        delta: fc.oneof(fc.string(), fc.jsonValue()),
        text: fc.jsonValue(),
        annotation: fc.jsonValue(),
        logprobs: fc.jsonValue(),
        response: fc.oneof(fc.constant(responseOf(everything)), fc.jsonValue()),
      },
      { requiredKeys: ['type'] },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), (events) => {
        checkTurn(read([eventBytes(events)]));
      }),
      { numRuns: 500 },
    );
  });
});
