// What every dialect owes every other, tested over conversations and answers made up at random: what a client asks arrives in
// canonical words, an answer read from one dialect and written in another says the same, and a stream says what a whole body says.
// A new dialect is held to all of it by its name in the lists.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClientDialect, ClientDialectName } from '#data-plane/dialects/dialect.ts';
import { clientDialectNamed } from '#data-plane/dialects/registry.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { type TurnRequest, withoutExtras } from '#data-plane/turn/request.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { anyCuts } from '#test/fixtures/chunks.ts';
import { anyRequest, anyTurn, type MadeTurn } from '#test/fixtures/turns.ts';
import { readStream } from '#test/harness/read-stream.ts';

const names: readonly ClientDialectName[] = [
  'openai-chat',
  'openai-responses',
  'openai-completions',
  'anthropic-messages',
  'gemini',
];
/** A prompt and its continuation hold no conversation and no tools. */
const conversing = names.filter((name) => name !== 'openai-completions');
const pairs = conversing.flatMap((one) => conversing.map((other) => [one, other] as const));

describe.each(conversing)('%s', (name) => {
  const dialect = clientDialectNamed(name);

  test('writes a request that it reads as the same request, less what it says it cannot ask', () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        const { written, left } = encoded(dialect, request);
        expect(meaning(read(dialect, request, written), left)).toEqual(meaning(request, left));
      }),
      { numRuns: 150 },
    );
  });

  test('a stream, however it is cut, says what a whole body says', () => {
    fc.assert(
      fc.property(
        anyTurn.chain((turn) => anyCuts(streamOf(dialect, turn.events)).map((cuts) => ({ turn, cuts }))),
        ({ turn, cuts }) => {
          const whole = dialect.unfold(Buffer.from(JSON.stringify(dialect.render(turn.events))));
          expect(said(checkTurn(readStream(dialect, cuts)))).toEqual(said(whole));
          expect(said(whole)).toMatchObject({ text: turn.text, calls: turn.calls, reason: turn.reason });
        },
      ),
      { numRuns: 150 },
    );
  });
});

test.each(pairs)('an answer in %s is the same answer in %s', (from, to) => {
  const upstream = clientDialectNamed(from);
  const client = clientDialectNamed(to);
  fc.assert(
    fc.property(anyTurn, (turn) => {
      const events = checkTurn(readStream(upstream, [streamOf(upstream, turn.events)]));
      const arrived = checkTurn(readStream(client, [streamOf(client, events)]));
      expect(said(checkTurn(arrived))).toEqual(expected(turn));
    }),
    { numRuns: 80 },
  );
});

test.each(pairs)('a request in %s is the same request in %s, or refused by name', (from, to) => {
  const client = clientDialectNamed(from);
  const upstream = clientDialectNamed(to);
  fc.assert(
    fc.property(anyRequest, (request) => {
      const asked = encoded(client, request);
      const decoded = read(client, request, asked.written);
      expect(client.untranslatable(decoded)).toEqual([]);
      const sent = encoded(upstream, withoutExtras(decoded));
      const left = [...asked.left, ...sent.left];
      expect(meaning(read(upstream, request, sent.written), left)).toEqual(meaning(request, left));
    }),
    { numRuns: 80 },
  );
});

function encoded(dialect: ClientDialect, request: TurnRequest) {
  const left: string[] = [];
  const note = (field: string): void => void left.push(field);
  const wire = dialect.encode(request, { unsupported: note, leftOut: note });
  return { written: Buffer.from(JSON.stringify(wire)), left };
}

function read(dialect: ClientDialect, { stream }: TurnRequest, body: Buffer): TurnRequest {
  return dialect.decode(dialect.peek(body, { model: 'm-1', stream }));
}

/** What a request asks for, in a form in which equal requests are equal: neighbours join, and defaults are not told. */
function meaning(request: TurnRequest, left: readonly string[]) {
  const { messages, tools, extras: _, model, stream, ...settings } = withoutExtras(request);
  const fields = Object.entries(settings).filter(
    ([field, value]) => value !== undefined && !left.includes(field) && !isDefault(field, value, settings),
  );
  return {
    model,
    stream,
    messages: spoken(
      messages,
      left.some((field) => field.startsWith('messages')),
    ),
    tools: tools.map(({ name, description, parameters }) => ({ name, description, parameters })),
    settings: Object.fromEntries(fields),
  };
}

/** What is said where nothing is said. */
function isDefault(field: string, value: unknown, { toolChoice }: Partial<TurnRequest>): boolean {
  if (field === 'parallelToolCalls') return value === true || toolChoice === 'none';
  return field === 'toolChoice' && value === 'auto';
}

/** One line for everything that is said, by whom; ids are told by their order, because some vendors give none. */
function spoken(messages: TurnRequest['messages'], isLossy: boolean): readonly string[] {
  const ids = new Map<string, string>();
  const idOf = (id: string): string => {
    if (!ids.has(id)) ids.set(id, `#${ids.size}`);
    return ids.get(id)!;
  };
  const lines = messages.flatMap(({ role, parts }) =>
    parts.flatMap((part): string[] => {
      const who = role === 'developer' ? 'system' : role === 'tool' ? 'user' : role;
      switch (part.kind) {
        case 'text':
          return [`${who}: ${part.text}`];
        case 'tool-call':
          return [`${who} calls ${idOf(part.id)} ${part.name} ${canonicalJson(part.arguments)}`];
        case 'tool-result':
          return [
            `${idOf(part.toolCallId)} gave ${spoken([{ role: 'user', parts: part.parts }], false).join()}`,
          ];
        case 'image':
        case 'file':
          return [`${who} shows ${part.kind} ${part.url?.slice(0, 40)}`];
        default:
          return [`${who}: ${part.kind}`];
      }
    }),
  );
  return isLossy ? lines.filter((line) => !line.includes(' shows ')) : lines;
}

function canonicalJson(text: string): string {
  const value = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

function streamOf(dialect: ClientDialect, events: readonly TurnEvent[]): Buffer {
  const writer = dialect.writer({ wantsUsage: true });
  return dialect.framing.write(events.flatMap((event) => writer.push(event)));
}

function said(events: readonly TurnEvent[]) {
  const turn = foldTurn(events);
  const [choice] = turn.choices;
  const usage = turn.usage!;
  return {
    text: choice?.text ?? '',
    reasoning: choice?.reasoning ?? '',
    calls: (choice?.toolCalls ?? []).map((call) => ({ name: call.name, arguments: call.arguments })),
    reason: choice?.reason,
    input: inputTotal(usage),
    cached: usage.inputCacheRead,
    output: outputTotal(usage),
  };
}

function expected({ text, reasoning, calls, reason, usage }: MadeTurn): ReturnType<typeof said> {
  return {
    text,
    reasoning,
    calls: [...calls],
    reason,
    input: inputTotal(usage),
    cached: usage.inputCacheRead,
    output: outputTotal(usage),
  };
}
