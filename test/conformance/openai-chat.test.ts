// The openai-chat dialect against exchanges that real vendors had. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `<provider>/chat_completions[-stream]/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { answers, areMissing, load } from './recordings.ts';

const providers = ['openai', 'azure', 'groq', 'mistral', 'deepseek', 'openrouter', 'xai'];

const whole = providers.flatMap((provider) => load(`${provider}/chat_completions`));
const streams = providers.flatMap((provider) => load(`${provider}/chat_completions-stream`));

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  test.each([...whole, ...streams])(
    'the request of $name comes back as it was, and is spliced to the same',
    ({ request }) => {
      const body = Buffer.from(JSON.stringify(request));
      expect(JSON.parse(JSON.stringify(openaiChat.encode(openaiChat.decode(openaiChat.peek(body)))))).toEqual(
        request,
      );
      const spliced = Buffer.concat([
        ...openaiChat.splice(openaiChat.peek(body), { model: 'other' }),
      ]).toString();
      const options = { ...(request.stream_options as object | undefined), include_usage: true };
      expect(JSON.parse(spliced)).toEqual({
        ...request,
        model: 'other',
        ...(request.stream === true ? { stream_options: options } : {}),
      });
    },
  );

  test.each(answers(whole))('the body of $name unfolds, and is metered alike', ({ bytes }) => {
    const turn = foldTurn(checkTurn(openaiChat.unfold(bytes)));
    const report = openaiChat.inspect(bytes);
    expect(report).toMatchObject({ id: turn.id, rawUsage: turn.rawUsage });
    expect(report.usage).toEqual(turn.usage);
    expect(report.error?.code).toBe(turn.error?.code);
    if (turn.error === undefined) expectRecordedUsage(turn.rawUsage, turn.usage);
  });

  test.each(answers(streams))(
    'the stream of $name reads the same however it is cut, and is metered alike',
    ({ bytes, request }) => {
      const events = readBytes([bytes]);
      const turn = foldTurn(checkTurn(events));
      expect(turn.error).toBeUndefined();
      expectRecordedUsage(turn.rawUsage, turn.usage);
      const shape = ({ type }: TurnEvent) => type;
      expect(readBytes(oneByOne(bytes)).map(shape)).toEqual(events.map(shape));

      const body = { ...request, stream_options: { include_usage: true } };
      const tapped = tapBytes([bytes], body);
      expect(tapped.output.equals(bytes)).toBe(true);
      expect(tapped.report).toMatchObject({
        id: turn.id,
        rawUsage: turn.rawUsage,
        complete: true,
        error: undefined,
      });
      expect(tapped.report.usage).toEqual(turn.usage);
      expect(tapBytes(oneByOne(bytes), body)).toEqual(tapped);
    },
  );

  test.each(answers(streams))('the stream of $name loses only its usage chunk', ({ bytes, request }) => {
    const { output, report } = tapBytes([bytes], { ...request, stream_options: undefined });
    const hidden = foldTurn(readBytes([output]));
    const shown = foldTurn(readBytes([bytes]));
    expect(hidden.choices).toEqual(shown.choices);
    expect(report.usage).toEqual(shown.usage);
    expect(output.toString()).not.toMatch(/"choices":\s*\[\],?[^\n]*"usage":\s*\{/);
    // Every cut of the last two kilobytes, where usage and the end are.
    const from = Math.max(0, bytes.length - 2048);
    for (const [before, after] of everyCut(bytes.subarray(from))) {
      const pieces = [bytes.subarray(0, from), before!, after!];
      expect(tapBytes(pieces, { ...request, stream_options: undefined }).output.equals(output)).toBe(true);
    }
  });

  test.each(whole.filter(({ status }) => status !== 200))(
    'the refusal of $name is understood',
    ({ status, headers, bytes }) => {
      const error = openaiChat.readError(status, headers, bytes);
      const expected: Readonly<Record<number, string>> = {
        400: 'upstream_rejected',
        401: 'upstream_unauthorized',
        404: 'upstream_model_missing',
      };
      expect(error.code).toBe(expected[status]);
    },
  );
});

function expectRecordedUsage(raw: string, usage: Parameters<typeof inputTotal>[0] | undefined): void {
  const recorded = JSON.parse(raw) as { prompt_tokens: number; total_tokens: number };
  expect(usage && inputTotal(usage)).toBe(recorded.prompt_tokens);
  expect(usage && inputTotal(usage) + outputTotal(usage)).toBe(recorded.total_tokens);
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(openaiChat, pieces);
}

function tapBytes(pieces: readonly Buffer[], request: object) {
  return tapStream(openaiChat.tap(openaiChat.peek(Buffer.from(JSON.stringify(request)))), pieces);
}
