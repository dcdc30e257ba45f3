// JSON.parse for what comes from outside, with an error that says where and what. V8 names no position for some faults, so a
// text that did not parse is read once more, token by token, only to find the place.
import type { SignalboxError } from '#shared/errors.ts';
import { invalidJson } from './scan.ts';

/** Throws `invalid_json`. */
export function parseJson(json: Buffer | string): unknown {
  const text = typeof json === 'string' ? json : json.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    throw explain(text);
  }
}

type Expectation = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'after value';

const expectations: Readonly<Record<Expectation, string>> = {
  value: 'a value',
  'value or end': 'a value or "]"',
  key: 'a key in double quotes',
  'key or end': 'a key in double quotes or "}"',
  colon: '":"',
  'after value': '",", "}" or "]"',
};

const TOKEN =
  /[ \n\r\t]*(?:("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)|([{}[\],:]))/uy;

function explain(text: string): SignalboxError {
  const { offset, expected } = findFault(text);
  const bytes = Buffer.from(text);
  return invalidJson(bytes, Buffer.byteLength(text.slice(0, offset)), bytes.length, expected);
}

function findFault(text: string): { offset: number; expected: string } {
  const open: string[] = [];
  let expected: Expectation = 'value';
  TOKEN.lastIndex = 0;
  for (;;) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    const token = match === null ? undefined : (match[3] ?? (match[1] === undefined ? 'literal' : 'string'));
    const next: Expectation | undefined = token === undefined ? undefined : step(expected, token, open);
    if (match === null || next === undefined) {
      const offset = from + (/^[ \n\r\t]*/.exec(text.slice(from))?.[0].length ?? 0);
      return {
        offset,
        expected: open.length === 0 && expected === 'after value' ? 'nothing more' : expectations[expected],
      };
    }
    expected = next;
  }
}

/** What may come after this token; undefined when the token itself may not stand here. */
function step(expected: Expectation, token: string, open: string[]): Expectation | undefined {
  const inside = open.at(-1);
  if (token === '}' || token === ']') {
    const mayEnd = expected === 'after value' || expected === (token === '}' ? 'key or end' : 'value or end');
    if (!mayEnd || inside !== (token === '}' ? '{' : '[')) return undefined;
    open.pop();
    return 'after value';
  }
  if (expected === 'colon') return token === ':' ? 'value' : undefined;
  if (expected === 'key' || expected === 'key or end') return token === 'string' ? 'colon' : undefined;
  if (expected === 'after value') {
    return token === ',' && inside !== undefined ? (inside === '{' ? 'key' : 'value') : undefined;
  }
  if (token === '{' || token === '[') {
    open.push(token);
    return token === '{' ? 'key or end' : 'value or end';
  }
  return token === 'string' || token === 'literal' ? 'after value' : undefined;
}
