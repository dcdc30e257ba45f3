// The requests of a batch: one per line, each naming a model as every request does. They are read when the file is uploaded, because
// nobody here sees them again: every name is checked against the key, and replaced by what the provider calls that model. The
// other bytes stay as they are. Long files are read in slices, so that requests in between get their turn.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { Slices } from '#shared/slices.ts';
import { findText, textPath } from '../json/find-text.ts';
import { stringAt } from '../json/scan.ts';

export interface BatchInputLimits {
  readonly batchLinesMax: number;
  readonly batchModelsMax: number;
}

export interface BatchInputOptions {
  readonly limits: BatchInputLimits;
  readonly clock: Clock;
  /** What the provider calls a model. Throws what keeps the key from using it there. */
  readonly upstreamModel: (name: string) => string;
}

export interface CheckedBatchInput {
  readonly content: readonly Buffer[];
  /** As the caller wrote them, in order of appearance. */
  readonly models: readonly string[];
}

const LINE_FEED = 0x0a;
const modelPath = textPath('body', 'model');
const BLANK = /^\s*$/;
/** Pieces of a few bytes are put together before they are sent. */
const PIECE_BYTES = 1024 * 1024;

export async function checkBatchInput(file: Buffer, options: BatchInputOptions): Promise<CheckedBatchInput> {
  const { batchLinesMax, batchModelsMax } = options.limits;
  const slices = new Slices(options.clock);
  const names = new Map<string, string>();
  const content = new Pieces();
  let lines = 0;
  let copied = 0;
  for (let start = 0; start < file.length; ) {
    const feed = file.indexOf(LINE_FEED, start);
    const end = feed === -1 ? file.length : feed;
    if (!isBlank(file, start, end)) {
      lines += 1;
      if (lines > batchLinesMax) throw tooMany('lines', batchLinesMax);
      const { model, place } = modelOf(file, start, end, lines);
      if (!names.has(model)) names.set(model, upstreamNameOf(model, lines, options));
      if (names.size > batchModelsMax) throw tooMany('models', batchModelsMax);
      const name = names.get(model)!;
      if (name !== model) {
        content.add(file.subarray(copied, place.start), Buffer.from(JSON.stringify(name)));
        copied = place.end;
      }
    }
    start = end + 1;
    if (slices.due) await slices.rest();
  }
  if (lines === 0)
    throw new SignalboxError('invalid_request', 'The batch file has no requests.', { param: 'file' });
  content.add(file.subarray(copied));
  return { content: content.finish(), models: [...names.keys()] };
}

function isBlank(file: Buffer, start: number, end: number): boolean {
  return end - start < 3 && BLANK.test(file.toString('latin1', start, end));
}

function modelOf(file: Buffer, start: number, end: number, line: number) {
  try {
    const place = findText(file, modelPath, { start, end });
    if (place === undefined) throw unnamed();
    return { model: stringAt(file, place), place };
  } catch (thrown) {
    throw atLine(thrown, line);
  }
}

function upstreamNameOf(model: string, line: number, { upstreamModel }: BatchInputOptions): string {
  try {
    return upstreamModel(model);
  } catch (thrown) {
    throw atLine(thrown, line);
  }
}

function atLine(thrown: unknown, line: number): SignalboxError {
  const error = SignalboxError.from(thrown);
  return new SignalboxError(error.code, `Line ${line} of the batch file: ${error.message}`, {
    cause: thrown,
    param: 'file',
  });
}

function unnamed(): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    'A request of a batch has to name a model: {"custom_id": …, "method": "POST", "url": …, "body": {"model": …}}.',
  );
}

function tooMany(what: string, most: number): SignalboxError {
  return new SignalboxError(
    'request_too_large',
    `The batch file has more than ${most} ${what}. Divide it into several.`,
    { param: 'file' },
  );
}

class Pieces {
  readonly #finished: Buffer[] = [];
  #waiting: Buffer[] = [];
  #bytes = 0;

  add(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.#waiting.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#bytes >= PIECE_BYTES) this.#gather();
  }

  finish(): readonly Buffer[] {
    this.#gather();
    return this.#finished;
  }

  #gather(): void {
    if (this.#bytes > 0)
      this.#finished.push(this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#bytes = 0;
  }
}
