// What goes out to Gemini when the client speaks another dialect, and when it speaks this one.
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import type { Message, Part, TurnRequest } from '../../turn/request.ts';
import { signatureText } from '../../turn/signature.ts';
import type { BodyShape } from '../dialect.ts';
import { gemini } from './index.ts';

interface Wire {
  readonly contents: readonly {
    readonly role?: string;
    readonly parts: readonly Record<string, unknown>[];
  }[];
  readonly generationConfig: Record<string, unknown>;
  readonly [member: string]: unknown;
}

function asked(request: Partial<TurnRequest>): TurnRequest {
  return { model: 'gemini-2.5-flash', stream: false, messages: [], tools: [], extras: {}, ...request };
}

function encode(
  request: Partial<TurnRequest>,
  shape: BodyShape = {},
): Wire & { readonly left: readonly string[] } {
  const left: string[] = [];
  const wire = gemini.encode(asked(request), { ...shape, unsupported: (field) => void left.push(field) });
  return { ...(JSON.parse(JSON.stringify(wire)) as Wire), left };
}

const say = (role: Message['role'], ...parts: readonly (Part | string)[]): Message => ({
  role,
  parts: parts.map((part): Part => (typeof part === 'string' ? { kind: 'text', text: part } : part)),
});
const call = (id: string, more: Partial<Extract<Part, { kind: 'tool-call' }>> = {}): Part => ({
  kind: 'tool-call',
  id,
  name: `tool_${id}`,
  arguments: '{"a":1}',
  ...more,
});
const result = (toolCallId: string, ...parts: readonly Part[]): Message => ({
  role: 'tool',
  parts: [{ kind: 'tool-result', toolCallId, parts }],
});
const text = (value: string): Part => ({ kind: 'text', text: value });

describe('a conversation', () => {
  test('has what the operator says apart, and in the middle with a mark', () => {
    const { systemInstruction, contents } = encode({
      messages: [
        say('system', 'Be brief.'),
        say('developer', 'Be kind.'),
        say('user', 'Hello'),
        say('system', 'Now in French.'),
        say('assistant', 'Bonjour'),
      ],
    });
    expect(systemInstruction).toEqual({ parts: [{ text: 'Be brief.' }, { text: 'Be kind.' }] });
    expect(contents).toEqual([
      { role: 'user', parts: [{ text: 'Hello' }] },
      { role: 'user', parts: [{ text: '<system>\nNow in French.\n</system>' }] },
      { role: 'model', parts: [{ text: 'Bonjour' }] },
    ]);
  });

  test('of an operator alone is answered like a user’s', () => {
    const { systemInstruction, contents } = encode({ messages: [say('system', 'Write a poem.')] });
    expect(systemInstruction).toBeUndefined();
    expect(contents).toEqual([{ role: 'user', parts: [{ text: 'Write a poem.' }] }]);
  });

  test('with a model that knows no operator has their words as the user’s', () => {
    const messages = [say('system', 'Be brief.'), say('user', 'Hello')];
    const { systemInstruction, contents } = encode({ model: 'gemma-3-27b-it', messages });
    expect(systemInstruction).toBeUndefined();
    expect(contents.map(({ parts }) => parts)).toEqual([[{ text: 'Be brief.' }], [{ text: 'Hello' }]]);
  });

  test('has all results of a turn in one content, by the names of their calls', () => {
    const { contents } = encode({
      messages: [
        say('user', 'go'),
        say('assistant', 'Let me see.', call('1')),
        say('assistant', call('2')),
        result('1', text('sunny')),
        result('2', text('{"degrees":20}')),
        say('user', 'and?', ''),
      ],
    });
    expect(contents).toEqual([
      { role: 'user', parts: [{ text: 'go' }] },
      {
        role: 'model',
        parts: [
          { text: 'Let me see.' },
          { functionCall: { id: '1', name: 'tool_1', args: { a: 1 } } },
          { functionCall: { id: '2', name: 'tool_2', args: { a: 1 } } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { id: '1', name: 'tool_1', response: { output: 'sunny' } } },
          { functionResponse: { id: '2', name: 'tool_2', response: { degrees: 20 } } },
        ],
      },
      { role: 'user', parts: [{ text: 'and?' }] },
    ]);
  });

  test('has no ids where the upstream refuses them', () => {
    const messages = [say('assistant', call('1')), result('1', text('x'))];
    const written = JSON.stringify(encode({ messages }, { omitsCallIds: true }).contents);
    expect(written).not.toContain('"id"');
    expect(written).toContain('"name":"tool_1"');
  });

  test('marks what failed, and wraps what Google would follow or not take', () => {
    const failed: Message = {
      role: 'tool',
      parts: [{ kind: 'tool-result', toolCallId: '1', parts: [text('no')], isError: true }],
    };
    const { contents } = encode({
      messages: [
        say('assistant', call('1')),
        failed,
        result('2', text('{"$ref":"#/x"}')),
        result('3', text('[1]')),
      ],
    });
    const responses = contents[1]!.parts.map(({ functionResponse }) => functionResponse);
    expect(responses).toMatchObject([
      { name: 'tool_1', response: { error: 'no' } },
      { name: '2', response: { output: '{"$ref":"#/x"}' } },
      { name: '3', response: { output: '[1]' } },
    ]);
  });

  test('refuses arguments that are no object', () => {
    const messages = [say('assistant', call('1', { arguments: '[1]' }))];
    expect(() => encode({ messages })).toThrow(SignalboxError);
    expect(
      encode({ messages: [say('assistant', call('1', { arguments: ' ' }))] }).contents[0]!.parts[0],
    ).toMatchObject({
      functionCall: { args: {} },
    });
  });
});

describe('pictures and documents', () => {
  const png: Part = { kind: 'image', url: 'data:image/PNG;name=a.png;base64,AAAA' };
  const inlinePng = { inlineData: { mimeType: 'image/png', data: 'AAAA' } };

  test('go out as bytes', () => {
    const { contents } = encode({
      messages: [
        say(
          'user',
          png,
          { kind: 'audio', format: 'wav', data: 'BBBB' },
          { kind: 'file', filename: 'a.pdf', url: 'data:application/pdf;base64,CCCC' },
        ),
      ],
    });
    expect(contents[0]!.parts).toEqual([
      inlinePng,
      { inlineData: { mimeType: 'audio/wav', data: 'BBBB' } },
      { inlineData: { mimeType: 'application/pdf', data: 'CCCC' } },
    ]);
  });

  test('at an address are refused where the upstream cannot open it', () => {
    const messages = [say('user', 'see', { kind: 'image', url: 'https://example.com/a.jpg?x=1' })];
    const refused = encode({ messages });
    expect(refused.left).toEqual(['messages[0].content']);
    expect(refused.contents[0]!.parts).toEqual([{ text: 'see' }]);
    const opened = encode({ messages }, { opensUrls: true });
    expect(opened.left).toEqual([]);
    expect(opened.contents[0]!.parts[1]).toEqual({
      fileData: { mimeType: 'image/jpeg', fileUri: 'https://example.com/a.jpg?x=1' },
    });
  });

  test('of Google’s own are opened by Google', () => {
    const url = 'https://generativelanguage.googleapis.com/v1beta/files/abc';
    const { contents, left } = encode({ messages: [say('user', { kind: 'file', url })] });
    expect({ parts: contents[0]!.parts, left }).toEqual({
      parts: [{ fileData: { fileUri: url } }],
      left: [],
    });
  });

  test('that are only a name somewhere else are refused', () => {
    expect(encode({ messages: [say('user', 'x', { kind: 'file', fileId: 'file-1' })] }).left).toEqual([
      'messages[0].content',
    ]);
  });

  test('that a tool returned stand behind its result, or inside it for models that look there', () => {
    const messages = [say('assistant', call('1')), result('1', text('here'), png)];
    const response = { id: '1', name: 'tool_1', response: { output: 'here' } };
    expect(encode({ messages }).contents[1]!.parts).toEqual([{ functionResponse: response }, inlinePng]);
    const third = encode({ model: 'gemini-3-pro-preview', messages });
    expect(third.contents[1]!.parts).toEqual([{ functionResponse: { ...response, parts: [inlinePng] } }]);
  });
});

describe('signatures', () => {
  const google = { maker: 'google', value: 'c2ln' } as const;
  const anthropic = { maker: 'anthropic', value: 'YW50' } as const;
  const history = (signature?: typeof google | typeof anthropic): readonly Message[] => [
    say('user', 'go'),
    say(
      'assistant',
      { kind: 'reasoning', text: 'hm', ...(signature && { signature }) },
      { kind: 'text', text: 'ok', ...(signature && { signature }) },
      call('1', signature ? { signature } : {}),
      call('2'),
    ),
  ];

  test('of Google’s go back to Google', () => {
    const { parts } = encode({ messages: history(google) }).contents[1]!;
    expect(parts).toMatchObject([
      { text: 'hm', thought: true, thoughtSignature: 'c2ln' },
      { text: 'ok', thoughtSignature: 'c2ln' },
      { functionCall: { name: 'tool_1' }, thoughtSignature: 'c2ln' },
      { functionCall: { name: 'tool_2' } },
    ]);
    expect(parts[3]).not.toHaveProperty('thoughtSignature');
  });

  test.each([[undefined], [anthropic]])('of %j do not, and neither do the thoughts', (signature) => {
    const { parts } = encode({ messages: history(signature) }).contents[1]!;
    expect(parts).toEqual([
      { text: 'ok' },
      { functionCall: { id: '1', name: 'tool_1', args: { a: 1 } } },
      { functionCall: { id: '2', name: 'tool_2', args: { a: 1 } } },
    ]);
  });

  test.each(['gemini-3-pro-preview', 'gemini-3.5-flash', 'gemini-flash-latest'])(
    'that %s would miss on a call are said to be missing, once a turn',
    (model) => {
      const { parts } = encode({ model, messages: history(anthropic) }).contents[1]!;
      expect(parts.map(({ thoughtSignature }) => thoughtSignature)).toEqual([
        undefined,
        'skip_thought_signature_validator',
        undefined,
      ]);
      expect(encode({ model, messages: history(google) }).contents[1]!.parts[2]).toMatchObject({
        thoughtSignature: 'c2ln',
      });
    },
  );

  test('of other makers in a body of this dialect are taken out before Google sees them', () => {
    const foreign = signatureText(anthropic, 'google');
    const body = Buffer.from(
      JSON.stringify({
        contents: [
          { role: 'user', parts: [{ text: 'go' }] },
          {
            role: 'model',
            parts: [
              { text: 'hm', thought: true, thoughtSignature: foreign },
              { functionCall: { name: 'f', args: {} }, thoughtSignature: foreign },
            ],
          },
          { role: 'user', parts: [{ functionResponse: { name: 'f', response: { output: 1 } } }] },
        ],
        generationConfig: { thinkingConfig: { includeThoughts: true } },
      }),
    );
    const head = gemini.peek(body, { model: 'x', stream: true });
    const [sent] = gemini.splice(head, { model: 'gemini-3-pro-preview' });
    expect(JSON.parse(sent!.toString())).toEqual({
      contents: [
        { role: 'user', parts: [{ text: 'go' }] },
        {
          role: 'model',
          parts: [
            { functionCall: { name: 'f', args: {} }, thoughtSignature: 'skip_thought_signature_validator' },
          ],
        },
        { role: 'user', parts: [{ functionResponse: { name: 'f', response: { output: 1 } } }] },
      ],
      generationConfig: { thinkingConfig: { includeThoughts: true } },
    });
  });
});

describe('a body of this dialect', () => {
  const address = { model: 'alias', stream: true };

  test('passes byte for byte, but for what was said to the gateway and a second name of a model', () => {
    const bytes = '{ "contents" : [ {"parts":[{"text":"\\u0041"}]} ],\n "cachedContent":"c" }';
    const [sent] = gemini.splice(gemini.peek(Buffer.from(bytes), address), { model: 'gemini-2.5-pro' });
    expect(sent!.toString()).toBe(bytes);
    const more = bytes.replace(
      '"cachedContent"',
      '"x-gateway":{"tags":["a"]}, "model":"models/other", "cachedContent"',
    );
    const head = gemini.peek(Buffer.from(more), address);
    expect(head).toMatchObject({ model: 'alias', stream: true, wantsUsage: true, gateway: { tags: ['a'] } });
    const [left] = gemini.splice(head, { model: 'gemini-2.5-pro' });
    expect(JSON.parse(left!.toString())).toEqual(JSON.parse(bytes));
    expect(left!.toString()).toContain('"contents" : [ {"parts":[{"text":"\\u0041"}]} ]');
  });

  test('that is ambiguous or no JSON is refused', () => {
    expect(() => gemini.peek(Buffer.from('{"x-gateway":{},"X-Gateway":{}}'), address)).toThrow(
      SignalboxError,
    );
    expect(() => gemini.peek(Buffer.from('{"contents":'), address)).toThrow(SignalboxError);
  });
});
