import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { openaiCompletions } from './index.ts';

const unsupported = (field: string, reason: string): never => {
  throw new SignalboxError('unsupported_field', reason, { param: field });
};

function decode(body: object) {
  return openaiCompletions.decode(openaiCompletions.peek(Buffer.from(JSON.stringify(body))));
}

const everything = {
  model: 'm',
  prompt: 'def add(a, b):',
  suffix: 'return result',
  max_tokens: 20,
  temperature: 0.5,
  top_p: 0.9,
  n: 2,
  stream: true,
  stream_options: { include_usage: true },
  logprobs: 3,
  echo: true,
  stop: ['\n', 'def'],
  presence_penalty: 0.1,
  frequency_penalty: 0.2,
  best_of: 4,
  logit_bias: { '50256': -100 },
  user: 'u',
  seed: 7,
  top_k: 40,
  vendor_field: { a: [1] },
};

describe('what is decoded comes back', () => {
  test.each<[string, object]>([
    ['everything', everything],
    ['a list of one', { model: 'm', prompt: ['a'] }],
    ['a list of several', { model: 'm', prompt: ['a', 'b'] }],
    ['tokens', { model: 'm', prompt: [1, 2, 3] }],
    ['lists of tokens', { model: 'm', prompt: [[1], [2]] }],
    ['no prompt', { model: 'm' }],
    ['nulls', { model: 'm', prompt: null, stop: null, logprobs: null, seed: null, stream: null, n: null }],
    ['a stop that is a string', { model: 'm', prompt: '', stop: '.' }],
  ])('%s', (_, body) => {
    expect(JSON.parse(JSON.stringify(openaiCompletions.encode(decode(body))))).toEqual(body);
  });

  test('whatever it holds', () => {
    const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
    const body = fc.record(
      {
        model: fc.string({ minLength: 1 }),
        prompt: fc.oneof(
          fc.string(),
          fc.array(fc.string()),
          fc.array(fc.nat()),
          fc.array(fc.array(fc.nat())),
        ),
        n: optional(fc.nat()),
        stop: optional(fc.oneof(fc.string(), fc.array(fc.string()))),
        logprobs: optional(fc.nat()),
        stream: optional(fc.boolean()),
        temperature: optional(fc.integer()),
        more: fc.jsonValue(),
      },
      { requiredKeys: ['model'] },
    );
    fc.assert(
      fc.property(body, (value) => {
        const written = JSON.parse(JSON.stringify(value)) as object;
        expect(JSON.parse(JSON.stringify(openaiCompletions.encode(decode(written))))).toEqual(written);
      }),
      { numRuns: 200 },
    );
  });
});

describe('for a model that holds conversations', () => {
  test('the prompt is what the user says, and the limits go along', () => {
    const request = decode({
      model: 'm',
      prompt: ['Hi'],
      max_tokens: 9,
      stop: '.',
      seed: 1,
      logprobs: 2,
      n: 2,
    });
    expect(openaiCompletions.untranslatable(request)).toEqual([]);
    const encoded = openaiChat.encode(
      { ...request, extras: {} },
      { unsupported, outputLimitField: 'max_tokens' },
    );
    expect(encoded).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 9,
      stop: ['.'],
      seed: 1,
      n: 2,
      logprobs: true,
      top_logprobs: 2,
    });
  });

  test.each<[string, object]>([
    ['prompt', { prompt: ['a', 'b'] }],
    ['prompt', { prompt: [1, 2] }],
    ['prompt', { prompt: [[1, 2]] }],
    ['prompt', {}],
    ['suffix', { prompt: 'a', suffix: 'b' }],
    ['echo', { prompt: 'a', echo: true }],
    ['best_of', { prompt: 'a', best_of: 3 }],
    ['logit_bias', { prompt: 'a', logit_bias: { '1': 1 } }],
    ['guided_regex', { prompt: 'a', guided_regex: '.*' }],
  ])('%s is refused by its name', (field, body) => {
    expect(openaiCompletions.untranslatable(decode({ model: 'm', ...body }))).toEqual([field]);
  });

  test('what asks for nothing is no reason to refuse', () => {
    const body = { model: 'm', prompt: 'a', suffix: null, echo: false, n: 2, best_of: 2, logit_bias: {} };
    expect(openaiCompletions.untranslatable(decode({ ...body, stream: false, stop: null }))).toEqual([]);
  });
});

test.each<[string, unknown]>([
  ['prompt', 5],
  ['prompt', { a: 1 }],
  ['prompt', ['a', 1]],
  ['prompt', [[1], 'a']],
  ['max_tokens', 'many'],
  ['logprobs', true],
  ['stop', 5],
])('a %s that is %j is refused', (param, value) => {
  expect(() => decode({ model: 'm', prompt: 'a', [param]: value })).toThrow(
    expect.objectContaining({ code: 'invalid_request', param }),
  );
});

test('a conversation is nothing that can be continued', () => {
  const messages = [
    { role: 'user' as const, parts: [{ kind: 'text' as const, text: 'a' }] },
    { role: 'assistant' as const, parts: [{ kind: 'text' as const, text: 'b' }] },
  ];
  const request = { model: 'm', stream: false, messages, tools: [], extras: {} };
  expect(() => openaiCompletions.encode(request, { unsupported })).toThrow(
    expect.objectContaining({ param: 'messages' }),
  );
});
