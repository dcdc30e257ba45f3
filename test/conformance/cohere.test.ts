// The cohere-v2 dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `cohere/v2_chat[-stream]/*.json` to run this.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cohereV2 } from '#data-plane/dialects/cohere-v2/index.ts';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';

const folder = process.env.RECORDINGS_DIR ?? '';

interface Recording {
  readonly name: string;
  readonly request: Record<string, unknown>;
  readonly bytes: Buffer;
}

const whole = load('cohere/v2_chat');
const streams = load('cohere/v2_chat-stream');
const unsupported = (field: string): never => {
  throw new TypeError(field);
};

describe.skipIf(folder === '')('recorded exchanges', () => {
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
  const frames = cohereV2.framing.reader();
  const turn = cohereV2.reader();
  const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => turn.push(frame));
  return [...events, ...frames.end().flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function load(path: string): Recording[] {
  const directory = join(folder, path);
  if (folder === '' || !existsSync(directory)) return [];
  return readdirSync(directory).map((file) => {
    const recorded = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    const encoding = recorded.response_base64 === undefined ? 'utf8' : 'base64';
    const bytes = Buffer.from(recorded.response_base64 ?? recorded.response_text, encoding);
    return { name: join(path, file), request: recorded.request, bytes };
  });
}
