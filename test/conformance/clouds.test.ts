// OpenAI's models at Azure and Claude at Vertex, against exchanges that really took place: both speak a known dialect with habits of their
// own. The recordings are not part of this project: point RECORDINGS_DIR at a folder with `azure/…` and `vertex-anthropic/…` to run this.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { anthropicMessages } from '#data-plane/dialects/anthropic-messages/index.ts';
import type { ClientDialect } from '#data-plane/dialects/dialect.ts';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import { openaiCompletions } from '#data-plane/dialects/openai-completions/index.ts';
import { openaiResponses } from '#data-plane/dialects/openai-responses/index.ts';
import { endpointPath } from '#data-plane/providers/provider.ts';
import { createProviders } from '#data-plane/providers/registry.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';

const folder = process.env.RECORDINGS_DIR ?? '';

interface Recording {
  readonly name: string;
  /** Host and path, with the query apart. */
  readonly url: string;
  readonly query: string;
  readonly request: Record<string, unknown>;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

interface Kind {
  readonly name: string;
  readonly dialect: ClientDialect;
  readonly whole: readonly Recording[];
  readonly streams: readonly Recording[];
}

const kinds: readonly Kind[] = [
  {
    name: 'azure',
    dialect: openaiChat,
    whole: load('azure/chat_completions'),
    streams: load('azure/chat_completions-stream'),
  },
  { name: 'azure', dialect: openaiResponses, whole: [], streams: load('azure/responses-stream') },
  { name: 'azure', dialect: openaiCompletions, whole: load('azure/completions'), streams: [] },
  {
    name: 'vertex-anthropic',
    dialect: anthropicMessages,
    whole: load('vertex-anthropic/models'),
    streams: load('vertex-anthropic/models-stream'),
  },
];

describe.skipIf(folder === '').each(kinds)('$name, $dialect.name', ({ name, dialect, whole, streams }) => {
  const isAnswer = ({ status, bytes }: Recording) => status === 200 && !isRefusal(bytes);

  test('was recorded', () => {
    expect(whole.length + streams.length).toBeGreaterThan(0);
  });

  test.each(whole.filter(isAnswer))('the body of $name is read and metered', ({ bytes }) => {
    const turn = foldTurn(checkTurn(dialect.unfold(bytes)));
    expect(turn.error).toBeUndefined();
    expectUsage(name, turn);
    const report = dialect.inspect(bytes);
    expect(report).toMatchObject({ id: turn.id, rawUsage: turn.rawUsage, error: undefined });
    expect(report.usage).toEqual(turn.usage);
  });

  test.each(whole.filter((recording) => !isAnswer(recording)))(
    'the refusal of $name is understood',
    ({ status, headers, bytes }) => {
      // A proxy that recorded may have lost the status; then it is an error inside a success.
      const error = status === 200 ? dialect.inspect(bytes).error : dialect.readError(status, headers, bytes);
      expect(error?.code).toMatch(/^(upstream_model_missing|content_filtered|upstream_unauthorized)$/);
    },
  );

  test.each(streams)('the stream of $name reads the same however it is cut', ({ bytes, request }) => {
    const events = checkTurn(readBytes(dialect, [bytes]));
    const turn = foldTurn(events);
    expect(turn.error).toBeUndefined();
    expectUsage(name, turn);
    expect(readBytes(dialect, oneByOne(bytes))).toEqual(events);

    const head = dialect.peek(Buffer.from(JSON.stringify({ model: 'm', ...request })));
    const tapped = tapBytes(dialect, head, [bytes]);
    expect(tapped.report).toMatchObject({ usage: turn.usage, complete: true, error: undefined });
    const from = Math.max(0, bytes.length - 1024);
    for (const [before, after] of everyCut(bytes.subarray(from))) {
      expect(tapBytes(dialect, head, [bytes.subarray(0, from), before!, after!])).toEqual(tapped);
    }
  });

  test.each([...whole, ...streams])('the request of $name goes to the place it went to', (recording) => {
    const placed = placeOf(recording);
    if (placed === undefined) return;
    const provider = createProviders({} as never)(placed.type)!;
    const endpoint = provider.turns(placed.model).find((turn) => turn.dialect === dialect.name)!;
    const stream = recording.request.stream === true;
    const path = endpointPath(endpoint.path, { model: placed.model, stream, settings: placed.settings });
    const query = recording.query === '' ? '' : `?${recording.query}`;
    expect(path).toBe(`/${recording.url.split('/').slice(1).join('/')}${query}`);
    // What was recorded is what this upstream wants: splicing a client's request gives the same members again.
    const { anthropic_version: _, ...asked } = recording.request;
    const body = Buffer.from(JSON.stringify({ ...asked, model: 'public name' }));
    const target = { ...endpoint, model: placed.model };
    const spliced = JSON.parse(Buffer.concat([...dialect.splice(dialect.peek(body), target)]).toString());
    const { stream_options: __, ...sent } = spliced;
    const { stream_options: ___, ...recorded } = recording.request;
    expect({ model: placed.model, ...sent }).toEqual({ model: placed.model, ...recorded });
  });
});

/** Which provider of ours would have called this place; undefined for hosts that only look alike. */
function placeOf({ url, query, request }: Recording) {
  const vertex = /projects\/([^/]+)\/locations\/([^/]+)\/publishers\/\w+\/models\/([^/:]+):/.exec(url);
  if (vertex !== null) {
    const [, project = '', region = '', model = ''] = vertex;
    return { type: 'vertex', model, settings: { project, region } };
  }
  const settings = { api_version: query.replace('api-version=', '') };
  const azure = /\.openai\.azure\.com\/openai\/deployments\/([^/]+)\//.exec(url);
  if (azure !== null) return { type: 'azure', model: azure[1]!, settings };
  if (!/\.azure\.com\/openai\/responses$/.test(url)) return undefined;
  return { type: 'azure', model: String(request.model), settings };
}

function expectUsage(name: string, { rawUsage, usage }: ReturnType<typeof foldTurn>): void {
  if (rawUsage === '') return;
  const raw = JSON.parse(rawUsage) as Record<string, number | undefined>;
  if (name === 'azure') {
    expect(usage && inputTotal(usage)).toBe(raw.prompt_tokens ?? raw.input_tokens);
    expect(usage && outputTotal(usage)).toBe(raw.completion_tokens ?? raw.output_tokens);
    return;
  }
  const cached = (raw.cache_read_input_tokens ?? 0) + (raw.cache_creation_input_tokens ?? 0);
  expect(usage && inputTotal(usage)).toBe(raw.input_tokens! + cached);
  expect(usage && outputTotal(usage)).toBe(raw.output_tokens);
}

function isRefusal(bytes: Buffer): boolean {
  return /^\s*\{\s*"error"/.test(bytes.toString('utf8', 0, 64));
}

function readBytes(dialect: ClientDialect, pieces: readonly Buffer[]): TurnEvent[] {
  const frames = dialect.framing.reader();
  const turn = dialect.reader();
  const events = pieces.flatMap((piece) => frames.push(piece)).flatMap((frame) => turn.push(frame));
  return [...events, ...frames.end().flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function tapBytes(
  dialect: ClientDialect,
  head: Parameters<ClientDialect['tap']>[0],
  pieces: readonly Buffer[],
) {
  const tap = dialect.tap(head);
  const passed = pieces.map((piece) => Buffer.from(tap.push(piece)));
  const { bytes, report } = tap.end();
  return { output: Buffer.concat([...passed, bytes]), report };
}

function load(path: string): Recording[] {
  const directory = join(folder, path);
  if (folder === '' || !existsSync(directory)) return [];
  return readdirSync(directory).map((file) => {
    const recorded = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    const { url, query, request, status, headers, response_text: text, response_base64: base64 } = recorded;
    const bytes = Buffer.from(base64 ?? text, base64 === undefined ? 'utf8' : 'base64');
    return { name: join(path, file), url, query: query ?? '', request, status, headers, bytes };
  });
}
