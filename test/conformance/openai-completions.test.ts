// The openai-completions dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `{openai,azure}/completions[-stream]/*.json` to run this.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openaiCompletions } from '#data-plane/dialects/openai-completions/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';

const folder = process.env.RECORDINGS_DIR ?? '';

interface Recording {
  readonly name: string;
  readonly request: Record<string, unknown>;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

const whole = ['openai/completions', 'azure/completions'].flatMap(load);
const streams = load('openai/completions-stream');
const answers = (list: readonly Recording[]) => list.filter(({ status }) => status === 200);

describe.skipIf(folder === '')('recorded exchanges', () => {
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
  const frames = openaiCompletions.framing.reader();
  const turn = openaiCompletions.reader();
  const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => turn.push(frame));
  return [...events, ...frames.end().flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function tapBytes(pieces: readonly Buffer[], request: object) {
  const tap = openaiCompletions.tap(openaiCompletions.peek(Buffer.from(JSON.stringify(request))));
  const passed = pieces.map((piece) => Buffer.from(tap.push(piece)));
  const { bytes, report } = tap.end();
  return { output: Buffer.concat([...passed, bytes]), report };
}

function load(path: string): Recording[] {
  const directory = join(folder, path);
  if (folder === '' || !existsSync(directory)) return [];
  return readdirSync(directory).map((file) => {
    const recorded = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    const { request, status, headers } = recorded;
    const encoding = recorded.response_base64 === undefined ? 'utf8' : 'base64';
    const bytes = Buffer.from(recorded.response_base64 ?? recorded.response_text, encoding);
    return { name: join(path, file), request, status, headers, bytes };
  });
}
