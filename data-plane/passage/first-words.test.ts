// When a stream begins to say something, in every dialect that is spoken upstream and however its bytes are cut.
import { describe, expect, test } from 'vitest';
import type { Dialect } from '../dialects/dialect.ts';
import { dialectNamed } from '../dialects/registry.ts';
import { listenFor } from './first-words.ts';

const events = (...data: readonly object[]) => data.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('');
const named = (...data: readonly { readonly type: string }[]) =>
  data.map((one) => `event: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`).join('');

const chunk = (delta: object, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: null, ...more }],
});
const message = {
  type: 'message_start',
  message: {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'm',
    content: [],
    usage: { input_tokens: 1 },
  },
};
const block = (content_block: object) => ({ type: 'content_block_start', index: 0, content_block });
const delta = (of: object) => ({ type: 'content_block_delta', index: 0, delta: of });
const candidate = (parts: readonly object[]) => ({
  candidates: [{ index: 0, content: { role: 'model', parts } }],
  responseId: 'r',
});

describe.each<[string, string, string]>([
  ['openai-chat', events(chunk({ role: 'assistant', content: '' })), events(chunk({ content: 'Hi' }))],
  [
    'openai-chat',
    `: OPENROUTER PROCESSING\n\n${events(chunk({ role: 'assistant' }))}`,
    events(chunk({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'look', arguments: '' } }] })),
  ],
  [
    'openai-chat',
    events(chunk({ role: 'assistant' })),
    `${events(chunk({}, { finish_reason: 'stop' }))}data: [DONE]\n\n`,
  ],
  [
    'anthropic-messages',
    named(message, block({ type: 'text', text: '' }), { type: 'ping' }),
    named(delta({ type: 'text_delta', text: 'Hi' })),
  ],
  [
    'anthropic-messages',
    named(message, block({ type: 'thinking', thinking: '' })),
    named(delta({ type: 'thinking_delta', thinking: 'Hm' })),
  ],
  [
    'anthropic-messages',
    named(message),
    named(block({ type: 'tool_use', id: 'toolu_1', name: 'look', input: {} })),
  ],
  ['gemini', '', events(candidate([{ text: 'Hi' }]))],
])('a stream of %s', (name, opening, words) => {
  const dialect: Dialect = dialectNamed(name as 'openai-chat');
  const heard = (text: string, size: number): readonly boolean[] => {
    const listen = listenFor(dialect);
    const bytes = Buffer.from(text);
    return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      listen(bytes.subarray(index * size, (index + 1) * size)),
    );
  };

  test.each([1, 7, 100_000])('speaks with its first words, in pieces of %d bytes', (size) => {
    if (opening !== '') expect(heard(opening, size).at(-1)).toBe(false);
    const whole = heard(opening + words, size);
    expect(whole.at(-1)).toBe(true);
    expect(whole).toEqual(whole.toSorted());
  });
});

test('what cannot be read counts as words, for others to complain of', () => {
  expect(listenFor(dialectNamed('openai-chat'))(Buffer.from('data: {"broken\n\n'))).toBe(true);
});
