// From what zod found to what a person can act on: the key, the value, and the nearest thing that would be right. Values
// that may be secrets are never repeated.
import type { z } from 'zod';
import type { Problem } from '../errors.ts';
import { hint } from './nearest.ts';
import type { Shape } from './schema.ts';
import { keysAt, type Path, pathText, valueAt } from './shape.ts';

type Issue = z.core.$ZodIssue;

export interface IssueContext {
  /** What was checked. */
  readonly value: unknown;
  readonly shape: Shape;
  /** Whether the value at a path came from outside the file and must not be shown. */
  readonly isSecret: (path: string) => boolean;
}

export interface FoundProblem extends Problem {
  /** The problem is the key itself, not what it holds. */
  readonly atKey: boolean;
}

export function describeIssues(issues: readonly Issue[], context: IssueContext): FoundProblem[] {
  return issues.flatMap((issue) => describe(issue, issue.path as Path, context));
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function describe(issue: Issue, path: Path, context: IssueContext): FoundProblem[] {
  const at = (message: string): FoundProblem[] => [{ path: pathText(path), message, atKey: false }];
  const value = valueAt(context.value, path);
  const got = context.isSecret(pathText(path)) ? '' : `; got ${show(value)}`;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: pathText([...path, key]),
        message: `unknown key${hint(key, keysAt(context.shape, path))}`,
        atKey: true,
      }));
    case 'invalid_type':
      if (value === undefined) return at('is required');
      return at(`must be ${typeWords[issue.expected] ?? issue.expected}${got}`);
    case 'invalid_value':
      return at(`${wanted(issue.values)}${got}${hint(String(value), issue.values.map(String))}`);
    case 'invalid_union':
      return describeUnion(issue, path, context, got);
    case 'invalid_key':
      return [{ path: pathText(path), message: `the name ${issue.issues[0]?.message}`, atKey: true }];
    case 'too_small':
      return at(
        `must ${bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}${isCounted(issue.origin) ? '' : got}`,
      );
    case 'too_big':
      return at(`must ${bound(issue.origin, 'at most', issue.maximum)}${isCounted(issue.origin) ? '' : got}`);
    default:
      return at(`${issue.message}${got}`);
  }
}

const WORDS_SAID_MAX = 4;

/** The hint lists many words well enough. */
function wanted(words: readonly unknown[]): string {
  return words.length > WORDS_SAID_MAX ? 'unknown value' : `must be ${words.join(' or ')}`;
}

/** Speaks of the alternative that the writer evidently meant, not of all. */
function describeUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: Path,
  context: IssueContext,
  got: string,
): FoundProblem[] {
  const branches: readonly (readonly Issue[])[] = issue.errors;
  const isOtherType = (branch: readonly Issue[]) =>
    branch.some((inner) => inner.code === 'invalid_type' && inner.path.length === 0);
  const meant = branches.find((branch) => !isOtherType(branch));
  if (meant !== undefined)
    return meant.flatMap((inner) => describe(inner, [...path, ...(inner.path as Path)], context));
  if (valueAt(context.value, path) === undefined)
    return [{ path: pathText(path), message: 'is required', atKey: false }];
  const expected = branches.flatMap((branch) =>
    branch.map((inner) => (inner.code === 'invalid_type' ? typeWords[inner.expected] : undefined)),
  );
  return [{ path: pathText(path), message: `must be ${expected.join(' or ')}${got}`, atKey: false }];
}

function isCounted(origin: string): boolean {
  return origin === 'string' || origin === 'array';
}

function bound(origin: string, word: string, amount: number | bigint): string {
  if (origin === 'string') return `have ${word} ${amount} ${amount === 1 ? 'character' : 'characters'}`;
  if (origin === 'array') return `have ${word} ${amount} ${amount === 1 ? 'entry' : 'entries'}`;
  return `be ${word} ${amount}`;
}

const SHOWN_CHARS_MAX = 80;

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}
