// OpenAI's own description of its answers as the judge of ours: the types of the official SDK, which are generated from the
// specification. Answers made up at random are written as literals of those types, and the compiler has to accept every one,
// without a field too many or too few.
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { clientDialectNamed } from '#data-plane/dialects/registry.ts';
import type { TurnRequest } from '#data-plane/turn/request.ts';
import { anyRequest, anyTurn } from '#test/fixtures/turns.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const folder = join(root, '.cache', 'oracle', String(process.pid));
const TURNS = 60;
const SEED = 20_261_120;

/** What other vendors made customary and OpenAI's types do not know. */
const extensions = ['reasoning_content', 'reasoning_details', 'images', 'extra_content'];

/** What the specification has and its types, a little behind, have not. */
const ahead: Readonly<Record<string, readonly string[]>> = {
  'response.function_call_arguments.done': ['name'],
  response: ['frequency_penalty', 'presence_penalty', 'store'],
};

/** What the SDK's own type of a response has besides: one made by itself, and one that few accounts are sent. */
const addedBySdk = { output_text: '', access_programs: null };

interface Sample {
  readonly type: string;
  readonly value: unknown;
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("everything we write in OpenAI's dialects is of OpenAI's types", async () => {
  const samples = [...chatSamples(), ...responseSamples(), ...completionSamples()];
  expect(samples.length).toBeGreaterThan(1000);
  expect(await complaints(samples)).toBe('');
}, 120_000);

test('the compiler would notice', async () => {
  const wrong = { type: 'ChatCompletion', value: { id: 'x', object: 'chat.completion', surprise: true } };
  expect(await complaints([wrong])).toMatch(/surprise|missing/);
}, 120_000);

function turns() {
  return fc.sample(anyTurn, { numRuns: TURNS, seed: SEED }).map(({ events }) => events);
}

function requests(): readonly TurnRequest[] {
  return fc.sample(anyRequest, { numRuns: TURNS, seed: SEED });
}

function chatSamples(): readonly Sample[] {
  const { render, writer } = clientDialectNamed('openai-chat');
  return turns().flatMap((events) => {
    const machine = writer({ wantsUsage: true });
    const chunks = events
      .flatMap((event) => machine.push(event))
      .filter(({ data }) => data !== '[DONE]')
      .map(({ data }) => ({ type: 'ChatCompletionChunk', value: JSON.parse(data) as unknown }));
    return [{ type: 'ChatCompletion', value: render(events) }, ...chunks];
  });
}

function responseSamples(): readonly Sample[] {
  const { render, writer } = clientDialectNamed('openai-responses');
  const asked = requests();
  return turns().flatMap((events, index) => {
    const request = asked[index]!;
    const machine = writer({ wantsUsage: true, request });
    const written = events
      .flatMap((event) => machine.push(event))
      .map(({ data }) => ({ type: 'Responses.ResponseStreamEvent', value: JSON.parse(data) as unknown }));
    return [{ type: 'Responses.Response', value: render(events, request) }, ...written];
  });
}

function completionSamples(): readonly Sample[] {
  const { render, writer } = clientDialectNamed('openai-completions');
  return turns().flatMap((events) => {
    const machine = writer({ wantsUsage: true });
    const chunks = events
      .flatMap((event) => machine.push(event))
      .filter(({ data }) => data !== '[DONE]')
      .map(({ data }) => ({ type: 'Completion', value: JSON.parse(data) as unknown }));
    return [{ type: 'Completion', value: render(events) }, ...chunks];
  });
}

/** What the compiler says; nothing when all is well. */
async function complaints(samples: readonly Sample[]): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const lines = samples.map(
    ({ type, value }, index) =>
      `export const sample${index}: OpenAI.${type} = ${JSON.stringify(plain(value))};`,
  );
  writeFileSync(join(folder, 'samples.ts'), ["import type OpenAI from 'openai';", ...lines].join('\n'));
  // Null is what OpenAI itself sends where its types say that a field is absent.
  const options = {
    strict: true,
    strictNullChecks: false,
    noEmit: true,
    skipLibCheck: true,
    module: 'nodenext',
    types: ['node'],
  };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['samples.ts'] }),
  );
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  return run(compiler, ['-p', folder]).then(
    () => '',
    (failure: { stdout: string }) => failure.stdout.split('\n').slice(0, 20).join('\n'),
  );
}

/** As the types know it: without customary extensions. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const { type, object } = value as { type?: unknown; object?: unknown };
  const unknown = [...extensions, ...(ahead[String(type ?? object)] ?? [])];
  const kept = Object.entries(value).filter(([key]) => !unknown.includes(key));
  const added = object === 'response' ? addedBySdk : {};
  return { ...Object.fromEntries(kept.map(([key, inner]) => [key, plain(inner)])), ...added };
}
