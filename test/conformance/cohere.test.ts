// The cohere-v2 dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `cohere/v2_chat[-stream]/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { cohereV2 } from '#data-plane/dialects/cohere-v2/index.ts';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream } from '#test/harness/read-stream.ts';
import { areMissing, load } from './recordings.ts';

const whole = load('cohere/v2_chat');
const streams = load('cohere/v2_chat-stream');
const unsupported = (field: string): never => {
  throw new TypeError(field);
};

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  // Cohere's requests are read as chat completions, which they are modelled on; only the fields below have other names.
  test.each([...whole, ...streams])('the request of $name is written as it was', ({ request }) => {
    const body = Buffer.from(JSON.stringify(chatLike(request)));
    const decoded = openaiChat.decode(openaiChat.peek(body));
    const encoded = cohereV2.encode({ ...decoded, extras: {} }, { unsupported });
    expect(JSON.parse(JSON.stringify(encoded))).toEqual(plainResults(request));
  });

  test.each(whole)('the body of $name unfolds, with the usage that is billed', ({ bytes }) => {
    const turn = foldTurn(checkTurn(cohereV2.unfold(bytes)));
    const { id, message, usage } = JSON.parse(bytes.toString());
    expect(turn.error).toBeUndefined();
    expect(turn.id).toBe(id);
    expectBilled(turn.usage, usage);
    expect(turn.choices[0]!.toolCalls.map((call) => call.id)).toEqual(
      (message.tool_calls ?? []).map((call: { id: string }) => call.id),
    );
    expect(turn.choices[0]!.blocks.flatMap(({ citations }) => citations).length).toBe(
      (message.citations ?? []).length,
    );
  });

  test.each(streams)('the stream of $name reads the same however it is cut', ({ bytes }) => {
    const events = readBytes([bytes]);
    const turn = foldTurn(checkTurn(events));
    const last = bytes.toString().match(/data: (.*"message-end".*)/)?.[1] ?? '{}';
    const { finish_reason, usage } = JSON.parse(last).delta;
    if (finish_reason === 'ERROR') expect(turn.error?.code).toBe('upstream_error');
    else {
      expect(turn.error).toBeUndefined();
      expectBilled(turn.usage, usage);
    }
    expect(readBytes(oneByOne(bytes))).toEqual(events);
    const from = Math.max(0, bytes.length - 1024);
    for (const [before, after] of everyCut(bytes.subarray(from))) {
      expect(readBytes([bytes.subarray(0, from), before!, after!])).toEqual(events);
    }
  });

  test.each(streams)('the stream of $name, ended early, is never taken for whole', ({ bytes }) => {
    const end = bytes.indexOf('event: message-end');
    for (let at = 0; at < end; at += 97) {
      const turn = foldTurn(checkTurn(readBytes([bytes.subarray(0, at)])));
      expect(turn.error?.code).toBe('upstream_truncated');
    }
  });
});

function expectBilled(usage: Usage | undefined, recorded: { billed_units: Record<string, number> }): void {
  expect(usage && inputTotal(usage)).toBe(recorded.billed_units.input_tokens);
  expect(usage && outputTotal(usage)).toBe(recorded.billed_units.output_tokens);
}

type Message = Record<string, unknown>;

function chatLike(request: Record<string, unknown>): Record<string, unknown> {
  const messages = (plainResults(request).messages as Message[]).map(({ tool_plan, ...message }) => ({
    ...message,
    ...(tool_plan === undefined ? {} : { reasoning_content: tool_plan }),
  }));
  return { ...request, messages };
}

/** What a tool returned, as the text that we write; as a document it is only Cohere's. */
function plainResults(request: Record<string, unknown>): Record<string, unknown> {
  const messages = (request.messages as Message[]).map((message) =>
    message.role === 'tool' ? { ...message, content: JSON.stringify(message.content) } : message,
  );
  return { ...request, messages };
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(cohereV2, pieces);
}
