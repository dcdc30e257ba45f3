// The anthropic-messages dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `anthropic/messages[-stream]/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { anthropicMessages } from '#data-plane/dialects/anthropic-messages/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { answers, areMissing, load } from './recordings.ts';

const whole = load('anthropic/messages');
const streams = load('anthropic/messages-stream');
const requests = [...whole, ...streams].filter(({ status }) => status !== 400);

describe.skipIf(areMissing)('recorded exchanges', () => {
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
  return readStream(anthropicMessages, pieces);
}

function tapBytes(pieces: readonly Buffer[]) {
  return tapStream(anthropicMessages.tap(anthropicMessages.peek(Buffer.from('{"model":"m"}'))), pieces);
}
