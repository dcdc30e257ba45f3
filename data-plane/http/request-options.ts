// What a client says to the gateway itself, beside what it says to the model: in the member `x-gateway` of the body, or in
// headers, for bodies that have no members and clients that cannot change theirs. One row per option; what is said in the
// body counts. It is checked here, honoured wherever it means something, and never reaches a provider. Nothing is passed over
// in silence: whoever misspells an option believes that it works.
import type { IncomingHttpHeaders } from 'node:http';
import { durationMs } from '#shared/configuration/duration.ts';
import { hint } from '#shared/configuration/nearest.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { isObject } from '../json/values.ts';

export interface RequestOptions {
  /** Whether what a provider cannot be asked is left out instead of refused. */
  readonly dropsUnsupported: boolean;
  /** From the request's arrival to the end of its answer, over all attempts. */
  readonly timeoutMs: number | undefined;
  /** The only provider that may answer, as it is called in the configuration. */
  readonly provider: string | undefined;
  /** The client's own words about this request, recorded with its usage. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  /** How urgent it is where it has to wait for a place; 0 is the most urgent. */
  readonly queuePriority: number;
  /** Whether the answer tells in a header where the request went. */
  readonly wantsTrail: boolean;
}

interface OptionRow {
  /** In `x-gateway`. */
  readonly member: string;
  readonly header: string;
  /** What the text of a header would be in a body. */
  fromHeader(text: string): unknown;
  /** `where` is the option as the client wrote it. */
  read(value: unknown, where: string, defaults: OptionDefaults): Partial<RequestOptions>;
}

/** Of the key: what holds where the request itself says nothing; and no request is more urgent than its key. */
export type OptionDefaults = Pick<RequestOptions, 'dropsUnsupported' | 'queuePriority'>;

const GATEWAY = 'x-gateway';
const HEADER_PREFIX = 'x-signalbox-';
/** No line breaks or other controls: these words end up in headers, logs and tables. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}]+$/u;
const ASCII = /^[\x20-\x7e]*$/;
/** As in the configuration, where a plain number has a unit too. */
const DURATION = /^\d+(\.\d+)?(ms|s|m|h)$/;

const rows: readonly OptionRow[] = [
  {
    member: 'drop_unsupported',
    header: 'x-signalbox-drop-unsupported',
    fromHeader: booleanOf,
    read: (value, where) => {
      if (typeof value !== 'boolean') throw refused(where, 'true or false');
      return { dropsUnsupported: value };
    },
  },
  {
    member: 'timeout',
    header: 'x-signalbox-timeout',
    fromHeader: (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text),
    read: (value, where) => ({ timeoutMs: readTimeout(value, where) }),
  },
  {
    member: 'provider',
    header: 'x-signalbox-provider',
    fromHeader: (text) => text,
    read: (value, where) => {
      const bounds = { lengthMax: limits.nameLengthMax };
      return { provider: readWord(value, where, 'the name of a provider', bounds) };
    },
  },
  {
    member: 'metadata',
    header: 'x-signalbox-metadata',
    fromHeader: jsonOf,
    read: (value, where) => ({ metadata: readMetadata(value, where) }),
  },
  {
    member: 'tags',
    header: 'x-signalbox-tags',
    fromHeader: (text) => text.split(',').flatMap((tag) => tag.trim() || []),
    read: (value, where) => ({ tags: readTags(value, where) }),
  },
  {
    member: 'priority',
    header: 'x-signalbox-priority',
    fromHeader: (text) => (/^\d+$/.test(text) ? Number(text) : text),
    read: (value, where, { queuePriority }) => ({ queuePriority: readPriority(value, where, queuePriority) }),
  },
  {
    member: 'debug',
    header: 'x-signalbox-debug',
    fromHeader: booleanOf,
    read: (value, where) => {
      if (typeof value !== 'boolean') throw refused(where, 'true or false');
      return { wantsTrail: value };
    },
  },
  {
    member: 'cache',
    header: 'x-signalbox-cache',
    fromHeader: (text) => {
      const flag = booleanOf(text);
      return typeof flag === 'boolean' ? flag : { mode: text };
    },
    read: refuseCaching,
  },
];

const members = new Map(rows.map((row) => [row.member, row]));
const headerNames = new Set(rows.map(({ header }) => header));

const nothingSaid: Omit<RequestOptions, keyof OptionDefaults> = Object.freeze({
  timeoutMs: undefined,
  provider: undefined,
  metadata: Object.freeze({}),
  tags: Object.freeze([]),
  wantsTrail: false,
});

/** Throws `invalid_request` that names the option as it was written. */
export function readRequestOptions(
  gateway: unknown,
  headers: IncomingHttpHeaders,
  defaults: OptionDefaults,
): RequestOptions {
  if (gateway !== undefined && !isObject(gateway)) throw refused(GATEWAY, 'an object');
  const { dropsUnsupported, queuePriority } = defaults;
  let options: RequestOptions = { ...nothingSaid, dropsUnsupported, queuePriority };
  for (const name in headers) {
    if (name.startsWith(HEADER_PREFIX) && !headerNames.has(name)) throw unknownOption(name, headerNames);
  }
  for (const { member, header, fromHeader, read } of rows) {
    const text = headers[header];
    if (typeof text !== 'string' || (gateway && Object.hasOwn(gateway, member))) continue;
    if (!ASCII.test(text)) throw refused(header, 'printable ASCII; the member "x-gateway" takes any text');
    options = { ...options, ...read(fromHeader(text.trim()), header, defaults) };
  }
  for (const [member, value] of Object.entries(gateway ?? {})) {
    const row = members.get(member);
    if (!row) throw unknownOption(member, members.keys());
    options = { ...options, ...row.read(value, `${GATEWAY}.${member}`, defaults) };
  }
  return options;
}

function readTimeout(value: unknown, where: string): number {
  const ms = typeof value === 'string' && DURATION.test(value) ? durationMs(value) : value;
  if (typeof ms === 'number' && ms >= 1 && ms <= limits.requestDeadlineMsMax) return Math.ceil(ms);
  throw refused(
    where,
    `a time of 1ms to ${limits.requestDeadlineMsMax / 3_600_000}h: a number of milliseconds, or a text such as "30s"`,
  );
}

function readMetadata(value: unknown, where: string): Readonly<Record<string, string>> {
  if (!isObject(value)) throw refused(where, 'an object whose values are texts');
  const entries = Object.entries(value);
  const { requestMetadataEntriesMax, requestMetadataNameLengthMax, metadataValueLengthMax } = limits;
  if (entries.length > requestMetadataEntriesMax) {
    throw refused(
      where,
      `an object of at most ${requestMetadataEntriesMax} entries; it has ${entries.length}`,
    );
  }
  const checked = entries.map(([name, text]): [string, string] => {
    readWord(name, where, 'an object whose names are texts', { lengthMax: requestMetadataNameLengthMax });
    if (typeof text === 'string' && text.isWellFormed() && text.length <= metadataValueLengthMax)
      return [name, text];
    throw refused(`${where}.${name}`, `a text of at most ${metadataValueLengthMax} characters`);
  });
  // Built so that a name like "__proto__" is a name like any other.
  return Object.fromEntries(checked);
}

function readTags(value: unknown, where: string): readonly string[] {
  if (!Array.isArray(value)) throw refused(where, 'a list of texts');
  if (value.length > limits.requestTagsMax) {
    throw refused(where, `a list of at most ${limits.requestTagsMax} tags; it has ${value.length}`);
  }
  const tags = value.map((tag: unknown, index) =>
    readWord(tag, `${where}[${index}]`, 'a text', { lengthMax: limits.requestTagLengthMax }),
  );
  return [...new Set(tags)];
}

/** Refused instead of corrected: a client that is served later than it asked for would look for the fault elsewhere. */
function readPriority(value: unknown, where: string, ofKey: number): number {
  const most = limits.queuePriorityMax;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw refused(where, `a whole number from 0, the most urgent, to ${most}`);
  }
  if (value >= ofKey) return value;
  throw new SignalboxError(
    'invalid_request',
    `The ${kindOf(where)} "${where}" is ${value}, which is more urgent than this API key allows. Send a number from ${ofKey} to ${most}, leave it out, or have the operator give the key a lower "queue_priority".`,
    { param: where },
  );
}

function readWord(value: unknown, where: string, what: string, { lengthMax }: { lengthMax: number }): string {
  if (typeof value === 'string' && value.length <= lengthMax && PRINTABLE.test(value)) return value;
  throw refused(where, `${what} of 1 to ${lengthMax} printable characters`);
}

/** That nothing is kept is all there is to say yes to; whoever asks for more would take a fresh answer for a kept one. */
function refuseCaching(value: unknown, where: string): Partial<RequestOptions> {
  if (value === false || (isObject(value) && (value.mode === 'bypass' || value.mode === 'off'))) return {};
  if (value !== true && !isObject(value)) throw refused(where, 'true or false, or an object with a "mode"');
  throw new SignalboxError(
    'invalid_request',
    `The ${kindOf(where)} "${where}" asks for answers to be kept and given again, which this version does not do. Leave it out, or send false.`,
    { param: where },
  );
}

function booleanOf(text: string): unknown {
  return text === 'true' || text === 'false' ? text === 'true' : text;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused(where: string, expected: string): SignalboxError {
  return new SignalboxError('invalid_request', `The ${kindOf(where)} "${where}" has to be ${expected}.`, {
    param: where,
  });
}

function unknownOption(name: string, known: Iterable<string>): SignalboxError {
  const short = name.slice(0, limits.nameLengthMax).toWellFormed();
  const where = name.startsWith(HEADER_PREFIX) ? short : `${GATEWAY}.${short}`;
  const message = `The ${kindOf(where)} "${where}" is not known${hint(short, known)}`;
  return new SignalboxError('invalid_request', message, { param: where });
}

function kindOf(where: string): string {
  return where.startsWith(HEADER_PREFIX) ? 'header' : 'field';
}
