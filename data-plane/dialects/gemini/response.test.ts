import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { geminiChunk, geminiStream, geminiTurn } from '#test/fixtures/gemini.ts';
import { readStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { gemini } from './index.ts';

function read(pieces: readonly Buffer[]): readonly TurnEvent[] {
  return checkTurn(readStream(gemini, pieces));
}

const stream = (chunks: readonly object[]) => foldTurn(read([geminiStream(chunks)]));
const whole = (body: unknown) => foldTurn(checkTurn(gemini.unfold(Buffer.from(JSON.stringify(body)))));

/** Ids are made up where there were none. */
function withoutIds(events: readonly TurnEvent[]): unknown {
  return JSON.parse(JSON.stringify(events).replaceAll(/"id":"call_[^"]+"/g, '"id":"call"'));
}

describe('a stream', () => {
  test('is read: thoughts, words, calls and what they are signed with', () => {
    const turn = stream(geminiTurn);
    expect(turn).toMatchObject({ id: 'resp_1', model: 'gemini-test', error: undefined });
    expect(turn.choices).toHaveLength(1);
    expect(turn.choices[0]).toMatchObject({
      reasoning: 'Let me think.',
      text: 'Grüße, 世界 🚂',
      reason: 'tool-calls',
      toolCalls: [
        {
          id: expect.stringMatching(/^call_/),
          name: 'get_weather',
          arguments: '{"city":"Zürich"}',
          signature: { maker: 'google', value: 'Y2FsbA==' },
        },
        { id: 'given-id', name: 'get_time', arguments: '{}', signature: undefined },
      ],
    });
    expect(turn.choices[0]!.blocks.map(({ head, signature }) => [head.kind, signature?.value])).toEqual([
      ['reasoning', undefined],
      ['text', 'dGV4dA=='],
      ['tool-call', undefined],
      ['tool-call', undefined],
    ]);
    expect(turn.usage).toMatchObject({ input: 12, output: 21, outputReasoning: 30 });
    expect(JSON.parse(turn.rawUsage)).toMatchObject({ candidatesTokenCount: 21 });
  });

  test('reads the same however it is cut', () => {
    const bytes = geminiStream(geminiTurn);
    const expected = withoutIds(read([bytes]));
    expect(withoutIds(read(oneByOne(bytes)))).toEqual(expected);
    for (const pieces of everyCut(bytes)) expect(withoutIds(read(pieces))).toEqual(expected);
    expect(withoutIds(read([geminiStream(geminiTurn, '\n')]))).toEqual(expected);
  });

  test('says what a list of the same chunks says, as the API has it by default', () => {
    const said = whole(geminiTurn);
    const streamed = stream(geminiTurn);
    expect({ text: said.choices[0]!.text, usage: said.usage, reason: said.choices[0]!.reason }).toEqual({
      text: streamed.choices[0]!.text,
      usage: streamed.usage,
      reason: streamed.choices[0]!.reason,
    });
  });

  test('that stops before it says why is broken off, wherever it was', () => {
    const bytes = geminiStream(geminiTurn);
    const end = bytes.lastIndexOf('data:');
    for (let at = 0; at < end; at += 1) {
      const last = read([bytes.subarray(0, at)]).at(-1);
      expect(last).toMatchObject({ type: 'turn-error', error: { code: 'upstream_truncated' } });
    }
    expect(read([bytes.subarray(0, bytes.length - 4)]).at(-1)).toMatchObject({ type: 'turn-end' });
  });

  test('keeps what it used when it breaks off', () => {
    const turn = stream(geminiTurn.slice(0, 3));
    expect(turn.error?.code).toBe('upstream_truncated');
    expect(turn.usage).toMatchObject({ input: 12, output: 7 });
  });

  test.each([
    [
      { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } },
      'upstream_overloaded',
    ],
    [[{ error: { code: 429, message: 'slow down', status: 'RESOURCE_EXHAUSTED' } }], 'upstream_rate_limited'],
    [{ something: 'else' }, 'upstream_invalid'],
    ['text', 'upstream_invalid'],
  ])('with %j in it is an error', (chunk, code) => {
    const turn = foldTurn(read([geminiStream([geminiTurn[0]!, chunk as object, geminiTurn[1]!])]));
    expect(turn.error?.code).toBe(code);
    expect(turn.choices[0]).toMatchObject({ reasoning: 'Let me ', text: '' });
  });

  test('with more than one answer keeps them apart, and waits for all', () => {
    const one = geminiChunk([{ text: 'a' }]);
    const other = { candidates: [{ index: 1, content: { parts: [{ text: 'b' }] }, finishReason: 'STOP' }] };
    expect(stream([one, other]).error?.code).toBe('upstream_truncated');
    const turn = stream([one, other, geminiChunk([{ text: 'c' }], { finishReason: 'MAX_TOKENS' })]);
    expect(turn.choices.map(({ text, reason }) => [text, reason])).toEqual([
      ['ac', 'length'],
      ['b', 'stop'],
    ]);
  });

  test('begins another text behind a signature', () => {
    const turn = stream([
      geminiChunk([{ text: 'one', thoughtSignature: 'YQ==' }]),
      geminiChunk([{ text: 'two' }], { finishReason: 'STOP' }),
    ]);
    expect(turn.choices[0]!.blocks.map(({ text, signature }) => [text, signature?.value])).toEqual([
      ['one', 'YQ=='],
      ['two', undefined],
    ]);
  });
});

describe('an end', () => {
  const call = { functionCall: { name: 'f', args: {} } };

  test.each<[string | number, string]>([
    ['STOP', 'stop'],
    ['MAX_TOKENS', 'length'],
    ...['SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII'].map(
      (word): [string, string] => [word, 'content-filter'],
    ),
    ...['IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT', 'IMAGE_RECITATION', 'IMAGE_OTHER', 'MODEL_ARMOR'].map(
      (word): [string, string] => [word, 'content-filter'],
    ),
    ...['OTHER', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'NO_IMAGE', 'SOMETHING_NEW'].map(
      (word): [string, string] => [word, 'stop'],
    ),
    [1, 'stop'],
    [2, 'length'],
    [3, 'content-filter'],
    [99, 'stop'],
  ])('for the reason %s is %s', (finishReason, reason) => {
    for (const turn of [
      stream([geminiChunk([{ text: 'x' }], { finishReason })]),
      whole(geminiChunk([{ text: 'x' }], { finishReason })),
    ]) {
      expect(turn.choices[0]).toMatchObject({ text: 'x', reason });
    }
  });

  test.each(['STOP', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MALFORMED_FUNCTION_CALL', 'OTHER'])(
    'for the reason %s with a call is a call',
    (finishReason) => {
      expect(whole(geminiChunk([call], { finishReason })).choices[0]).toMatchObject({ reason: 'tool-calls' });
    },
  );

  test.each(['MALFORMED_FUNCTION_CALL', 'MALFORMED_RESPONSE'])(
    'for the reason %s without one is a failure',
    (finishReason) => {
      const usageMetadata = { promptTokenCount: 3 };
      const turn = stream([geminiChunk(undefined, { finishReason }, { usageMetadata })]);
      expect(turn.error).toMatchObject({
        code: 'upstream_error',
        message: expect.stringContaining(finishReason),
      });
      expect(turn.usage).toMatchObject({ input: 3 });
    },
  );

  test.each([
    [{ promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 4 } }],
    [{ prompt_feedback: { block_reason: 'OTHER' } }],
  ])('before the beginning is a filter’s: %j', (answer) => {
    for (const turn of [stream([answer]), whole(answer)]) {
      expect(turn.error).toBeUndefined();
      expect(turn.choices).toMatchObject([{ index: 0, reason: 'content-filter', blocks: [] }]);
    }
  });

  test('without a word is an end all the same', () => {
    expect(whole(geminiChunk(undefined, { finishReason: 'SAFETY' })).choices[0]).toMatchObject({
      reason: 'content-filter',
    });
    expect(
      whole({ candidates: [{ content: { role: 'model' }, finishReason: 'MAX_TOKENS' }] }).choices[0],
    ).toMatchObject({
      reason: 'length',
      blocks: [],
    });
    expect(whole({ usageMetadata: { promptTokenCount: 1 } }).choices[0]).toMatchObject({
      reason: 'content-filter',
    });
  });
});

describe('beside words and calls', () => {
  test('pictures are pictures, and sound is sound', () => {
    const turn = whole(
      geminiChunk(
        [
          { text: 'Here:' },
          { inlineData: { mimeType: 'image/png', data: 'AAAA' } },
          { inlineData: { mimeType: 'image/png', data: 'BBBB' } },
          { inlineData: { mimeType: 'audio/L16;codec=pcm;rate=24000', data: 'CCCC' } },
          { inlineData: { mimeType: 'audio/L16;codec=pcm;rate=24000', data: 'DDDD' } },
        ],
        { finishReason: 'STOP' },
      ),
    );
    expect(turn.choices[0]!.blocks.map(({ head, deltas }) => [head.kind, deltas])).toEqual([
      ['text', ['Here:']],
      ['image', ['AAAA']],
      ['image', ['BBBB']],
      ['audio', ['CCCC', 'DDDD']],
    ]);
    expect(turn.choices[0]!.blocks[1]!.head).toMatchObject({ mediaType: 'image/png' });
  });

  test('what only Google knows is kept for Google’s clients', () => {
    const parts = [
      { executableCode: { code: '1+1' } },
      { text: 'two' },
      { inlineData: { mimeType: 'image/png', data: 'A' }, thought: true },
    ];
    const body = geminiChunk(parts, { finishReason: 'STOP', avgLogprobs: -0.1 }, { createTime: 'now' });
    const events = gemini.unfold(Buffer.from(JSON.stringify(body)));
    expect(foldTurn(events).choices[0]!.blocks.map(({ head }) => head.kind)).toEqual([
      'private',
      'text',
      'private',
    ]);
    expect(gemini.render(events)).toEqual(body);
  });

  test('sources are citations, counted in characters', () => {
    const groundingMetadata = {
      groundingChunks: [
        { web: { uri: 'https://a.example', title: 'A' } },
        { web: { uri: 'https://b.example' } },
      ],
      groundingSupports: [
        { segment: { endIndex: 7, text: 'Grüße' }, groundingChunkIndices: [0, 9] },
        { segment: { startIndex: 8, endIndex: 14 }, groundingChunkIndices: [1] },
      ],
    };
    const citationMetadata = { citationSources: [{ startIndex: 0, endIndex: 2, uri: 'https://c.example' }] };
    const turn = stream([
      geminiChunk([{ text: 'Grüße ' }]),
      geminiChunk([{ text: '世界' }], { finishReason: 'STOP', groundingMetadata, citationMetadata }),
    ]);
    expect(turn.choices[0]!.blocks[0]!.citations).toEqual([
      { url: 'https://a.example', title: 'A', start: 0, end: 5 },
      { url: 'https://b.example', start: 6, end: 8 },
      { url: 'https://c.example', start: 0, end: 2 },
    ]);
  });

  test('sources that no words lean on are told without a place', () => {
    const groundingMetadata = { groundingChunks: [{ web: { uri: 'https://a.example', title: 'A' } }] };
    const turn = whole(geminiChunk([{ text: 'x' }], { finishReason: 'STOP', groundingMetadata }));
    expect(turn.choices[0]!.blocks[0]!.citations).toEqual([{ url: 'https://a.example', title: 'A' }]);
  });

  test('likelihoods go with the words', () => {
    const logprobsResult = {
      chosenCandidates: [{ token: 'a', logProbability: -0.5 }],
      topCandidates: [
        {
          candidates: [
            { token: 'a', logProbability: -0.5 },
            { token: 'b', logProbability: -2 },
          ],
        },
      ],
    };
    const turn = whole(geminiChunk([{ text: 'a' }], { finishReason: 'STOP', logprobsResult }));
    expect(turn.choices[0]!.blocks[0]!.logprobs).toEqual([
      {
        token: 'a',
        logprob: -0.5,
        top: [
          { token: 'a', logprob: -0.5 },
          { token: 'b', logprob: -2 },
        ],
      },
    ]);
  });
});

test.each(['', 'null', '[]', '{}', '"text"', '<html>', '{"candidates":7'])(
  'the body %j is no answer',
  (body) => {
    const thrown = (): unknown => gemini.unfold(Buffer.from(body));
    expect(thrown).toThrow(expect.objectContaining({ code: 'upstream_invalid' }) as SignalboxError);
  },
);

test('the body with an error is that error', () => {
  expect(whole({ error: { code: 500, message: 'broke', status: 'INTERNAL' } }).error?.code).toBe(
    'upstream_error',
  );
});
