import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { type TurnRequest, withoutExtras } from '../../turn/request.ts';
import { anthropicMessages } from '../anthropic-messages/index.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { bedrockConverse } from './index.ts';

const claude = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
const newest = 'global.anthropic.claude-opus-5';
const nova = 'amazon.nova-pro-v1:0';
const hello: TurnRequest['messages'] = [{ role: 'user', parts: [{ kind: 'text', text: 'hello' }] }];

interface Encoded {
  readonly wire: Record<string, unknown>;
  readonly refused: readonly string[];
  readonly leftOut: readonly string[];
}

function encode(request: Partial<TurnRequest>): Encoded {
  const refused: string[] = [];
  const leftOut: string[] = [];
  const whole = { model: claude, stream: false, messages: hello, tools: [], extras: {}, ...request };
  const wire = bedrockConverse.encode(whole, {
    unsupported: (field) => void refused.push(field),
    leftOut: (field) => void leftOut.push(field),
  });
  return { wire: JSON.parse(JSON.stringify(wire)) as Encoded['wire'], refused, leftOut };
}

const fieldsOf = (request: Partial<TurnRequest>) => encode(request).wire.additionalModelRequestFields;

describe('a request', () => {
  test('says no more than was asked, and names neither model nor stream', () => {
    expect(encode({ stream: true }).wire).toEqual({
      messages: [{ role: 'user', content: [{ text: 'hello' }] }],
    });
  });

  test('of a client of OpenAI', () => {
    const body = {
      model: claude,
      max_completion_tokens: 100,
      temperature: 1.7,
      top_p: 0.5,
      stop: 'END',
      service_tier: 'flex',
      user: 'user-1',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
      ],
    };
    const request = withoutExtras(openaiChat.decode(openaiChat.peek(Buffer.from(JSON.stringify(body)))));
    expect(encode(request).wire).toEqual({
      system: [{ text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ text: 'hello' }] }],
      inferenceConfig: { maxTokens: 100, temperature: 1, topP: 0.5, stopSequences: ['END'] },
      additionalModelResponseFieldPaths: ['/stop_sequence'],
      serviceTier: { type: 'flex' },
      requestMetadata: { end_user: 'user-1' },
    });
  });

  test('of a client of Anthropic', () => {
    const body = {
      model: claude,
      max_tokens: 100,
      stream: true,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } }],
      stop_sequences: ['END'],
      messages: [{ role: 'user', content: 'hello' }],
    };
    const head = anthropicMessages.peek(Buffer.from(JSON.stringify(body)));
    expect(encode(withoutExtras(anthropicMessages.decode(head))).wire).toEqual({
      system: [{ text: 'Be brief.' }, { cachePoint: { type: 'default', ttl: '1h' } }],
      messages: [{ role: 'user', content: [{ text: 'hello' }] }],
      inferenceConfig: { maxTokens: 100, stopSequences: ['END'] },
      additionalModelResponseFieldPaths: ['/delta/stop_sequence'],
    });
  });

  test.each<[string, Partial<TurnRequest>]>([
    ['choices', { choices: 2 }],
    ['seed', { seed: 1 }],
    ['presencePenalty', { presencePenalty: 1 }],
    ['frequencyPenalty', { frequencyPenalty: 1 }],
    ['logprobs', { logprobs: { top: 0 } }],
    ['verbosity', { verbosity: 'low' }],
    ['responseFormat', { responseFormat: { kind: 'json' } }],
    ['topK', { model: 'meta.llama3-3-70b-instruct-v1:0', topK: 4 }],
  ])('for what Bedrock has no words for is refused: %s', (field, request) => {
    expect(encode(request).refused).toEqual([field]);
    expect(() => bedrockConverse.encode({ ...base, ...request })).toThrow(SignalboxError);
  });

  test('for what is so anyway is not', () => {
    const usual = { choices: 1, presencePenalty: 0, frequencyPenalty: 0, verbosity: 'medium' };
    expect(encode({ ...usual, responseFormat: { kind: 'text' } }).refused).toEqual([]);
  });

  test('leaves out hints that Bedrock has no word for', () => {
    const { wire, refused } = encode({ serviceTier: 'auto', endUser: 'a\u0000b' });
    expect(wire).toEqual({ messages: expect.anything() });
    expect(refused).toEqual([]);
  });

  test.each([
    [claude, { top_k: 4 }],
    [nova, { inferenceConfig: { topK: 4 } }],
    ['mistral.mistral-large-2407-v1:0', { top_k: 4 }],
    ['cohere.command-r-plus-v1:0', { k: 4 }],
  ])('asks %s to choose among few tokens in the words of its maker', (model, fields) => {
    expect(fieldsOf({ model, topK: 4 })).toEqual(fields);
  });

  test('binds the answer to a schema where Bedrock does so', () => {
    const schema = { type: 'object', properties: { a: { type: 'number' } } };
    const responseFormat = { kind: 'schema', fields: { name: 'answer', schema, strict: true } } as const;
    expect(encode({ responseFormat }).wire.outputConfig).toEqual({
      textFormat: {
        type: 'json_schema',
        structure: { jsonSchema: { name: 'answer', schema: JSON.stringify(schema) } },
      },
    });
    const { wire, refused } = encode({ model: newest, responseFormat });
    expect(refused).toEqual(['responseFormat']);
    expect(wire.outputConfig).toBeUndefined();
  });
});

const base: TurnRequest = { model: claude, stream: false, messages: hello, tools: [], extras: {} };
const call = { kind: 'tool-call', id: 'call_1', name: 'f', arguments: '{}' } as const;
const result = { kind: 'tool-result', toolCallId: 'call_1', parts: [{ kind: 'text', text: '4' }] } as const;
const thought = { kind: 'reasoning', text: 'hm', signature: { maker: 'anthropic', value: 's' } } as const;

describe('reasoning', () => {
  test.each<[string, Partial<TurnRequest>, unknown]>([
    ['an effort', { reasoningEffort: 'high' }, { thinking: { type: 'enabled', budget_tokens: 16_000 } }],
    [
      'an effort within a limit',
      { reasoningEffort: 'high', maxOutputTokens: 4000 },
      { thinking: { type: 'enabled', budget_tokens: 2000 } },
    ],
    [
      'a number of tokens',
      { reasoningTokens: 5000, maxOutputTokens: 8000 },
      { thinking: { type: 'enabled', budget_tokens: 5000 } },
    ],
    [
      'more tokens than the answer may have',
      { reasoningTokens: 5000, maxOutputTokens: 4000 },
      { thinking: { type: 'enabled', budget_tokens: 3999 } },
    ],
    [
      'an effort, of a model that decides for itself',
      { model: newest, reasoningEffort: 'xhigh', showReasoning: true },
      { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'xhigh' } },
    ],
    [
      'a number of tokens, of a model that decides for itself',
      { model: newest, reasoningTokens: 9000 },
      { thinking: { type: 'adaptive' }, output_config: { effort: 'medium' } },
    ],
    [
      'an effort, of Nova',
      { model: 'us.amazon.nova-2-lite-v1:0', reasoningEffort: 'minimal' },
      { reasoningConfig: { type: 'enabled', maxReasoningEffort: 'low' } },
    ],
    [
      'an effort, of an open model of OpenAI',
      { model: 'openai.gpt-oss-120b-1:0', reasoningEffort: 'high' },
      { reasoning_effort: 'high' },
    ],
    [
      'the wish to read it, of a model that decides for itself',
      { model: newest, showReasoning: true },
      { thinking: { type: 'adaptive', display: 'summarized' } },
    ],
    ['the wish to read it alone, of others', { showReasoning: true }, undefined],
    ['none', { reasoningEffort: 'none' }, undefined],
  ])('is asked for by %s', (_, request, fields) => {
    expect(encode(request).refused).toEqual([]);
    expect(fieldsOf(request)).toEqual(fields);
  });

  test('by budget comes with the limit that has to be above it', () => {
    expect(encode({ reasoningEffort: 'low' }).wire.inferenceConfig).toEqual({ maxTokens: 32_000 });
  });

  test.each<[string, Partial<TurnRequest>]>([
    ['reasoningEffort', { reasoningEffort: 'enormous' }],
    ['reasoningEffort', { reasoningEffort: 'low', toolChoice: 'required' }],
    ['reasoningEffort', { reasoningEffort: 'low', maxOutputTokens: 1024 }],
    ['reasoningEffort', { reasoningEffort: 'low', model: 'deepseek.r1-v1:0' }],
    ['reasoningEffort', { reasoningEffort: 'xhigh', model: 'openai.gpt-oss-20b-1:0' }],
    ['reasoningTokens', { reasoningTokens: 2000, model: nova }],
    ['temperature', { reasoningEffort: 'low', temperature: 0.5 }],
    ['topP', { reasoningEffort: 'low', topP: 0.5 }],
    ['topK', { reasoningEffort: 'low', topK: 5 }],
  ])('is refused by the name of %s where it cannot be: %j', (field, request) => {
    expect(encode(request).refused).toEqual([field]);
  });

  test('at its own temperature is not', () => {
    const { wire, refused } = encode({ reasoningEffort: 'low', temperature: 1, topP: 0.99 });
    expect(refused).toEqual([]);
    expect(wire.inferenceConfig).toMatchObject({ temperature: 1, topP: 0.99 });
  });

  test('goes on after the call of a tool only with what was thought before it', () => {
    const calledAfter = (parts: TurnRequest['messages'][number]['parts']): Partial<TurnRequest> => ({
      reasoningEffort: 'low',
      messages: [...hello, { role: 'assistant', parts }, { role: 'tool', parts: [result] }],
    });
    expect(encode(calledAfter([call]))).toMatchObject({ leftOut: ['reasoningEffort'], refused: [] });
    expect(fieldsOf(calledAfter([call]))).toBeUndefined();
    expect(fieldsOf(calledAfter([thought, call]))).toMatchObject({ thinking: { type: 'enabled' } });
  });
});
