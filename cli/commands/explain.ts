// `signalbox explain`: where a request would go and why, as a table for people. Whoever would be asked comes first, in that order; below
// are the others with the reasons. The exit code tells scripts whether anybody would be asked at all.
import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import type { Settings } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';
import { adminKey, askAdministration } from '../administration.ts';

type Options = Readonly<Record<string, string | undefined>>;

interface Failure {
  readonly code: string;
  readonly message: string;
}

interface Candidate {
  readonly deployment: string;
  readonly via: string;
  readonly strategy: string;
  readonly score: number | null;
  readonly why: string;
  readonly turn: number | null;
  readonly passed_over: Failure | null;
  readonly first_share: number;
}

interface SecondAttempt {
  readonly deployment: string | null;
  readonly after_ms: number | null;
  readonly why_not: string | null;
}

/** Of the answer of POST /api/v1/routes/explain, what is shown. */
interface Explanation {
  readonly model: string;
  readonly steps: readonly { readonly kind: string; readonly name: string }[];
  readonly refusal: Failure | null;
  readonly rules: readonly string[];
  readonly left_out: readonly { readonly name: string; readonly why: string }[];
  readonly mirrors: readonly string[];
  readonly candidates: readonly Candidate[];
  readonly by_lot: boolean;
  readonly retries_left: number;
  readonly deadline_ms: number | null;
  readonly second_attempt: SecondAttempt | null;
  readonly revision: number;
  readonly node: { readonly id: string };
}

/** A data plane may take a while to have the newest configuration. */
const ANSWER_MS_MAX = 40_000;
const NOBODY = 1;

export async function explain(settings: Settings, options: Options): Promise<number> {
  const { url = '', node } = options;
  const query = node === undefined ? '' : `?${new URLSearchParams({ node })}`;
  const answer = (await askAdministration({
    url,
    key: adminKey(settings),
    path: `/api/v1/routes/explain${query}`,
    body: requestOf(options),
    withinMs: ANSWER_MS_MAX,
  })) as Explanation;
  const text =
    options.json === undefined ? describe(printable(answer)) : JSON.stringify(answer, undefined, 2);
  process.stdout.write(`${text}\n`);
  return answer.candidates.some(({ turn }) => turn !== null) ? 0 : NOBODY;
}

function requestOf({ model, api, key, stream, body, inputTokens, tools, vision }: Options): object {
  return {
    model,
    api,
    key_id: key,
    ...(stream && { stream: true }),
    ...(body !== undefined && { body: readBody(body) }),
    ...(inputTokens !== undefined && { input_tokens: Number(inputTokens) }),
    ...(tools && { tools: true }),
    ...(vision && { vision: true }),
  };
}

function readBody(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new SignalboxError('invalid_configuration', `--body: ${file} cannot be read as JSON`, {
      cause: error,
    });
  }
}

function describe(answer: Explanation): string {
  const { candidates, refusal } = answer;
  const asked = candidates.filter(({ turn }) => turn !== null);
  const others = [...passedRows(candidates.filter(({ turn }) => turn === null)), ...leftRows(answer)];
  const parts = [
    `${styled('bold', answer.model)}  ${answer.steps.map(({ kind, name }) => `${kind} ${name}`).join(' → ')}`,
    ...(refusal === null
      ? []
      : [styled('red', `nobody would be asked: ${refusal.message} (${refusal.code})`)]),
    ...(asked.length === 0 ? [] : [table(askedRows(asked, answer.by_lot))]),
    ...(others.length === 0
      ? []
      : [`${styled('bold', 'passed over')}\n${table([['target', 'reason', ''], ...others])}`]),
    styled('dim', footnotes(answer).join('\n')),
  ];
  return parts.join('\n\n');
}

type Row = readonly string[];

function askedRows(asked: readonly Candidate[], isByLot: boolean): readonly Row[] {
  const head = ['order', 'target', 'via', 'strategy', 'score', ...(isByLot ? ['first'] : []), 'why'];
  const rows = asked.map(({ turn, deployment, via, strategy, score, why, first_share, passed_over }) => [
    String(turn),
    deployment,
    via,
    strategy,
    score === null ? '–' : String(Math.round(score * 100) / 100),
    ...(isByLot ? [`${Math.round(first_share * 100)} %`] : []),
    passed_over === null ? why : `${why}; only because nobody else is left: ${passed_over.message}`,
  ]);
  return [head, ...rows];
}

function passedRows(others: readonly Candidate[]): readonly Row[] {
  return others.map(({ deployment, passed_over }) => [
    deployment,
    passed_over?.code ?? '',
    passed_over?.message ?? 'somebody before it would be asked alone',
  ]);
}

function leftRows({ left_out }: Explanation): readonly Row[] {
  return left_out.map(({ name, why }) => [name, 'excluded_by_rules', why]);
}

function footnotes(answer: Explanation): readonly string[] {
  const { by_lot, retries_left, deadline_ms, second_attempt, revision, node, rules, mirrors } = answer;
  return [
    ...rules.map((rule) => `By ${rule}.`),
    ...(mirrors.length === 0 ? [] : [`A copy would go to ${mirrors.join(' and ')}.`]),
    ...(by_lot ? ['Lots decide who is first; the column "first" says how often.'] : []),
    `After a failure, ${retries_left} more requests may go to somebody else just now.`,
    ...(second_attempt === null ? [] : [secondAttempt(second_attempt)]),
    ...(deadline_ms === null ? [] : [`The whole request has ${deadline_ms / 1000} s.`]),
    `Revision ${revision}, as ${node.id} sees it. Nothing was sent.`,
  ];
}

function secondAttempt({ deployment, after_ms, why_not }: SecondAttempt): string {
  if (deployment === null) return `No second attempt beside a slow first: ${why_not}.`;
  return `When the first has said nothing for ${after_ms} ms, ${deployment} is asked beside it.`;
}

function table(rows: readonly Row[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return [styled('dim', lines[0]!), ...lines.slice(1)].join('\n');
}

/** Coloured where somebody looks, and nobody has said NO_COLOR. */
function styled(format: 'bold' | 'dim' | 'red', text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

/** Names are other people's: they must not talk to the terminal. */
function printable<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) =>
    typeof part === 'string' ? part.replaceAll(/[\p{Cc}\p{Cf}]/gu, '\ufffd') : part,
  ) as Value;
}
