// Where a text stands in JSON bytes, by its path, for those who decide by it and change it. Strict on the way there: a member that
// could be read as another one, because it is written twice or in other letters, is refused, since whoever receives the bytes
// reads them again and may choose differently.
import { SignalboxError } from '#shared/errors.ts';
import { type Member, scanObject, type WantedKeys, wantedKeys } from './scan.ts';

/** Prepared once for each path. */
export interface TextPath {
  readonly names: readonly string[];
  readonly keys: readonly WantedKeys[];
}

export interface Bounds {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const BRACE_OPEN = 0x7b;

export function textPath(...names: string[]): TextPath {
  return { names, keys: names.map((name) => wantedKeys(name)) };
}

/** Undefined where nothing stands there. Throws `invalid_json`, or `invalid_request` for what is ambiguous or no text. */
export function findText(bytes: Buffer, { names, keys }: TextPath, within: Bounds): Member | undefined {
  let bounds = within;
  for (const [depth, wanted] of keys.entries()) {
    if (depth > 0 && bytes[bounds.start] !== BRACE_OPEN) return undefined;
    const { members, ambiguous } = scanObject(bytes, wanted, bounds.start, bounds.end);
    const param = names.slice(0, depth + 1).join('.');
    if (ambiguous !== undefined) throw twice(param, ambiguous.written);
    const member = members[names[depth]!];
    if (member === undefined) return undefined;
    bounds = member;
    if (depth < keys.length - 1) continue;
    if (bytes[member.start] === QUOTE) return member;
    throw new SignalboxError('invalid_request', `The field "${param}" has to be a text.`, { param });
  }
  return undefined;
}

function twice(param: string, written: string): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    `The field "${param}" stands more than once, here as "${written}". Readers disagree on which one counts; send it once.`,
    { param },
  );
}
