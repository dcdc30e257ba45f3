// What a batch used. OpenAI reports the sum with a batch that has ended; elsewhere it is added up from the lines of the results,
// as they pass on their way to a client.
import type { StreamReport, StreamTap } from '../dialects/dialect.ts';
import { readUsage as readResponseUsage } from '../dialects/openai-responses/usage.ts';
import { readUsage as readChatUsage } from '../dialects/openai-usage.ts';
import { HeldBytes } from '../framing/held-bytes.ts';
import { isObject, type JsonObject, objectOf } from '../json/values.ts';
import { inputTotal, noUsage, outputTotal, type Usage } from '../turn/usage.ts';

/** Undefined where nothing is said, or that it was nothing. */
export function usageOfBatch(batch: JsonObject): Usage | undefined {
  return readEither(batch.usage);
}

export interface ResultsTap extends StreamTap {
  /** Of all lines together; undefined where one could not be read, so that the sum is not known. */
  used(): Usage | undefined;
}

const LINE_FEED = 0x0a;
const noBytes = Buffer.alloc(0);
const report: StreamReport = Object.freeze({
  id: '',
  usage: noUsage,
  rawUsage: '',
  error: undefined,
  complete: false,
});

/** Passes every byte on as it comes. */
export function resultsTap(): ResultsTap {
  const held = new HeldBytes();
  let sum = noUsage;
  let isReadable = true;
  const take = (line: Buffer): void => {
    const used = usageOfLine(line);
    if (used) sum = added(sum, used);
  };
  const read = (bytes: Buffer): void => {
    let from = 0;
    for (let feed = bytes.indexOf(LINE_FEED); feed !== -1; feed = bytes.indexOf(LINE_FEED, from)) {
      held.append(bytes.subarray(from, feed));
      take(held.take());
      from = feed + 1;
    }
    held.append(bytes.subarray(from));
  };
  const attempt = (work: () => void): void => {
    if (!isReadable) return;
    try {
      work();
    } catch {
      isReadable = false;
    }
  };
  return {
    endsWithConnection: true,
    isBroken: false,
    push(bytes) {
      attempt(() => read(bytes));
      return bytes;
    },
    end() {
      attempt(() => take(held.take()));
      return { bytes: noBytes, report };
    },
    report: () => report,
    used: () => (isReadable && isSomething(sum) ? sum : undefined),
  };
}

/** Passes every byte on, whatever it is. */
export function contentTap(): StreamTap {
  return {
    endsWithConnection: true,
    isBroken: false,
    push: (bytes) => bytes,
    end: () => ({ bytes: noBytes, report }),
    report: () => report,
  };
}

function usageOfLine(line: Buffer): Usage | undefined {
  const text = line.toString('utf8').trim();
  if (text === '') return undefined;
  const parsed: unknown = JSON.parse(text);
  if (!isObject(parsed)) throw new TypeError('a line of results is no object');
  return readEither(objectOf(objectOf(parsed.response).body).usage);
}

/** The two namings that OpenAI's APIs have. */
function readEither(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const usage = value.input_tokens === undefined ? readChatUsage(value) : readResponseUsage(value);
  return isSomething(usage) ? usage : undefined;
}

function isSomething(usage: Usage): boolean {
  return inputTotal(usage) + outputTotal(usage) > 0;
}

function added(one: Usage, other: Usage): Usage {
  const meters = Object.keys(noUsage) as (keyof Usage)[];
  const sums = meters.map((meter) => [meter, one[meter] + other[meter]]);
  return Object.fromEntries(sums) as Record<keyof Usage, number>;
}
