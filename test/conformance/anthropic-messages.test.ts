// The anthropic-messages dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `anthropic/messages[-stream]/*.json` to run this.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { anthropicMessages } from '#data-plane/dialects/anthropic-messages/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';

const folder = process.env.RECORDINGS_DIR ?? '';

interface Recording {
  readonly name: string;
  readonly request: Record<string, unknown>;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

const whole = load('anthropic/messages');
const streams = load('anthropic/messages-stream');
const answers = (list: readonly Recording[]) => list.filter(({ status }) => status === 200);
const requests = [...whole, ...streams].filter(({ status }) => status !== 400);

describe.skipIf(folder === '')('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  test.each(requests)(
    'the request of $name comes back as it was, and is spliced to the same',
    ({ request }) => {
      const text = JSON.stringify(request);
      const body = Buffer.from(text);
      const encoded = anthropicMessages.encode(anthropicMessages.decode(anthropicMessages.peek(body)));
      expect(JSON.parse(JSON.stringify(encoded))).toEqual(request);
      const head = anthropicMessages.peek(body);
      const spliced = Buffer.concat([...anthropicMessages.splice(head, { model: 'other' })]).toString();
      expect(spliced).toBe(text.replace(`"model":"${String(request.model)}"`, '"model":"other"'));
    },
  );

  test.each(answers(whole))(
    'the body of $name unfolds, renders to what it was, and is metered alike',
    ({ bytes }) => {
      const events = checkTurn(anthropicMessages.unfold(bytes));
      const turn = foldTurn(events);
      const report = anthropicMessages.inspect(bytes);
      expect(report).toMatchObject({ id: turn.id, rawUsage: turn.rawUsage, error: undefined });
      expect(report.usage).toEqual(turn.usage);
      expectRecordedUsage(turn.rawUsage, turn.usage);
      const { content, stop_reason } = JSON.parse(bytes.toString());
      expect(anthropicMessages.render(events)).toMatchObject({ stop_reason });
      expect(JSON.stringify(anthropicMessages.render(events).content)).toContain(
        JSON.stringify(content.at(-1).text ?? content.at(-1).input),
      );
    },
  );

  test.each(answers(streams))(
    'the stream of $name reads the same however it is cut, and is metered alike',
    ({ bytes }) => {
      const events = readBytes([bytes]);
      const turn = foldTurn(checkTurn(events));
      expect(turn.error).toBeUndefined();
      expectRecordedUsage(turn.rawUsage, turn.usage);
      expect(readBytes(oneByOne(bytes))).toEqual(events);

      const tapped = tapBytes([bytes]);
      expect(tapped.output.equals(bytes)).toBe(true);
      const { id, rawUsage, usage } = turn;
      expect(tapped.report).toEqual({ id, rawUsage, usage, complete: true, error: undefined });
      expect(tapBytes(oneByOne(bytes))).toEqual(tapped);
      const from = Math.max(0, bytes.length - 2048);
      for (const [before, after] of everyCut(bytes.subarray(from))) {
        expect(tapBytes([bytes.subarray(0, from), before!, after!])).toEqual(tapped);
      }
    },
  );

  test.each(whole.filter(({ status }) => status !== 200))(
    'the refusal of $name is understood',
    (recording) => {
      const error = anthropicMessages.readError(recording.status, recording.headers, recording.bytes);
      expect(error.code).toBe(recording.status === 401 ? 'upstream_unauthorized' : 'upstream_rejected');
    },
  );
});

function expectRecordedUsage(raw: string, usage: Usage | undefined): void {
  const recorded = JSON.parse(raw) as Record<string, number | undefined>;
  const cached = (recorded.cache_read_input_tokens ?? 0) + (recorded.cache_creation_input_tokens ?? 0);
  expect(usage && inputTotal(usage)).toBe(recorded.input_tokens! + cached);
  expect(usage && outputTotal(usage)).toBe(recorded.output_tokens);
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  const frames = anthropicMessages.framing.reader();
  const turn = anthropicMessages.reader();
  const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => turn.push(frame));
  return [...events, ...frames.end().flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function tapBytes(pieces: readonly Buffer[]) {
  const tap = anthropicMessages.tap(anthropicMessages.peek(Buffer.from('{"model":"m"}')));
  const passed = pieces.map((piece) => Buffer.from(tap.push(piece)));
  const { bytes, report } = tap.end();
  return { output: Buffer.concat([...passed, bytes]), report };
}

function load(path: string): Recording[] {
  const directory = join(folder, path);
  if (folder === '' || !existsSync(directory)) return [];
  return readdirSync(directory).map((file) => {
    const recorded = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    const isText = recorded.response_base64 === undefined;
    const { request, status, headers } = recorded;
    const bytes = Buffer.from(recorded.response_base64 ?? recorded.response_text, isText ? 'utf8' : 'base64');
    return { name: join(path, file), request, status, headers, bytes };
  });
}
