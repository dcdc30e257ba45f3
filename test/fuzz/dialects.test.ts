// Whatever bytes come, from an upstream or from a client: a typed error or a turn, never a crash, never a hang, and never a stream that
// does not end. Seeded by fast-check, so that a failure can be repeated.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClientDialectName, DialectName } from '#data-plane/dialects/dialect.ts';
import { clientDialectNamed, dialectNamed } from '#data-plane/dialects/registry.ts';
import { TurnGrammar } from '#data-plane/turn/grammar.ts';
import { SignalboxError } from '#shared/errors.ts';
import { anyCuts } from '#test/fixtures/chunks.ts';
import { anyRequest } from '#test/fixtures/turns.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { damaged } from './mutations.ts';

const RUNS = 1000;
const messages = [{ role: 'user', content: 'hello' }];

interface Asked {
  readonly path: string;
  readonly body: object;
}

/** How each API is asked for a stream and for a whole answer. */
const asked: Readonly<Record<DialectName, { readonly stream: Asked; readonly whole: Asked }>> = {
  'openai-chat': both('/v1/chat/completions', { model: 'tool-call', messages }),
  'openai-completions': both('/v1/completions', { model: 'ok', prompt: 'hello' }),
  'openai-responses': both('/v1/responses', { model: 'tool-call', input: 'hello' }),
  'anthropic-messages': both('/v1/messages', { model: 'tool-call', max_tokens: 50, messages }),
  gemini: atPaths('/v1beta/models/tool-call', ':streamGenerateContent?alt=sse', ':generateContent', {
    contents: [{ role: 'user', parts: [{ text: 'hello' }] }],
  }),
  'bedrock-converse': atPaths('/model/tool-call', '/converse-stream', '/converse', {
    messages: [{ role: 'user', content: [{ text: 'hello' }] }],
  }),
  'cohere-v2': both('/v2/chat', { model: 'tool-call', messages }),
};
const names = Object.keys(asked) as DialectName[];
const clientNames: readonly ClientDialectName[] = [
  'openai-chat',
  'openai-completions',
  'openai-responses',
  'anthropic-messages',
  'gemini',
];

function both(path: string, body: object): { stream: Asked; whole: Asked } {
  return { stream: { path, body: { ...body, stream: true } }, whole: { path, body } };
}

function atPaths(base: string, stream: string, whole: string, body: object): { stream: Asked; whole: Asked } {
  return { stream: { path: base + stream, body }, whole: { path: base + whole, body } };
}

let provider: FakeProvider;

beforeAll(async () => {
  provider = await startFakeProvider();
});

afterAll(() => provider?.stop());

async function answerTo({ path, body }: Asked): Promise<Buffer> {
  const url = new URL(path, provider.baseUrl);
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(answer.status, await answer.clone().text()).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

/** The error, when it is one of ours; anything else is a crash. */
function typed(work: () => void): SignalboxError | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof SignalboxError && thrown.code !== 'internal') return thrown;
    throw thrown;
  }
}

describe.each(names)('%s, from an upstream', (name) => {
  const dialect = dialectNamed(name);

  test('a damaged stream is a turn or a typed error, however it is cut, and it ends', async () => {
    const valid = await answerTo(asked[name].stream);
    const inPieces = damaged(valid).chain((bytes) => anyCuts(bytes));
    fc.assert(
      fc.property(inPieces, (pieces) => {
        const grammar = new TurnGrammar();
        const frames = dialect.framing.reader();
        const reader = dialect.reader();
        const broken = typed(() => {
          const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => reader.push(frame));
          const last = [...frames.end().flatMap((frame) => reader.push(frame)), ...reader.end()];
          for (const event of [...events, ...last]) grammar.check(event);
        });
        if (broken === undefined) expect(grammar.closed).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });

  test('a damaged body is a turn or a typed error, and so is a damaged refusal', async () => {
    const valid = await answerTo(asked[name].whole);
    const grammarOf = (bytes: Buffer): void => {
      const grammar = new TurnGrammar();
      for (const event of dialect.unfold(bytes)) grammar.check(event);
    };
    fc.assert(
      fc.property(damaged(valid), fc.integer({ min: 300, max: 599 }), (bytes, status) => {
        typed(() => grammarOf(bytes));
        expect(dialect.readError(status, {}, bytes)).toBeInstanceOf(SignalboxError);
      }),
      { numRuns: RUNS },
    );
  });
});

describe.each(clientNames)('%s, from a client', (name) => {
  const dialect = clientDialectNamed(name);

  test('a damaged request is a request or an error that is the caller’s', () => {
    const requests = anyRequest.chain((request) => {
      const wire = dialect.encode(request, { unsupported: () => {}, leftOut: () => {} });
      return damaged(Buffer.from(JSON.stringify(wire)));
    });
    fc.assert(
      fc.property(requests, fc.boolean(), (bytes, stream) => {
        const error = typed(() => {
          const head = dialect.peek(bytes, { model: 'm', stream });
          dialect.splice(head, { model: 'other' });
          dialect.untranslatable(dialect.decode(head));
        });
        if (error) expect(error.kind.fault).toBe('caller');
      }),
      { numRuns: RUNS },
    );
  });

  test('a damaged stream that passes through never throws anything untyped, and what passes is whole events', async () => {
    const valid = await answerTo(asked[name].stream);
    const head = dialect.peek(Buffer.from(JSON.stringify(asked[name].stream.body)), {
      model: 'm',
      stream: true,
    });
    fc.assert(
      fc.property(
        damaged(valid).chain((bytes) => anyCuts(bytes)),
        (pieces) => {
          typed(() => {
            const tap = dialect.tap(head);
            for (const piece of pieces) tap.push(piece);
            tap.end();
          });
          expect(typeof dialect.inspect(Buffer.concat(pieces)).id).toBe('string');
        },
      ),
      { numRuns: RUNS },
    );
  });
});
