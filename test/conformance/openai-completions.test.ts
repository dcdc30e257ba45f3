// The openai-completions dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `{openai,azure}/completions[-stream]/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { openaiCompletions } from '#data-plane/dialects/openai-completions/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { answers, areMissing, load } from './recordings.ts';

const whole = ['openai/completions', 'azure/completions'].flatMap(load);
const streams = load('openai/completions-stream');

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  test.each([...whole, ...streams])(
    'the request of $name comes back as it was, and is spliced to the same',
    ({ request }) => {
      const body = Buffer.from(JSON.stringify(request));
      const head = openaiCompletions.peek(body);
      const encoded = openaiCompletions.encode(openaiCompletions.decode(head));
      expect(JSON.parse(JSON.stringify(encoded))).toEqual(request);
      const spliced = Buffer.concat([...openaiCompletions.splice(head, { model: 'other' })]).toString();
      expect(JSON.parse(spliced)).toEqual({
        ...request,
        model: 'other',
        ...(request.stream === true ? { stream_options: { include_usage: true } } : {}),
      });
    },
  );

  test.each(answers(whole))(
    'the body of $name unfolds, renders to what it was, and is metered alike',
    ({ bytes }) => {
      const events = checkTurn(openaiCompletions.unfold(bytes));
      const turn = foldTurn(events);
      const { choices, usage, id } = JSON.parse(bytes.toString());
      expect(turn.usage && inputTotal(turn.usage)).toBe(usage.prompt_tokens);
      expect(turn.usage && outputTotal(turn.usage)).toBe(usage.completion_tokens);
      expect(openaiCompletions.inspect(bytes)).toMatchObject({ id, usage: turn.usage, error: undefined });
      const rendered = openaiCompletions.render(events).choices as Record<string, unknown>[];
      for (const [index, choice] of rendered.entries()) expect(choices[index]).toMatchObject(choice);
    },
  );

  test.each(answers(streams))(
    'the stream of $name reads the same however it is cut, and passes as it came',
    ({ bytes, request }) => {
      const events = readBytes([bytes]);
      const turn = foldTurn(checkTurn(events));
      expect(turn.error).toBeUndefined();
      expect(turn.choices.length).toBeGreaterThan(0);
      expect(readBytes(oneByOne(bytes)).map(({ type }) => type)).toEqual(events.map(({ type }) => type));
      const tapped = tapBytes([bytes], request);
      expect(tapped.output.equals(bytes)).toBe(true);
      expect(tapped.report).toMatchObject({ id: turn.id, complete: true, error: undefined });
      const from = Math.max(0, bytes.length - 1024);
      for (const [before, after] of everyCut(bytes.subarray(from))) {
        expect(tapBytes([bytes.subarray(0, from), before!, after!], request)).toEqual(tapped);
      }
    },
  );

  test.each(whole.filter(({ status }) => status !== 200))(
    'the refusal of $name is understood',
    (recording) => {
      const error = openaiCompletions.readError(recording.status, recording.headers, recording.bytes);
      expect(error.code).toBe(recording.status === 401 ? 'upstream_unauthorized' : 'upstream_rejected');
    },
  );
});

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(openaiCompletions, pieces);
}

function tapBytes(pieces: readonly Buffer[], request: object) {
  return tapStream(
    openaiCompletions.tap(openaiCompletions.peek(Buffer.from(JSON.stringify(request)))),
    pieces,
  );
}
