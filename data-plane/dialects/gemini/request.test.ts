import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { gemini } from './index.ts';

const address = { model: 'gemini-2.5-flash', stream: false };

function decode(body: object): TurnRequest {
  return gemini.decode(gemini.peek(Buffer.from(JSON.stringify(body)), address));
}

function again(body: object): unknown {
  return JSON.parse(JSON.stringify(gemini.encode(decode(body))));
}

const user = (...parts: readonly object[]) => ({ role: 'user', parts });
const model = (...parts: readonly object[]) => ({ role: 'model', parts });

describe('a body is read', () => {
  test('with every setting that has a name elsewhere', () => {
    const request = decode({
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [user({ text: 'Hello' })],
      generationConfig: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        maxOutputTokens: 100,
        stopSequences: ['END'],
        candidateCount: 2,
        seed: 7,
        presencePenalty: 0.1,
        frequencyPenalty: 0.2,
        responseLogprobs: true,
        logprobs: 3,
        responseMimeType: 'application/json',
        responseJsonSchema: { type: 'object' },
        thinkingConfig: { thinkingBudget: 1024, includeThoughts: true },
      },
      toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['weather'] } },
    });
    expect(request).toMatchObject({
      model: 'gemini-2.5-flash',
      stream: false,
      messages: [
        { role: 'system', parts: [{ kind: 'text', text: 'Be brief.' }] },
        { role: 'user', parts: [{ kind: 'text', text: 'Hello' }] },
      ],
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      maxOutputTokens: 100,
      stop: ['END'],
      choices: 2,
      seed: 7,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      logprobs: { top: 3 },
      responseFormat: { kind: 'schema', fields: { schema: { type: 'object' } } },
      reasoningTokens: 1024,
      showReasoning: true,
      toolChoice: { name: 'weather' },
    });
    expect(gemini.untranslatable(request)).toEqual([]);
  });

  test('in either of Google’s spellings', () => {
    const request = decode({
      system_instruction: { parts: { text: 'Be brief.' } },
      contents: [
        user({ inline_data: { mime_type: 'image/png', data: 'AAAA' } }),
        model({ function_call: { name: 'f', args: { snake_case: 1 } }, thought_signature: 'c2ln' }),
        user({ function_response: { name: 'f', response: { some_key: 1 } } }),
      ],
      generation_config: {
        max_output_tokens: 5,
        stop_sequences: ['x'],
        response_mime_type: 'application/json',
        thinking_config: { thinking_level: 'LOW' },
      },
      tool_config: { function_calling_config: { mode: 'NONE' } },
      tools: [
        { function_declarations: [{ name: 'f', parameters_json_schema: { type: 'object', some_key: 1 } }] },
      ],
    });
    expect(request).toMatchObject({
      messages: [
        { role: 'system' },
        { parts: [{ kind: 'image', url: 'data:image/png;base64,AAAA' }] },
        {
          parts: [
            {
              kind: 'tool-call',
              arguments: '{"snake_case":1}',
              signature: { maker: 'google', value: 'c2ln' },
            },
          ],
        },
        { role: 'tool', parts: [{ toolCallId: 'call_1', parts: [{ text: '{"some_key":1}' }] }] },
      ],
      maxOutputTokens: 5,
      stop: ['x'],
      responseFormat: { kind: 'json' },
      reasoningEffort: 'low',
      toolChoice: 'none',
      tools: [{ name: 'f', parameters: { type: 'object', some_key: 1 } }],
    });
  });

  test.each([
    [{ thinkingBudget: 0 }, { reasoningEffort: 'none' }],
    [{ thinkingBudget: -1 }, {}],
    [{ thinkingBudget: 512 }, { reasoningTokens: 512 }],
    [{ thinkingLevel: 'HIGH' }, { reasoningEffort: 'high' }],
    [{ thinkingLevel: 'THINKING_LEVEL_UNSPECIFIED' }, {}],
    [{ includeThoughts: false }, { showReasoning: false }],
  ])('with %j as %j', (thinkingConfig, meaning) => {
    const { reasoningEffort, reasoningTokens, showReasoning } = decode({
      contents: [],
      generationConfig: { thinkingConfig },
    });
    const said = JSON.parse(JSON.stringify({ reasoningEffort, reasoningTokens, showReasoning }));
    expect(said).toEqual(meaning);
  });

  test.each([
    ['AUTO', undefined, 'auto'],
    ['VALIDATED', undefined, 'auto'],
    ['ANY', undefined, 'required'],
    ['ANY', ['a', 'b'], 'required'],
    ['ANY', ['a'], { name: 'a' }],
    ['NONE', undefined, 'none'],
  ])('with the mode %s of %j as %j', (mode, allowedFunctionNames, choice) => {
    const toolConfig = { functionCallingConfig: { mode, allowedFunctionNames } };
    expect(decode({ contents: [], toolConfig }).toolChoice).toEqual(choice);
  });

  test('with ids for calls that have none, in order, and results of the same', () => {
    const call = (name: string, id?: string) => ({ functionCall: { name, args: {}, id } });
    const result = (name: string, value: number, id?: string) => ({
      functionResponse: { name, response: { output: value }, id },
    });
    const { messages } = decode({
      contents: [
        user({ text: 'go' }),
        model(call('a'), call('b'), call('a'), call('c', 'own')),
        user(result('b', 1), result('a', 2), result('a', 3), result('c', 4, 'own'), { text: 'and?' }),
        model(call('a')),
        user(result('a', 5)),
      ],
    });
    const calls = messages.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.kind === 'tool-call' ? [part.id] : [])),
    );
    expect(calls).toEqual(['call_1', 'call_2', 'call_3', 'own', 'call_5']);
    const results = messages.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.kind === 'tool-result' ? [[part.toolCallId, part.parts]] : [])),
    );
    expect(results).toEqual([
      ['call_2', [{ kind: 'text', text: '1' }]],
      ['call_1', [{ kind: 'text', text: '2' }]],
      ['call_3', [{ kind: 'text', text: '3' }]],
      ['own', [{ kind: 'text', text: '4' }]],
      ['call_5', [{ kind: 'text', text: '5' }]],
    ]);
    expect(messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      ...['tool', 'tool', 'tool', 'tool', 'user'],
      'assistant',
      'tool',
    ]);
  });

  test('with the pieces of a streamed answer as one, up to a signature', () => {
    const { messages } = decode({
      contents: [
        user({ text: 'go' }),
        model({ text: 'I ', thought: true }),
        model({ text: 'think', thought: true }),
        model({ text: '', thought: true, thoughtSignature: 'sb1.anthropic..c2ln' }),
        model({ text: 'Hel' }),
        model({ text: 'lo' }, { text: '' }),
      ],
    });
    expect(messages).toMatchObject([
      { role: 'user' },
      {
        role: 'assistant',
        parts: [
          { kind: 'reasoning', text: 'I think', signature: { maker: 'anthropic', value: 'c2ln' } },
          { kind: 'text', text: 'Hello' },
        ],
      },
    ]);
  });

  test.each([
    [{ output: 'sunny' }, [{ kind: 'text', text: 'sunny' }], undefined],
    [{ result: { a: 1 } }, [{ kind: 'text', text: '{"a":1}' }], undefined],
    [{ error: 'broke' }, [{ kind: 'text', text: 'broke' }], true],
    [{ a: 1, output: 2 }, [{ kind: 'text', text: '{"a":1,"output":2}' }], undefined],
  ])('with the result %j as %j', (response, parts, isError) => {
    const { messages } = decode({ contents: [user({ functionResponse: { name: 'f', response } })] });
    const [part] = messages[0]!.parts;
    expect(part).toMatchObject({ kind: 'tool-result', toolCallId: 'f', parts });
    expect(part?.kind === 'tool-result' && part.isError).toEqual(isError);
  });

  test.each([
    [{ inlineData: { mimeType: 'audio/mpeg', data: 'AA' } }, { kind: 'audio', format: 'mp3', data: 'AA' }],
    [
      { inlineData: { mimeType: 'application/pdf', data: 'AA' } },
      { kind: 'file', url: 'data:application/pdf;base64,AA' },
    ],
    [
      { fileData: { mimeType: 'image/png', fileUri: 'https://example.com/a.png' } },
      { kind: 'image', url: 'https://example.com/a.png' },
    ],
    [
      { fileData: { mimeType: 'image/png', fileUri: 'gs://bucket/a.png' } },
      { kind: 'private', type: 'fileData' },
    ],
    [{ executableCode: { code: '1' } }, { kind: 'private', type: 'executableCode' }],
  ])('with the part %j as %j', (wire, part) => {
    expect(decode({ contents: [user(wire)] }).messages[0]!.parts[0]).toMatchObject(part);
  });

  test.each([
    [{}, 'contents'],
    [{ contents: 'hello' }, 'contents'],
    [{ contents: [7] }, 'contents[0]'],
    [{ contents: [{ role: 'system', parts: [] }] }, 'contents[0].role'],
    [{ contents: [user(7 as unknown as object)] }, 'contents[0].parts[0]'],
    [{ contents: [model({ functionCall: { args: {} } })] }, 'contents[0].parts[0].functionCall.name'],
    [{ contents: [], tools: {} }, 'tools'],
    [{ contents: [], tools: [{ functionDeclarations: [{}] }] }, 'tools[0].functionDeclarations[0].name'],
    [{ contents: [], generationConfig: { temperature: 'hot' } }, 'generationConfig.temperature'],
    [{ contents: [], generationConfig: { stopSequences: 'x' } }, 'generationConfig.stopSequences'],
  ])('and %j is refused by the name of %s', (body, param) => {
    let error: SignalboxError | undefined;
    try {
      decode(body);
    } catch (thrown) {
      error = thrown as SignalboxError;
    }
    expect(error).toMatchObject({ code: 'invalid_request', param });
  });
});

describe('what nobody else could be asked is named', () => {
  test.each([
    [{ cachedContent: 'cachedContents/1' }, 'cachedContent'],
    [{ tools: [{ googleSearch: {} }] }, 'tools[0].googleSearch'],
    [{ generationConfig: { responseModalities: ['IMAGE'] } }, 'generationConfig.responseModalities'],
    [{ generationConfig: { speechConfig: { voice: 'a' } } }, 'generationConfig.speechConfig'],
    [{ generationConfig: { responseMimeType: 'text/x.enum' } }, 'generationConfig.responseMimeType'],
    [
      { toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['a', 'b'] } } },
      'toolConfig.functionCallingConfig.allowedFunctionNames',
    ],
    [{ toolConfig: { retrievalConfig: { languageCode: 'de' } } }, 'toolConfig.retrievalConfig'],
    [{ safetySettings: [{ category: 'c', threshold: 'BLOCK_LOW_AND_ABOVE' }] }, 'safetySettings'],
    [{ contents: [user({ executableCode: {} })] }, 'contents[0].parts (executableCode)'],
    [
      { contents: [user({ inlineData: { mimeType: 'video/mp4', data: '' }, videoMetadata: { fps: 1 } })] },
      'contents[0].parts.videoMetadata',
    ],
  ])('%j as %s', (body, field) => {
    expect(gemini.untranslatable(decode({ contents: [], ...body }))).toEqual([field]);
  });

  test('but hints and open filters are not', () => {
    const request = decode({
      contents: [user({ text: 'x', mediaResolution: { level: 'MEDIA_RESOLUTION_LOW' } })],
      safetySettings: [{ category: 'c', threshold: 'BLOCK_NONE' }],
      labels: { team: 'a' },
      generationConfig: { mediaResolution: 'MEDIA_RESOLUTION_LOW', responseModalities: ['TEXT'] },
    });
    expect(gemini.untranslatable(request)).toEqual([]);
  });
});

describe('a body that is read and written', () => {
  const text = fc.string({ maxLength: 8 });
  const data = fc.base64String({ maxLength: 8 });
  const args = fc.dictionary(fc.constantFrom('city', 'n'), fc.oneof(text, fc.integer()));
  const signature = fc.option(fc.base64String({ minLength: 4, maxLength: 12 }), { nil: undefined });
  const part = fc.oneof(
    fc.record({ text, thoughtSignature: signature }),
    fc.record({ text, thought: fc.constant(true), thoughtSignature: signature }),
    fc.record({
      inlineData: fc.record({ mimeType: fc.constantFrom('image/png', 'audio/mpeg', 'text/csv'), data }),
    }),
    fc.record({ fileData: fc.record({ mimeType: fc.constant('video/mp4'), fileUri: fc.webUrl() }) }),
    fc.record({
      functionCall: fc.record({ name: fc.constantFrom('f', 'g'), args }, { requiredKeys: ['name'] }),
      thoughtSignature: signature,
    }),
    fc.record({ functionResponse: fc.record({ name: fc.constantFrom('f', 'g'), response: args }) }),
    fc.record({ codeExecutionResult: fc.record({ output: text }), partMetadata: args }),
    fc.constant({}),
  );
  const content = fc.oneof(
    fc.record({ role: fc.constantFrom('user', 'model'), parts: fc.array(part, { maxLength: 4 }) }),
    fc.record({ parts: fc.array(part, { maxLength: 2 }) }),
    fc.constant({ role: 'model' }),
  );
  const schema = fc.constantFrom(
    { type: 'OBJECT', properties: { a: { type: 'STRING', nullable: true } } },
    {},
  );
  const declaration = fc.record(
    { name: fc.constantFrom('f', 'g'), description: text, parameters: schema, behavior: text },
    { requiredKeys: ['name'] },
  );
  const tool = fc.oneof(
    fc.record({ functionDeclarations: fc.array(declaration, { maxLength: 2 }) }),
    fc.record({
      googleSearch: fc.constant({}),
      functionDeclarations: fc.array(declaration, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ codeExecution: fc.constant({}) }),
  );
  const body = fc.record(
    {
      contents: fc.array(content, { maxLength: 5 }),
      systemInstruction: fc.oneof(content, fc.constant(null)),
      tools: fc.array(tool, { maxLength: 3 }),
      toolConfig: fc.constantFrom(
        { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['f', 'g'] } },
        {},
      ),
      generationConfig: fc.record(
        {
          temperature: fc.constantFrom(0, 1, null),
          topK: fc.constant(3),
          stopSequences: fc.array(text),
          candidateCount: fc.constant(2),
          responseMimeType: fc.constantFrom('application/json', 'text/x.enum'),
          responseSchema: schema,
          thinkingConfig: fc.constantFrom({ thinkingBudget: 0 }, { includeThoughts: true }),
          somethingNew: text,
        },
        { requiredKeys: [] },
      ),
      safetySettings: fc.constant([{ category: 'c', threshold: 'OFF' }]),
      cachedContent: text,
      somethingNew: args,
    },
    { requiredKeys: ['contents'] },
  );

  test('is the same again', () => {
    fc.assert(
      fc.property(body, (made) => {
        const wire = JSON.parse(JSON.stringify(made)) as object;
        expect(again(wire)).toEqual(wire);
      }),
      { numRuns: 400 },
    );
  });
});
