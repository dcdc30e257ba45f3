// Nothing that comes from a network is what it should be: whatever a client or a provider sends ends as a request, an answer, or an
// error with a code.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { audioSpeech, audioTranscriptions } from './audio.ts';
import { embeddings, geminiEmbedding, geminiEmbeddings } from './embeddings/index.ts';
import { imagesEdits, imagesGenerations } from './images.ts';
import { moderations } from './moderations.ts';
import { rerank } from './rerank/index.ts';
import type { Service, ServiceRequest } from './service.ts';

const address = { model: 'm', stream: false };
const all: readonly (readonly [string, Service])[] = [
  ['embeddings', embeddings],
  ['one of Gemini', geminiEmbedding],
  ['a batch of Gemini', geminiEmbeddings],
  ['pictures', imagesGenerations],
  ['changed pictures', imagesEdits],
  ['transcripts', audioTranscriptions],
  ['speech', audioSpeech],
  ['moderations', moderations],
  ['rankings', rerank],
];

/** Objects in which the members that matter stand, with values that make no sense. */
function objectsWith(...names: string[]): fc.Arbitrary<object> {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.array(fc.record({ index: fc.jsonValue(), embedding: fc.jsonValue(), values: fc.jsonValue() })),
  );
  const members = names.map((name) => [name, value] as const);
  return fc.record(Object.fromEntries(members), { requiredKeys: [] });
}

function mayOnlyFailWell(run: () => unknown): void {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(SignalboxError);
    expect((thrown as SignalboxError).code).not.toBe('internal');
  }
}

const asked = objectsWith(
  'input',
  'requests',
  'content',
  'dimensions',
  'input_type',
  'query',
  'documents',
  'stream',
  'n',
  'x-gateway',
);
const answers = objectsWith(
  'data',
  'embeddings',
  'embedding',
  'predictions',
  'results',
  'usage',
  'meta',
  'error',
  'id',
);

describe.each(all)('%s', (_, service) => {
  const forms = Object.values(service.forms);
  const target = { model: 'amazon.titan-embed-text-v2:0', unsupported: () => {} };

  test('asked for in any way', () => {
    fc.assert(
      fc.property(asked, (body) => {
        mayOnlyFailWell(() => {
          const bytes = Buffer.from(JSON.stringify({ model: 'm', ...body }));
          const request = service.read(bytes, 'application/json', address);
          for (const form of forms) mayOnlyFailWell(() => form.encode(request, target));
        });
      }),
    );
  });

  test('asked for in any bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom('application/json', 'multipart/form-data; boundary=b', ''),
        (body, type) => {
          mayOnlyFailWell(() => service.read(Buffer.from(body), type, address));
        },
      ),
    );
  });

  test('answered in any way', () => {
    const request = goodRequest(service);
    fc.assert(
      fc.property(answers, (answer) => {
        for (const form of forms) {
          mayOnlyFailWell(() => form.convert(Buffer.from(JSON.stringify(answer)), request, {}));
        }
      }),
      // An object that is no text and no number, however it is asked.
      {
        examples: [
          [
            {
              data: [
                { index: { toString: 0 }, embedding: [] },
                { index: null, embedding: [] },
              ],
            },
          ],
        ],
      },
    );
  });

  test('answered in any bytes', () => {
    const request = goodRequest(service);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        for (const form of forms) {
          mayOnlyFailWell(() =>
            form.convert(Buffer.from(bytes), request, { 'content-type': 'application/json' }),
          );
          const tap = form.tap?.({ ...request, stream: true })?.();
          mayOnlyFailWell(() => tap?.push(Buffer.from(bytes)));
          mayOnlyFailWell(() => tap?.end());
        }
      }),
    );
  });
});

function goodRequest(service: Service): ServiceRequest {
  const body = {
    model: 'm',
    input: 'x',
    content: { parts: [{ text: 'x' }] },
    requests: [{ content: { parts: [{ text: 'x' }] } }],
    query: 'q',
    documents: ['a'],
  };
  if (service !== audioTranscriptions) {
    return service.read(Buffer.from(JSON.stringify(body)), 'application/json', address);
  }
  const form = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--';
  return service.read(Buffer.from(form), 'multipart/form-data; boundary=b', address);
}
