// How a conversation's settings, tools and forms of an answer are put to each generation of Gemini's models.
import { describe, expect, test } from 'vitest';
import type { TurnRequest } from '../../turn/request.ts';
import { gemini } from './index.ts';

interface Wire {
  readonly generationConfig?: Record<string, unknown>;
  readonly [member: string]: unknown;
}

function encode(request: Partial<TurnRequest>): Wire & { readonly left: readonly string[] } {
  const left: string[] = [];
  const asked = { model: 'gemini-2.5-flash', stream: false, messages: [], tools: [], extras: {}, ...request };
  const wire = gemini.encode(asked, { unsupported: (field) => void left.push(field) });
  return { ...(JSON.parse(JSON.stringify(wire)) as Wire), left };
}

describe('settings', () => {
  test.each<[string, Partial<TurnRequest>, object | undefined, readonly string[]]>([
    ['gemini-2.5-flash', { reasoningEffort: 'none' }, { thinkingBudget: 0 }, []],
    ['gemini-2.5-flash', { reasoningEffort: 'high' }, { thinkingBudget: 16_384 }, []],
    ['gemini-2.5-flash', { reasoningEffort: 'max' }, { thinkingBudget: 24_576 }, []],
    [
      'gemini-2.5-flash',
      { reasoningTokens: 100, showReasoning: true },
      { thinkingBudget: 100, includeThoughts: true },
      [],
    ],
    ['gemini-2.5-pro', { reasoningTokens: 1 }, { thinkingBudget: 128 }, []],
    ['gemini-2.5-pro', { reasoningEffort: 'none' }, undefined, ['reasoningEffort']],
    ['gemini-2.5-flash', { reasoningEffort: 'a bit' }, undefined, ['reasoningEffort']],
    ['gemini-3-flash-preview', { reasoningEffort: 'minimal' }, { thinkingLevel: 'minimal' }, []],
    ['gemini-3-flash-preview', { reasoningEffort: 'xhigh' }, { thinkingLevel: 'high' }, []],
    ['gemini-3-pro-preview', { reasoningEffort: 'minimal' }, { thinkingLevel: 'low' }, []],
    ['gemini-3-pro-preview', { reasoningEffort: 'medium' }, { thinkingLevel: 'high' }, []],
    ['gemini-3.1-pro', { reasoningEffort: 'medium' }, { thinkingLevel: 'medium' }, []],
    ['gemini-3-flash-preview', { reasoningTokens: 9000 }, { thinkingLevel: 'medium' }, []],
    ['gemini-3-flash-preview', { reasoningEffort: 'none' }, undefined, ['reasoningEffort']],
    ['gemini-2.0-flash', { reasoningEffort: 'low' }, undefined, ['reasoningEffort']],
    ['gemini-2.0-flash', { reasoningTokens: 5 }, undefined, ['reasoningTokens']],
    ['gemini-2.0-flash', { reasoningEffort: 'none', showReasoning: true }, undefined, []],
  ])('%s is asked for %j as %j, less %j', (model, request, thinkingConfig, left) => {
    const written = encode({ model, ...request });
    expect(written.generationConfig?.thinkingConfig).toEqual(thinkingConfig);
    expect(written.left).toEqual(left);
  });

  test.each<[Partial<TurnRequest>, string]>([
    [{ choices: 2, stream: true }, 'choices'],
    [{ seed: 2 ** 40 }, 'seed'],
    [{ parallelToolCalls: false, tools: [{ name: 'f' }] }, 'parallelToolCalls'],
    [{ verbosity: 'low' }, 'verbosity'],
  ])('%j cannot be asked for', (request, field) => {
    const { left, ...wire } = encode(request);
    expect(left).toEqual([field]);
    expect(JSON.stringify(wire)).not.toMatch(/candidateCount|seed/);
  });

  test('ask for several answers, likelihoods and stops', () => {
    const { generationConfig, left } = encode({
      choices: 2,
      logprobs: { top: 3 },
      stop: ['a'],
      parallelToolCalls: true,
    });
    expect({ generationConfig, left }).toEqual({
      generationConfig: { candidateCount: 2, responseLogprobs: true, logprobs: 3, stopSequences: ['a'] },
      left: [],
    });
  });

  test.each<[TurnRequest['responseFormat'], object | undefined]>([
    [{ kind: 'text' }, undefined],
    [{ kind: 'json' }, { responseMimeType: 'application/json' }],
    [
      {
        kind: 'schema',
        fields: { name: 'a', schema: { type: 'object', properties: { a: { type: 'string' } } } },
      },
      {
        responseMimeType: 'application/json',
        responseSchema: { type: 'object', properties: { a: { type: 'string' } } },
      },
    ],
    [
      { kind: 'schema', fields: { name: 'a', schema: { type: 'array' } } },
      { responseMimeType: 'application/json', responseJsonSchema: { type: 'array' } },
    ],
  ])('ask for the form %j as %j', (responseFormat, settings) => {
    expect(encode({ responseFormat: responseFormat! }).generationConfig).toEqual(settings);
  });

  test('declare tools in one list, and say which to use', () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const { tools, toolConfig } = encode({
      tools: [
        { name: 'a', description: 'A', parameters },
        { name: 'b', parameters: { type: 'object', properties: {} } },
      ],
      toolChoice: { name: 'a' },
    });
    expect(tools).toEqual([
      { functionDeclarations: [{ name: 'a', description: 'A', parameters }, { name: 'b' }] },
    ]);
    expect(toolConfig).toEqual({ functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['a'] } });
    for (const [choice, mode] of [
      ['auto', 'AUTO'],
      ['none', 'NONE'],
      ['required', 'ANY'],
    ] as const) {
      expect(encode({ toolChoice: choice }).toolConfig).toEqual({ functionCallingConfig: { mode } });
    }
  });
});
