// The gemini dialect against exchanges that really took place, at Google's own API and on Vertex. The recordings are not part of this
// project: point RECORDINGS_DIR at a folder with `{gemini,vertex-gemini}/{generateContent,streamGenerateContent[-stream]}/*.json` to
// run this. Recordings that were kept without their bodies have nothing to compare.
import { describe, expect, test } from 'vitest';
import { gemini, geminiList } from '#data-plane/dialects/gemini/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { areMissing, load, type Recording } from './recordings.ts';

const whole = ['gemini', 'vertex-gemini'].flatMap((provider) => load(`${provider}/generateContent`));
const lists = load('gemini/streamGenerateContent');
const streams = ['gemini', 'vertex-gemini'].flatMap((provider) =>
  load(`${provider}/streamGenerateContent-stream`),
);
const answers = (list: readonly Recording[]) =>
  list.filter(({ status, bytes }) => status === 200 && bytes.length > 0);
const requests = [...whole, ...lists, ...streams].filter(
  ({ request, status }) => typeof request === 'object' && status !== 400,
);
const refusals = [...whole, ...streams].filter(({ status, bytes }) => status !== 200 && bytes.length > 0);

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    for (const list of [requests, answers(whole), lists, answers(streams), refusals]) {
      expect(list.length).toBeGreaterThan(0);
    }
  });

  test.each(requests)(
    'the request of $name comes back as it was, in the first of its two spellings',
    ({ request }) => {
      const body = Buffer.from(JSON.stringify(request));
      const head = gemini.peek(body, { model: 'gemini-2.5-flash', stream: false });
      const again = JSON.parse(JSON.stringify(gemini.encode(gemini.decode(head))));
      expect(again).toEqual(firstSpelling(request));
      expect(Buffer.concat([...gemini.splice(head, { model: 'other' })]).equals(body)).toBe(true);
    },
  );

  test.each(answers(whole))(
    'the body of $name unfolds, renders to what it was, and is metered alike',
    ({ bytes }) => {
      const events = checkTurn(gemini.unfold(bytes));
      const turn = foldTurn(events);
      expect(gemini.inspect(bytes)).toEqual({
        id: turn.id,
        usage: turn.usage,
        rawUsage: turn.rawUsage,
        error: undefined,
      });
      expectRecordedUsage(turn.rawUsage, turn.usage);
      const [candidate] = JSON.parse(bytes.toString()).candidates;
      const [rendered] = gemini.render(events).candidates as { content: { parts: unknown } }[];
      expect(rendered!.content.parts).toEqual(candidate.content.parts ?? [{ text: '' }]);
    },
  );

  test.each(answers(lists))('the list of $name unfolds to a turn with the recorded usage', ({ bytes }) => {
    const turn = foldTurn(checkTurn(gemini.unfold(bytes)));
    expect(turn.error).toBeUndefined();
    const chunks = JSON.parse(bytes.toString());
    expect(JSON.parse(turn.rawUsage)).toEqual(chunks.at(-1).usageMetadata);
    expectRecordedUsage(turn.rawUsage, turn.usage);
    const stream = Buffer.from(
      chunks.map((chunk: unknown) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join(''),
    );
    expect(said(readBytes([stream]))).toEqual(said(gemini.unfold(bytes)));
    const tap = geminiList.tap(gemini.peek(Buffer.from('{}')));
    const passed = Buffer.concat([tap.push(stream), tap.end().bytes]);
    expect(JSON.parse(passed.toString())).toEqual(chunks);
  });

  test.each(answers(streams))(
    'the stream of $name reads the same however it is cut, and is metered alike',
    ({ bytes }) => {
      const turn = foldTurn(checkTurn(readBytes([bytes])));
      expect(turn.error).toBeUndefined();
      expectRecordedUsage(turn.rawUsage, turn.usage);
      const expected = said(readBytes([bytes]));
      expect(said(readBytes(oneByOne(bytes)))).toEqual(expected);
      const tapped = tapBytes([bytes]);
      expect(tapped.output.equals(bytes)).toBe(true);
      const { id, rawUsage, usage } = turn;
      expect(tapped.report).toEqual({ id, rawUsage, usage, complete: true, error: undefined });
      for (const pieces of everyCut(bytes)) {
        expect(said(readBytes(pieces))).toEqual(expected);
        expect(tapBytes(pieces)).toEqual(tapped);
      }
    },
  );

  test.each(refusals)('the refusal of $name is understood', (recording) => {
    const error = gemini.readError(recording.status, recording.headers, recording.bytes);
    expect(error.code).toBe(recording.status === 404 ? 'upstream_model_missing' : 'upstream_rejected');
  });
});

function expectRecordedUsage(raw: string, usage: Usage | undefined): void {
  const recorded = JSON.parse(raw) as Record<string, number | undefined>;
  expect(usage && inputTotal(usage)).toBe(
    (recorded.promptTokenCount ?? 0) + (recorded.toolUsePromptTokenCount ?? 0),
  );
  expect(usage && outputTotal(usage)).toBe(
    (recorded.candidatesTokenCount ?? 0) + (recorded.thoughtsTokenCount ?? 0),
  );
}

/** Ids are made up where there were none. */
function said(events: readonly TurnEvent[]): unknown {
  return foldTurn(events).choices.map(({ text, reasoning, reason, toolCalls, blocks }) => ({
    text,
    reasoning,
    reason,
    calls: toolCalls.map(({ name, arguments: given, signature }) => [name, given, signature?.value]),
    signatures: blocks.map(({ signature }) => signature?.value),
  }));
}

/** Schemas, arguments and results are the client's own, and keep their names. */
const untouched = ['parameters', 'responseSchema', 'args', 'response'];

function firstSpelling(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(firstSpelling);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      const name = key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
      return [name, untouched.includes(name) ? member : firstSpelling(member)];
    }),
  );
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(gemini, pieces);
}

function tapBytes(pieces: readonly Buffer[]) {
  return tapStream(gemini.tap(gemini.peek(Buffer.from('{}'))), pieces);
}
