// OpenAI's models at Azure and Claude at Vertex, against exchanges that really took place: both speak a known dialect with habits of their
// own. The recordings are not part of this project: point RECORDINGS_DIR at a folder with `azure/…` and `vertex-anthropic/…` to run this.
import { describe, expect, test } from 'vitest';
import { anthropicMessages } from '#data-plane/dialects/anthropic-messages/index.ts';
import type { ClientDialect } from '#data-plane/dialects/dialect.ts';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import { openaiCompletions } from '#data-plane/dialects/openai-completions/index.ts';
import { openaiResponses } from '#data-plane/dialects/openai-responses/index.ts';
import { endpointPath } from '#data-plane/providers/provider.ts';
import { createProviders } from '#data-plane/providers/registry.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import { areMissing, load, type Recording } from './recordings.ts';

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

describe.skipIf(areMissing).each(kinds)('$name, $dialect.name', ({ name, dialect, whole, streams }) => {
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
    const events = checkTurn(readStream(dialect, [bytes]));
    const turn = foldTurn(events);
    expect(turn.error).toBeUndefined();
    expectUsage(name, turn);
    expect(readStream(dialect, oneByOne(bytes))).toEqual(events);

    const head = dialect.peek(Buffer.from(JSON.stringify({ model: 'm', ...request })));
    const tapped = tapStream(dialect.tap(head), [bytes]);
    expect(tapped.report).toMatchObject({ usage: turn.usage, complete: true, error: undefined });
    const from = Math.max(0, bytes.length - 1024);
    for (const [before, after] of everyCut(bytes.subarray(from))) {
      expect(tapStream(dialect.tap(head), [bytes.subarray(0, from), before!, after!])).toEqual(tapped);
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
