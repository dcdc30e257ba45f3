import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeEvent, writeException } from '#test/fixtures/aws-event-stream.ts';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { bedrockConverse } from './index.ts';

const request: TurnRequest = {
  model: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
  stream: true,
  messages: [],
  tools: [{ name: 'weather.look up' }],
  extras: {},
};
const wireName = 'weather_look_up_';
const usage = {
  inputTokens: 10,
  outputTokens: 7,
  totalTokens: 20,
  cacheReadInputTokens: 2,
  cacheWriteInputTokens: 1,
};

const delta = (contentBlockIndex: number, change: object) =>
  writeEvent('contentBlockDelta', { contentBlockIndex, delta: change, p: 'abc' });
const stop = (contentBlockIndex: number) => writeEvent('contentBlockStop', { contentBlockIndex, p: 'a' });
const start = writeEvent('messageStart', { role: 'assistant', p: 'abcdef' });
const end = (stopReason: string, more: object = {}) => writeEvent('messageStop', { stopReason, ...more });
const metadata = writeEvent('metadata', { usage, metrics: { latencyMs: 1 } });

function read(pieces: readonly Buffer[], asked: TurnRequest | undefined = request): readonly TurnEvent[] {
  return checkTurn(readStream(bedrockConverse, pieces, asked));
}

const fold = (...messages: Buffer[]) => foldTurn(read([Buffer.concat(messages)]));

/** What one would send for a tool of this name, whatever it is. */
function nameOnWire(): string {
  const encoded = bedrockConverse.encode({
    ...request,
    messages: [{ role: 'user', parts: [{ kind: 'text', text: 'a' }] }],
  });
  return (encoded.toolConfig as { tools: [{ toolSpec: { name: string } }] }).tools[0].toolSpec.name;
}

const whole = Buffer.concat([
  start,
  delta(0, { reasoningContent: { text: 'Züri ' } }),
  delta(0, { reasoningContent: { text: '☃' } }),
  delta(0, { reasoningContent: { signature: 'sig' } }),
  stop(0),
  delta(1, { text: 'It is ' }),
  delta(1, { text: 'cold.' }),
  stop(1),
  writeEvent('contentBlockStart', {
    contentBlockIndex: 2,
    start: { toolUse: { toolUseId: 'tooluse_1', name: nameOnWire() } },
  }),
  delta(2, { toolUse: { input: '{"city":' } }),
  delta(2, { toolUse: { input: '"Zürich"}' } }),
  stop(2),
  end('tool_use'),
  metadata,
]);

describe('a stream', () => {
  test('is a turn with reasoning, words, calls under their own names, and disjoint counts', () => {
    expect(nameOnWire()).toMatch(new RegExp(`^${wireName}`));
    const turn = foldTurn(read([whole]));
    expect(turn).toMatchObject({
      id: '',
      model: request.model,
      usage: { input: 10, inputCacheRead: 2, inputCacheWrite: 1, output: 7, outputReasoning: 0 },
      rawUsage: JSON.stringify(usage),
      error: undefined,
    });
    expect(turn.choices).toMatchObject([
      {
        reasoning: 'Züri ☃',
        text: 'It is cold.',
        toolCalls: [{ id: 'tooluse_1', name: 'weather.look up', arguments: '{"city":"Zürich"}' }],
        reason: 'tool-calls',
      },
    ]);
    expect(turn.choices[0]?.blocks[0]?.signature).toEqual({ maker: 'anthropic', value: 'sig' });
  });

  test('is the same however it is cut', () => {
    const events = read([whole]);
    expect(read(oneByOne(whole))).toEqual(events);
    for (const pieces of everyCut(whole)) expect(read(pieces)).toEqual(events);
    fc.assert(fc.property(anyCuts(whole), (pieces) => void expect(read(pieces)).toEqual(events)));
  });

  test('that is cut anywhere before its counts is not whole', () => {
    for (let length = 0; length < whole.length; length += 1) {
      const turn = foldTurn(read([whole.subarray(0, length)]));
      expect(turn.error?.code).toBe('upstream_truncated');
      expect(turn.choices.every(({ reason }) => reason === undefined)).toBe(true);
    }
  });

  test('may bring its counts before its end', () => {
    expect(fold(start, delta(0, { text: 'a' }), metadata, end('end_turn'))).toMatchObject({
      error: undefined,
      usage: { output: 7 },
      choices: [{ text: 'a', reason: 'stop' }],
    });
  });

  test('says nothing with what nobody here knows', () => {
    const { choices, error } = fold(
      start,
      writeEvent('futureEvent', { a: 1 }),
      writeEvent('contentBlockStart', {
        contentBlockIndex: 0,
        start: { toolUse: { toolUseId: 's', name: 'nova_grounding', type: 'server_tool_use' } },
      }),
      delta(0, { toolUse: { input: '{}' } }),
      stop(0),
      writeEvent('contentBlockStart', { contentBlockIndex: 1, start: { toolResult: { toolUseId: 's' } } }),
      delta(1, { toolResult: [{ text: 'secret' }] }),
      stop(1),
      delta(2, { text: 'a' }),
      end('end_turn'),
      metadata,
    );
    expect(error).toBeUndefined();
    expect(choices).toMatchObject([{ text: 'a', toolCalls: [], reason: 'stop' }]);
  });

  test.each<[string, string]>([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['guardrail_intervened', 'content-filter'],
    ['content_filtered', 'content-filter'],
    ['something_new', 'stop'],
  ])('that ends with %s ended by %s', (written, reason) => {
    expect(fold(start, delta(0, { text: 'a' }), end(written), metadata).choices[0]?.reason).toBe(reason);
  });

  test.each(['malformed_model_output', 'malformed_tool_use'])(
    'that ends with %s failed, and is counted',
    (written) => {
      const turn = fold(start, delta(0, { text: 'a' }), end(written), metadata);
      expect(turn.error?.code).toBe('upstream_error');
      expect(turn.usage?.output).toBe(7);
    },
  );

  test('says which stop sequence it was', () => {
    const fields = { additionalModelResponseFields: { delta: { stop_sequence: 'END' } } };
    expect(fold(start, end('stop_sequence', fields), metadata).choices[0]).toMatchObject({
      stopSequence: 'END',
    });
    const none = { additionalModelResponseFields: { delta: { stop_sequence: null } } };
    expect(fold(start, end('end_turn', none), metadata).choices[0]?.stopSequence).toBeUndefined();
  });

  test('has the sources of a block', () => {
    const citation = {
      title: 'policy',
      location: { web: { url: 'https://a.example/' } },
      sourceContent: [{ text: 'Twenty ' }, { text: 'days.' }],
    };
    const { choices } = fold(
      start,
      delta(0, { citation }),
      delta(0, { text: '20' }),
      stop(0),
      end('end_turn'),
      metadata,
    );
    expect(choices[0]?.blocks).toMatchObject([
      { text: '20', citations: [{ title: 'policy', url: 'https://a.example/', quote: 'Twenty days.' }] },
    ]);
  });

  test('keeps a signature without words, and reasoning that Claude hid', () => {
    const redactedContent = Buffer.from('hidden').toString('base64');
    const { choices } = fold(
      start,
      delta(0, { reasoningContent: { signature: 'sig' } }),
      stop(0),
      delta(1, { reasoningContent: { redactedContent } }),
      stop(1),
      end('end_turn'),
      metadata,
    );
    expect(choices[0]?.blocks).toMatchObject([
      { head: { kind: 'reasoning' }, text: '', signature: { value: 'sig' } },
      { head: { kind: 'reasoning', isRedacted: true }, signature: { maker: 'anthropic', value: 'hidden' } },
    ]);
  });

  test('leaves out what another model hid, because nobody could give it back', () => {
    const hidden = delta(0, { reasoningContent: { redactedContent: 'AAAA' } });
    const asked = { ...request, model: 'openai.gpt-oss-120b-1:0' };
    const turn = foldTurn(read([start, hidden, end('end_turn'), metadata], asked));
    expect(turn.choices[0]?.blocks).toEqual([]);
  });
});

describe('a failure inside a stream', () => {
  test.each([
    ['throttlingException', 'Too many requests', 'upstream_rate_limited'],
    ['serviceUnavailableException', 'busy', 'upstream_overloaded'],
    ['modelStreamErrorException', 'The model crashed', 'upstream_error'],
    ['internalServerException', '', 'upstream_error'],
    ['validationException', 'Something is wrong', 'upstream_rejected'],
    ['validationException', 'Input is too long for requested model.', 'context_length_exceeded'],
  ])('%s "%s" is %s', (type, message, code) => {
    const turn = fold(start, delta(0, { text: 'a' }), writeException(type, { message, p: 'x' }), metadata);
    expect(turn.error?.code).toBe(code);
    expect(turn.choices[0]?.text).toBe('a');
  });

  test('may come before anything else, and may be no JSON', () => {
    expect(read([writeException('throttlingException', {})])).toHaveLength(1);
    const frames = { event: 'exception:throttlingException', data: '<busy>' };
    expect(bedrockConverse.reader(request).push(frames)).toMatchObject([
      { type: 'turn-error', error: { code: 'upstream_rate_limited' } },
    ]);
  });

  test('is told for an event that is none', () => {
    for (const payload of ['{"a', '[]', '1']) {
      expect(fold(start, writeEvent('contentBlockDelta', payload)).error?.code).toBe('upstream_invalid');
    }
  });
});

test('whatever the frames are, what comes of them is a turn', () => {
  const types = [
    'messageStart',
    'contentBlockStart',
    'contentBlockDelta',
    'contentBlockStop',
    'messageStop',
    'metadata',
  ];
  const known = fc.constantFrom(
    'contentBlockIndex',
    'delta',
    'start',
    'text',
    'toolUse',
    'reasoningContent',
    'citation',
    'usage',
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom<unknown>(null, 0, 'x', []),
      fc.dictionary(known, tie('value'), { maxKeys: 4 }),
    ),
  }));
  const frame = fc.oneof(
    {
      weight: 9,
      arbitrary: fc
        .tuple(fc.constantFrom(...types), value)
        .map(([event, data]) => ({ event, data: JSON.stringify(data) })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        { event: 'exception:', data: 'x' },
        { data: '', unterminated: true as const },
      ),
    },
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
      const turn = bedrockConverse.reader(request);
      checkTurn([...frames.flatMap((each) => turn.push(each)), ...turn.end()]);
    }),
  );
});

describe('a whole answer', () => {
  const answer = {
    output: {
      message: {
        role: 'assistant',
        content: [
          { reasoningContent: { reasoningText: { text: 'Züri ☃', signature: 'sig' } } },
          { text: 'It is cold.' },
          { toolUse: { toolUseId: 'tooluse_1', name: nameOnWire(), input: { city: 'Zürich' } } },
        ],
      },
    },
    stopReason: 'tool_use',
    usage,
  };
  const unfold = (body: unknown) =>
    checkTurn(bedrockConverse.unfold(Buffer.from(JSON.stringify(body)), request));

  test('folds to what its stream folds to', () => {
    const streamed = foldTurn(read([whole]));
    const folded = foldTurn(unfold(answer));
    const strip = ({ choices, ...turn }: typeof folded) => ({
      ...turn,
      choices: choices.map(({ blocks, ...choice }) => ({
        ...choice,
        blocks: blocks.map(({ deltas: _, ...block }) => block),
      })),
    });
    expect(strip(folded)).toEqual(strip(streamed));
  });

  test('has sources, pictures, and tools without arguments', () => {
    const content = [
      { citationsContent: { content: [{ text: '20' }], citations: [{ title: 'policy' }] } },
      { image: { format: 'png', source: { bytes: 'AAAA' } } },
      { toolUse: { toolUseId: '1', name: 'f', input: {} } },
      { toolUse: { toolUseId: '2', name: 'g', input: { a: 1 }, type: 'server_tool_use' } },
      { reasoningContent: { redactedContent: Buffer.from('hidden').toString('base64') } },
    ];
    const { choices } = foldTurn(unfold({ ...answer, output: { message: { content } } }));
    expect(choices[0]).toMatchObject({ text: '20', toolCalls: [{ id: '1', name: 'f', arguments: '{}' }] });
    expect(choices[0]?.blocks.map(({ head }) => head.kind)).toEqual([
      'text',
      'image',
      'tool-call',
      'reasoning',
    ]);
    expect(choices[0]?.blocks[0]?.citations).toEqual([{ title: 'policy' }]);
    expect(choices[0]?.blocks[1]).toMatchObject({ head: { mediaType: 'image/png' }, text: 'AAAA' });
  });

  test('that says nothing is still one', () => {
    const { choices } = foldTurn(
      unfold({ ...answer, output: { message: { content: [] } }, stopReason: 'end_turn' }),
    );
    expect(choices).toMatchObject([{ text: '', reason: 'stop' }]);
  });

  test('that is a failure with the status of a success is one', () => {
    const fault = {
      Output: { __type: 'com.amazon.coral.service#UnknownOperationException' },
      Version: '1.0',
    };
    expect(foldTurn(unfold(fault)).error?.code).toBe('upstream_error');
  });

  test.each(['', '{', '[]', '{}', '{"output":{"message":{"content":"a"}}}'])('%s is none', (body) => {
    const unread = () => bedrockConverse.unfold(Buffer.from(body), request);
    expect(unread).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
  });

  test('of any other form is read or refused', () => {
    const known = fc.constantFrom(
      'output',
      'message',
      'content',
      'text',
      'toolUse',
      'input',
      'usage',
      'stopReason',
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom<unknown>(null, 0, 'x', true),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(known, tie('value'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(value, (body) => {
        const content = [body];
        const events = bedrockConverse.unfold(
          Buffer.from(JSON.stringify({ output: { message: { content } } })),
        );
        checkTurn(events);
      }),
    );
  });
});
