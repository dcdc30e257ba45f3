import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tool, TurnRequest } from '../../turn/request.ts';
import { bedrockConverse } from './index.ts';
import { modelNamed } from './models.ts';
import { toolNames } from './names.ts';

const claude = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const nova = 'amazon.nova-pro-v1:0';
const weather: Tool = { name: 'get_weather', description: 'Looks out.', parameters: { properties: {} } };
const user = { role: 'user', parts: [{ kind: 'text', text: 'hello' }] } as const;
const called: TurnRequest['messages'] = [
  user,
  { role: 'assistant', parts: [{ kind: 'tool-call', id: 'c1', name: 'look', arguments: '{"a":1}' }] },
  { role: 'tool', parts: [{ kind: 'tool-result', toolCallId: 'c1', parts: [{ kind: 'text', text: 'x' }] }] },
];

function encode(request: Partial<TurnRequest>) {
  const refused: string[] = [];
  const leftOut: string[] = [];
  const whole = { model: claude, stream: false, messages: [user], tools: [weather], extras: {}, ...request };
  const { toolConfig, additionalModelRequestFields: fields } = bedrockConverse.encode(whole, {
    unsupported: (field) => void refused.push(field),
    leftOut: (field) => void leftOut.push(field),
  });
  return { toolConfig, fields, refused, leftOut };
}

const specOf = (name: string, more: object = {}) => ({
  toolSpec: { name, inputSchema: { json: { type: 'object', properties: {} } }, ...more },
});

describe('tools', () => {
  test('are described with an object for their input', () => {
    expect(encode({}).toolConfig).toEqual({ tools: [specOf('get_weather', { description: 'Looks out.' })] });
    const bare = [
      { name: 'a', description: ' ' },
      { name: 'b', parameters: { type: 'object', required: [] } },
    ];
    expect(encode({ tools: bare }).toolConfig).toEqual({
      tools: [
        specOf('a'),
        { toolSpec: { name: 'b', inputSchema: { json: { type: 'object', required: [] } } } },
      ],
    });
  });

  test('have marks behind them, for models that take some', () => {
    const tools = [{ ...weather, cacheControl: { type: 'ephemeral' } }];
    expect(encode({ tools }).toolConfig).toEqual({
      tools: [expect.anything(), { cachePoint: { type: 'default' } }],
    });
    expect(encode({ tools, model: nova }).toolConfig).toEqual({ tools: [expect.anything()] });
  });

  test('are strict where Bedrock holds a model to that', () => {
    const tools = [{ ...weather, strict: true }];
    expect(encode({ tools }).toolConfig).toMatchObject({ tools: [{ toolSpec: { strict: true } }] });
    expect(encode({ tools, model: 'us.anthropic.claude-opus-4-7' }).refused).toEqual(['tools[0].strict']);
    expect(encode({ tools: [{ ...weather, strict: false }] }).toolConfig).toEqual(encode({}).toolConfig);
  });

  test.each<[TurnRequest['toolChoice'], object | undefined]>([
    ['auto', undefined],
    ['required', { any: {} }],
    [{ name: 'get_weather' }, { tool: { name: 'get_weather' } }],
  ])('are chosen as the client says: %j', (toolChoice, written) => {
    expect(encode({ ...(toolChoice && { toolChoice }) }).toolConfig).toEqual({
      tools: [expect.anything()],
      ...(written && { toolChoice: written }),
    });
  });

  test('that may not be called are not offered', () => {
    expect(encode({ toolChoice: 'none' })).toEqual({ refused: [], leftOut: [] });
  });

  test('that were called before have to be described, though nothing can forbid them then', () => {
    const { toolConfig, leftOut } = encode({ toolChoice: 'none', messages: called });
    expect(leftOut).toEqual(['toolChoice']);
    expect(toolConfig).toEqual({ tools: [expect.objectContaining({ toolSpec: expect.anything() })] });
    expect(encode({ tools: [], messages: called })).toMatchObject({
      toolConfig: { tools: [specOf('look')] },
      leftOut: [],
    });
  });

  test.each<[TurnRequest['toolChoice'], object]>([
    ['auto', { type: 'auto' }],
    ['required', { type: 'any' }],
    [{ name: 'get_weather' }, { type: 'tool', name: 'get_weather' }],
  ])('are called one at a time by Claude alone: %j', (toolChoice, written) => {
    const request = { parallelToolCalls: false, ...(toolChoice && { toolChoice }) };
    const { toolConfig, fields } = encode(request);
    expect(fields).toEqual({ tool_choice: { ...written, disable_parallel_tool_use: true } });
    expect(toolConfig).not.toHaveProperty('toolChoice');
    expect(encode({ ...request, model: nova }).refused).toEqual(['parallelToolCalls']);
    expect(encode({ parallelToolCalls: true, model: nova }).refused).toEqual([]);
  });
});

describe('names of tools', () => {
  const request = (names: readonly string[]): TurnRequest => ({
    model: claude,
    stream: false,
    messages: called,
    tools: names.map((name) => ({ name })),
    extras: {},
  });

  test('that fit are not touched', () => {
    expect(encode({ tools: [{ name: 'a-B_9' }] }).toolConfig).toEqual({ tools: [specOf('a-B_9')] });
  });

  test('fit, whatever they were, and come back from an answer as they were', () => {
    const anyName = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 60, maxLength: 200 }));
    fc.assert(
      fc.property(fc.uniqueArray(anyName, { maxLength: 5 }), (originals) => {
        const names = toolNames(request(originals), modelNamed(claude));
        const written = originals.map(names.name);
        for (const name of written) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
        expect(new Set(written).size).toBe(originals.length);
        expect(written.map(names.original)).toEqual(originals);
      }),
    );
  });

  test('in a conversation come back too, and a name nobody gave stays', () => {
    const { original, name } = toolNames({ ...request([]), toolChoice: { name: 'a.b' } }, modelNamed(claude));
    expect(original(name('a.b'))).toBe('a.b');
    expect(original('look')).toBe('look');
    expect(original('made_up')).toBe('made_up');
  });
});

describe('ids of calls', () => {
  test.each([
    [claude, /^[a-zA-Z0-9_.:-]{1,64}$/],
    ['mistral.mistral-large-2407-v1:0', /^[a-zA-Z0-9]{9}$/],
  ])('fit %s, and the same id is always the same', (model, pattern) => {
    const whole = { model, stream: false, messages: [], tools: [], extras: {} };
    const { id } = toolNames(whole, modelNamed(model));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (original) => {
        expect(id(original)).toMatch(pattern);
        expect(id(id(original))).toBe(id(original));
      }),
    );
    expect(id('tooluse_aaaaaaaaaa')).not.toBe(id('tooluse_aaaaaaaaab'));
  });
});
