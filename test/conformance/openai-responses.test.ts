// The openai-responses dialect against exchanges that real vendors had. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `<provider>/responses[-stream]/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { openaiResponses } from '#data-plane/dialects/openai-responses/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { type FoldedTurn, foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { answers, areMissing, load, type Recording } from './recordings.ts';

const { decode, encode, framing, inspect, peek, readError, render, splice, tap, unfold, writer } =
  openaiResponses;

const providers = ['openai', 'azure'];

const whole = providers.flatMap((provider) => load(`${provider}/responses`));
const streams = providers.flatMap((provider) => load(`${provider}/responses-stream`));
/** A prompt that is kept at OpenAI names its model there; here nobody could tell which provider is meant. */
const hasModel = ({ request }: Recording) => request.model !== undefined;

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  test.each([...whole, ...streams].filter(hasModel))(
    'the request of $name comes back as it was, and is spliced to the same',
    ({ request }) => {
      const head = peek(Buffer.from(JSON.stringify(request)));
      expect(JSON.parse(JSON.stringify(encode(decode(head))))).toEqual(request);
      const spliced = Buffer.concat([...splice(head, { model: 'other' })]).toString();
      expect(JSON.parse(spliced)).toEqual({ ...request, model: 'other' });
    },
  );

  test.each(answers(whole))('the body of $name unfolds, and is metered alike', ({ bytes }) => {
    const turn = foldTurn(checkTurn(unfold(bytes)));
    const report = inspect(bytes);
    expect(turn.error).toBeUndefined();
    expect(report).toMatchObject({ id: turn.id, rawUsage: turn.rawUsage, error: undefined });
    expect(report.usage).toEqual(turn.usage);
    expectRecordedUsage(turn);
    expectAnswer(turn, JSON.parse(bytes.toString()));
  });

  test.each(answers(streams))(
    'the stream of $name reads the same however it is cut, and passes untouched',
    ({ bytes }) => {
      const events = readBytes([bytes]);
      const turn = foldTurn(checkTurn(events));
      expect(turn.error).toBeUndefined();
      expectRecordedUsage(turn);
      expectAnswer(turn, finalResponse(bytes));
      expect(readBytes(oneByOne(bytes))).toEqual(events);

      const tapped = tapBytes([bytes]);
      expect(tapped.output.equals(bytes)).toBe(true);
      expect(tapped.report).toMatchObject({ id: turn.id, rawUsage: turn.rawUsage, complete: true });
      expect(tapped.report.usage).toEqual(turn.usage);
      expect(tapBytes(oneByOne(bytes))).toEqual(tapped);
      const from = Math.max(0, bytes.length - 1024);
      for (const [before, after] of everyCut(bytes.subarray(from))) {
        expect(tapBytes([bytes.subarray(0, from), before!, after!])).toEqual(tapped);
      }
    },
  );

  test.each([...answers(whole), ...answers(streams)])('the answer of $name is written anew', ({ bytes }) => {
    const isStream = bytes.toString('latin1', 0, 6) === 'event:';
    const events = isStream ? readBytes([bytes]) : unfold(bytes);
    const before = foldTurn(events);
    const body = foldTurn(unfold(Buffer.from(JSON.stringify(render(events)))));
    const machine = writer({ wantsUsage: true });
    const stream = foldTurn(readBytes([framing.write(events.flatMap((event) => machine.push(event)))]));
    for (const after of [body, stream]) {
      expect(plain(after)).toEqual(plain(before));
      expect(after.usage).toEqual(before.usage);
    }
  });

  test.each(whole.filter(({ status }) => status !== 200))(
    'the refusal of $name is understood',
    ({ status, headers, bytes }) => {
      const { error } = JSON.parse(bytes.toString()) as { error: { code: string | null } };
      const expected: Readonly<Record<string, string>> = {
        invalid_api_key: 'upstream_unauthorized',
        model_not_found: 'upstream_model_missing',
      };
      expect(readError(status, headers, bytes).code).toBe(expected[error.code ?? ''] ?? 'upstream_rejected');
    },
  );
});

function expectRecordedUsage({ rawUsage, usage }: FoldedTurn): void {
  const recorded = JSON.parse(rawUsage) as {
    input_tokens: number;
    output_tokens: number;
    input_tokens_details: { cached_tokens: number };
    output_tokens_details: { reasoning_tokens: number };
  };
  expect(usage && inputTotal(usage)).toBe(recorded.input_tokens);
  expect(usage && outputTotal(usage)).toBe(recorded.output_tokens);
  expect(usage?.inputCacheRead).toBe(recorded.input_tokens_details.cached_tokens);
  expect(usage?.outputReasoning).toBe(recorded.output_tokens_details.reasoning_tokens);
}

interface RecordedItem {
  readonly type: string;
  readonly content?: readonly { text: string; annotations: readonly object[] }[];
  readonly arguments?: string;
  readonly call_id?: string;
  readonly encrypted_content?: string;
}

/** What the turn says is what the recorded items say. */
function expectAnswer(turn: FoldedTurn, response: { output: readonly RecordedItem[] }): void {
  const [choice] = turn.choices;
  const messages = response.output.filter(({ type }) => type === 'message');
  const parts = messages.flatMap(({ content = [] }) => content);
  const calls = response.output.filter(({ type }) => type === 'function_call');
  expect(choice!.text).toBe(parts.map(({ text }) => text).join(''));
  expect(choice!.toolCalls.map((call) => [call.id, call.arguments])).toEqual(
    calls.map((call) => [call.call_id, call.arguments]),
  );
  expect(choice!.blocks.flatMap(({ citations }) => citations)).toHaveLength(
    parts.flatMap(({ annotations }) => annotations).length,
  );
  // A stream tells a reasoning item before the response repeats it, encrypted anew.
  const signed = response.output.filter(({ encrypted_content }) => encrypted_content !== undefined);
  expect(choice!.blocks.filter(({ signature }) => signature !== undefined)).toHaveLength(signed.length);
}

function plain({ choices }: FoldedTurn): unknown {
  return choices.map(({ blocks, ...choice }) => ({
    ...choice,
    blocks: blocks.map(({ head, text, citations, logprobs }) => ({
      kind: head.kind,
      text,
      citations,
      logprobs,
    })),
  }));
}

function finalResponse(bytes: Buffer): { output: RecordedItem[] } {
  const events = framing.reader().push(bytes);
  return (JSON.parse(events.at(-1)!.data) as { response: { output: RecordedItem[] } }).response;
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(openaiResponses, pieces);
}

function tapBytes(pieces: readonly Buffer[]) {
  return tapStream(tap(peek(Buffer.from('{"model":"m","stream":true}'))), pieces);
}
