// Whatever comes from a network, in whatever shape: read, refused by name, or an error of the turn, and never anything else.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { gemini } from './index.ts';

const names = [
  ...[
    'contents',
    'parts',
    'role',
    'text',
    'thought',
    'thoughtSignature',
    'functionCall',
    'functionResponse',
    'name',
  ],
  ...[
    'args',
    'response',
    'inlineData',
    'mimeType',
    'data',
    'fileData',
    'fileUri',
    'systemInstruction',
    'tools',
  ],
  ...[
    'functionDeclarations',
    'parameters',
    'properties',
    'anyOf',
    '$ref',
    'items',
    'enum',
    'toolConfig',
    'mode',
  ],
  ...[
    'functionCallingConfig',
    'allowedFunctionNames',
    'generationConfig',
    'thinkingConfig',
    'candidates',
    'content',
  ],
  ...[
    'finishReason',
    'index',
    'usageMetadata',
    'promptTokenCount',
    'promptTokensDetails',
    'groundingMetadata',
  ],
  ...[
    'groundingChunks',
    'groundingSupports',
    'segment',
    'logprobsResult',
    'chosenCandidates',
    'promptFeedback',
  ],
  ...['blockReason', 'error', 'code', 'message', 'inline_data', '__proto__'],
];
const words = [
  'user',
  'model',
  'STOP',
  'ANY',
  'image/png',
  'https://example.com',
  '#/tools',
  'object',
  'type',
  '',
];
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 7, withCrossShrink: true },
    fc.oneof(fc.constantFrom(...words), fc.integer(), fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 5 }),
  ),
}));
const body = fc
  .tuple(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6 }), value)
  .map(([members, contents]) => Buffer.from(JSON.stringify({ contents, ...members })));

const chunk = fc.oneof(
  value,
  fc
    .array(value, { maxLength: 3 })
    .map((parts) => ({ candidates: [{ content: { parts }, finishReason: 'STOP' }] })),
  fc
    .dictionary(fc.constantFrom(...names), value, { maxKeys: 4 })
    .map((candidate) => ({ candidates: [candidate] })),
);

test('a request is read or refused by the name of a field', () => {
  fc.assert(
    fc.property(body, (bytes) => {
      try {
        const request = gemini.decode(gemini.peek(bytes, { model: 'm', stream: false }));
        gemini.untranslatable(request);
        JSON.stringify(gemini.encode(request));
        JSON.stringify(gemini.encode(request, { unsupported: () => undefined }));
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(SignalboxError);
        expect(['invalid_request', 'invalid_json']).toContain((thrown as SignalboxError).code);
      }
    }),
    { numRuns: 1500 },
  );
});

test('an answer is read to a turn, and metered, or is no answer', () => {
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 4 }), (chunks) => {
      const reader = gemini.reader();
      const tap = gemini.tap(gemini.peek(Buffer.from('{}')));
      const events = chunks.flatMap((chunk) => reader.push({ data: JSON.stringify(chunk) }));
      checkTurn([...events, ...reader.end()]);
      tap.push(Buffer.from(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')));
      tap.end();
      gemini.inspect(Buffer.from(JSON.stringify(chunks)));
      try {
        gemini.render(checkTurn(gemini.unfold(Buffer.from(JSON.stringify(chunks)))));
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(SignalboxError);
      }
    }),
    { numRuns: 1500 },
  );
});
