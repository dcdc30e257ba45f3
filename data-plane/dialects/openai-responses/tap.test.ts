import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import {
  callItem,
  eventBytes,
  messageItem,
  reasoningItem,
  responseOf,
  searchItem,
  streamOf,
} from '#test/fixtures/openai-responses.ts';
import { tapStream } from '#test/harness/read-stream.ts';
import { openaiResponses } from './index.ts';
import { inspect, ResponseTap } from './tap.ts';

const output = [reasoningItem, searchItem, messageItem, callItem];
const events = streamOf(output);

function pass(pieces: readonly Buffer[]) {
  const kept: string[] = [];
  const tap = new ResponseTap((response) => kept.push(response));
  return { ...tapStream(tap, pieces), kept, tap };
}

describe.each([
  ['as OpenAI spells it', {}],
  ['with CRLF', { lineEnd: '\r\n' }],
  ['with CR', { lineEnd: '\r' }],
  ['without names', { isNamed: false }],
])('a stream %s', (_, spelling) => {
  const bytes = eventBytes(events, spelling);

  test('passes byte for byte and is metered, however it is cut', () => {
    const whole = pass([bytes]);
    expect(whole.output.equals(bytes)).toBe(true);
    expect(whole.report).toMatchObject({ id: 'resp_1', complete: true, error: undefined });
    expect(whole.report.usage).toMatchObject({
      input: 20,
      inputCacheRead: 10,
      output: 8,
      outputReasoning: 12,
    });
    expect(JSON.parse(whole.report.rawUsage)).toEqual(responseOf(output).usage);
    const holds = (pieces: readonly Buffer[]) => {
      const cut = pass(pieces);
      expect(cut.output.equals(bytes)).toBe(true);
      expect(cut.report).toEqual(whole.report);
      expect(cut.kept).toEqual(whole.kept);
    };
    for (const pieces of everyCut(bytes)) holds(pieces);
    holds(oneByOne(bytes));
    fc.assert(fc.property(anyCuts(bytes), holds), { numRuns: 50 });
  });

  test('hands over the finished response once, as it was sent', () => {
    const { kept } = pass([bytes]);
    expect(kept).toEqual([JSON.stringify(responseOf(output))]);
  });

  test('that is cut off is not complete, and nothing is handed over', () => {
    const end = bytes.lastIndexOf('response.completed', bytes.length - 200);
    const { report, kept } = pass([bytes.subarray(0, end)]);
    expect(report).toMatchObject({ id: 'resp_1', complete: false, error: undefined });
    expect(kept).toEqual([]);
  });
});

test('an incomplete answer is complete as a stream', () => {
  const incomplete = { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
  expect(pass([eventBytes(streamOf(output, incomplete))]).report.complete).toBe(true);
});

test('an end mark passes and says nothing', () => {
  const bytes = Buffer.concat([eventBytes(events), Buffer.from('data: [DONE]\n\n')]);
  const { output: passed, report } = pass([bytes]);
  expect(passed.equals(bytes)).toBe(true);
  expect(report.complete).toBe(true);
});

test.each([
  ['flat', { code: 'server_error', message: 'Oh no.' }],
  ['nested', { error: { code: 'server_error', message: 'Oh no.' } }],
])('an error event with %s fields passes and is reported', (_, fields) => {
  const bytes = eventBytes([...events.slice(0, 4), { type: 'error', sequence_number: 4, ...fields }]);
  const { output: passed, report, isBroken } = pass([bytes]);
  expect(passed.equals(bytes)).toBe(true);
  expect(report).toMatchObject({ complete: false, error: { code: 'upstream_error' } });
  expect(isBroken).toBe(false);
});

test('a failed response is reported with what it cost', () => {
  const failed = { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'Slow.' } };
  const { report, kept } = pass([eventBytes(streamOf([], failed))]);
  expect(report).toMatchObject({ complete: false, error: { code: 'upstream_rate_limited' } });
  expect(report.usage).toBeDefined();
  expect(kept).toEqual([]);
});

test('what is no event ends the stream before it', () => {
  const good = eventBytes(events.slice(0, 3));
  const { output: passed, report, isBroken } = pass([good, Buffer.from('data: {"type":\n\n'), good]);
  expect(passed.equals(good)).toBe(true);
  expect(report.error?.code).toBe('upstream_invalid');
  expect(isBroken).toBe(true);
});

test('a body where a stream was asked for is no stream', () => {
  const body = Buffer.from(JSON.stringify({ error: { code: 'rate_limit_exceeded', message: 'Slow.' } }));
  const { report, output: passed } = pass([body]);
  expect(report.error).toMatchObject({ code: 'upstream_rate_limited' });
  expect(passed.length).toBe(0);
});

test('knows what an error would go on from', () => {
  const { tap } = pass([eventBytes(events.slice(0, 7))]);
  expect(tap.progress).toMatchObject({ nextSequence: 7, response: { id: 'resp_1', status: 'in_progress' } });
  expect(pass([]).tap.progress).toEqual({ nextSequence: 0, response: undefined });
});

describe('a whole body', () => {
  test('is metered by its places', () => {
    const report = inspect(Buffer.from(JSON.stringify(responseOf(output), undefined, 2)));
    expect(report).toMatchObject({ id: 'resp_1', error: undefined, usage: { input: 20, output: 8 } });
    expect(openaiResponses.inspect).toBe(inspect);
  });

  test.each([
    ['an error', { error: { code: 'server_error', message: 'x' } }, 'upstream_error'],
    ['a failed response', responseOf([], { status: 'failed', error: { message: 'x' } }), 'upstream_error'],
    ['no output', { id: 'resp_1' }, 'upstream_invalid'],
    ['a response that is still being made', responseOf([], { status: 'in_progress' }), 'upstream_invalid'],
  ])('with %s is reported as such', (_, body, code) => {
    expect(inspect(Buffer.from(JSON.stringify(body))).error?.code).toBe(code);
  });

  test('that is no JSON is reported as such', () => {
    expect(inspect(Buffer.from('<html>')).error?.code).toBe('upstream_invalid');
  });
});

describe('usage', () => {
  const usageOf = (usage: object) => inspect(Buffer.from(JSON.stringify(responseOf([], { usage })))).usage;

  test('of hosts that count reasoning beside the output', () => {
    const details = { output_tokens_details: { reasoning_tokens: 30 } };
    expect(usageOf({ input_tokens: 10, output_tokens: 5, total_tokens: 45, ...details })).toMatchObject({
      input: 10,
      output: 5,
      outputReasoning: 30,
    });
  });

  test('is never negative, whatever is said', () => {
    const odd = {
      input_tokens: 3,
      output_tokens: -4,
      input_tokens_details: { cached_tokens: 10, cache_write_tokens: 10 },
      output_tokens_details: { reasoning_tokens: 'many' },
    };
    expect(usageOf(odd)).toEqual({
      input: 0,
      inputCacheRead: 3,
      inputCacheWrite: 0,
      inputAudio: 0,
      output: 0,
      outputReasoning: 0,
      outputAudio: 0,
    });
    expect(usageOf({})).toBeUndefined();
  });
});
