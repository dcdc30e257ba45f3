import { describe, expect, test } from 'vitest';
import type { Message, Part, TurnRequest } from '../../turn/request.ts';
import { bedrockConverse } from './index.ts';

const claude = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const text = (words: string): Part => ({ kind: 'text', text: words });
const said = (role: Message['role'], ...parts: (Part | string)[]): Message => ({
  role,
  parts: parts.map((part) => (typeof part === 'string' ? text(part) : part)),
});
const call = (id: string): Part => ({ kind: 'tool-call', id, name: 'f', arguments: '{"a":1}' });
const result = (toolCallId: string, ...parts: Part[]): Part => ({ kind: 'tool-result', toolCallId, parts });
const use = (toolUseId: string) => ({ toolUse: { toolUseId, name: 'f', input: { a: 1 } } });

interface Conversation {
  readonly system?: unknown;
  readonly messages: readonly { readonly role: string; readonly content: readonly unknown[] }[];
  readonly refused: readonly string[];
}

function encode(messages: readonly Message[], model = claude): Conversation {
  const refused: string[] = [];
  const request: TurnRequest = { model, stream: false, messages, tools: [], extras: {} };
  const wire = bedrockConverse.encode(request, { unsupported: (field) => void refused.push(field) });
  return { ...(wire as unknown as Conversation), refused };
}

const contentOf = (...parts: Part[]) => encode([said('user', ...parts)]).messages[0]?.content;

describe('turns', () => {
  test('alternate, whatever came one after the other', () => {
    const { messages } = encode([
      said('user', 'a'),
      said('user', 'b'),
      said('assistant', 'c'),
      said('assistant', 'd'),
      said('user', 'e'),
    ]);
    expect(messages).toEqual([
      { role: 'user', content: [{ text: 'a' }, { text: 'b' }] },
      { role: 'assistant', content: [{ text: 'c' }, { text: 'd' }] },
      { role: 'user', content: [{ text: 'e' }] },
    ]);
  });

  test('without words are not there, and no text is blank', () => {
    expect(encode([said('user', 'a', ' \n'), said('assistant', ''), said('user', 'b')]).messages).toEqual([
      { role: 'user', content: [{ text: 'a' }, { text: 'b' }] },
    ]);
  });

  test('begin with the user', () => {
    const { refused, messages } = encode([said('assistant', 'hi'), said('user', 'a')]);
    expect(refused).toEqual(['messages[0].role']);
    expect(messages).toEqual([{ role: 'user', content: [{ text: 'a' }] }]);
  });

  test('that the assistant is to go on with do not end in a space', () => {
    const { messages } = encode([
      said('user', 'a'),
      said('assistant', 'so '),
      said('user', 'b'),
      said('assistant', 'and \n'),
    ]);
    expect(messages[1]?.content).toEqual([{ text: 'so ' }]);
    expect(messages[3]?.content).toEqual([{ text: 'and' }]);
  });
});

describe('the operator', () => {
  test('stands apart at the beginning, and keeps the place in the middle', () => {
    const { system, messages } = encode([
      said('system', 'one'),
      said('developer', 'two'),
      said('user', 'a'),
      said('system', 'three'),
    ]);
    expect(system).toEqual([{ text: 'one' }, { text: 'two' }]);
    expect(messages).toEqual([
      { role: 'user', content: [{ text: 'a' }, { text: '<system>\nthree\n</system>' }] },
    ]);
  });

  test('who speaks alone is answered', () => {
    expect(encode([said('system', 'one'), said('system', 'two')])).toMatchObject({
      system: [{ text: 'one' }],
      messages: [{ role: 'user', content: [{ text: 'two' }] }],
    });
  });
});

describe('results of tools', () => {
  test('of one turn stand in one message, before any words', () => {
    const { messages } = encode([
      said('user', 'a'),
      said('assistant', call('1'), call('2')),
      said('user', 'quick'),
      said('tool', result('1', text('x'))),
      said('tool', result('2', text('y'))),
    ]);
    expect(messages.slice(1)).toEqual([
      { role: 'assistant', content: [use('1'), use('2')] },
      {
        role: 'user',
        content: [
          { toolResult: { toolUseId: '1', content: [{ text: 'x' }] } },
          { toolResult: { toolUseId: '2', content: [{ text: 'y' }] } },
          { text: 'quick' },
        ],
      },
    ]);
  });

  test('say whether the tool failed, hold pictures, and are never empty', () => {
    const image: Part = { kind: 'image', url: 'data:image/png;base64,AAAA' };
    const failed: Part = { kind: 'tool-result', toolCallId: '1', parts: [text('no')], isError: true };
    expect(contentOf(failed, { ...failed, parts: [image], isError: false }, result('2', text(' ')))).toEqual([
      { toolResult: { toolUseId: '1', content: [{ text: 'no' }], status: 'error' } },
      {
        toolResult: {
          toolUseId: '1',
          content: [{ image: { format: 'png', source: { bytes: 'AAAA' } } }],
          status: 'success',
        },
      },
      { toolResult: { toolUseId: '2', content: [{ text: '(empty)' }] } },
    ]);
  });

  test('answer calls whose arguments are an object', () => {
    const bad: Part = { kind: 'tool-call', id: '1', name: 'f', arguments: '[1]' };
    const none: Part = { kind: 'tool-call', id: '1', name: 'f', arguments: '' };
    expect(() => encode([said('user', 'a'), said('assistant', bad)])).toThrow(/JSON object/);
    expect(encode([said('user', 'a'), said('assistant', none)]).messages[1]?.content).toEqual([
      { toolUse: { toolUseId: '1', name: 'f', input: {} } },
    ]);
  });
});

describe('reasoning', () => {
  const signature = { maker: 'anthropic', value: 'c2ln' } as const;
  const thought: Part = { kind: 'reasoning', text: 'hm', signature };
  const redacted: Part = { kind: 'reasoning', text: '', isRedacted: true, signature };
  const replay = (part: Part, model?: string) =>
    encode([said('user', 'a'), said('assistant', part, 'b'), said('user', 'c')], model).messages[1]?.content;

  test('goes back to Claude as it was signed', () => {
    expect(replay(thought)).toEqual([
      { reasoningContent: { reasoningText: { text: 'hm', signature: 'c2ln' } } },
      { text: 'b' },
    ]);
    const redactedContent = Buffer.from('c2ln').toString('base64');
    expect(replay(redacted)).toEqual([{ reasoningContent: { redactedContent } }, { text: 'b' }]);
    expect(replay(thought, 'arn:aws:bedrock:us-east-1:1:application-inference-profile/x')).toHaveLength(2);
  });

  test.each<[string, Part, string]>([
    ['nobody signed', { kind: 'reasoning', text: 'hm' }, claude],
    ['another maker signed', { ...thought, signature: { maker: 'google', value: 's' } }, claude],
    ['Claude signed, when it is for another model', thought, 'amazon.nova-pro-v1:0'],
  ])('that %s stays here', (_, part, model) => {
    expect(replay(part, model)).toEqual([{ text: 'b' }]);
  });
});

describe('marks', () => {
  const cacheControl = { type: 'ephemeral', ttl: '5m' };
  const mark = { cachePoint: { type: 'default', ttl: '5m' } };

  test('stand behind what they mark, and leave the results of tools', () => {
    expect(contentOf({ ...text('a'), cacheControl }, text('b'))).toEqual([
      { text: 'a' },
      mark,
      { text: 'b' },
    ]);
    const inner = result('1', { ...text('x'), cacheControl: { type: 'ephemeral' } });
    expect(contentOf(inner, text('b'))).toEqual([
      { toolResult: { toolUseId: '1', content: [{ text: 'x' }] } },
      { cachePoint: { type: 'default' } },
      { text: 'b' },
    ]);
  });

  test('stay with what they mark when that moves, and go with what is left out', () => {
    expect(
      contentOf({ ...text('a'), cacheControl }, result('1', text('x')), { ...text(''), cacheControl }),
    ).toEqual([{ toolResult: { toolUseId: '1', content: [{ text: 'x' }] } }, { text: 'a' }, mark]);
  });

  test('are not for models that keep no prompts', () => {
    const marked = [said('user', { ...text('a'), cacheControl })];
    expect(encode(marked, 'meta.llama3-3-70b-instruct-v1:0').messages[0]?.content).toEqual([{ text: 'a' }]);
  });
});

test('sounds are refused', () => {
  const sound: Part = { kind: 'audio', data: 'AAAA', format: 'wav' };
  expect(encode([said('user', 'a', sound)])).toMatchObject({
    refused: ['messages[0].content'],
    messages: [{ content: [{ text: 'a' }] }],
  });
});
