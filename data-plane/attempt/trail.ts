// Where a request went and why: every target that was asked, with its reason, its end and the times, and everyone who was passed over.
// Kept per request and bounded, for the log, for a caller that asks, and for whoever has to find out later.
import { limits } from '#shared/limits.ts';

interface Step {
  readonly deployment: string;
  readonly atMs: number;
  readonly why: string;
  end: string;
}

/** The end of a step that is not over. */
const ASKED = 'asked';
/** Would end a step, a header or a word of it. */
const UNSAFE = /[^\x20-\x3a\x3c-\x7e]|%/gu;

export class Trail {
  readonly #steps: Step[] = [];
  #left = 0;

  get length(): number {
    return this.#steps.length + this.#left;
  }

  /** Returns what to call when the attempt is over. */
  asked(deployment: string, why: string, atMs: number): (end: string, endedAtMs: number) => void {
    const step: Step = { deployment, atMs, why, end: ASKED };
    this.#add(step);
    return (end, endedAtMs) => {
      step.end = `${end} after ${Math.round(endedAtMs - atMs)} ms`;
    };
  }

  passedOver(deployment: string, reason: string, atMs: number): void {
    this.#add({ deployment, atMs, why: 'passed over', end: reason });
  }

  /** On one line, in ASCII; `+3` at the end stands for three more steps. */
  text(lengthMax: number): string {
    const shown: string[] = [];
    let length = 0;
    for (const { deployment, atMs, why, end } of this.#steps) {
      const step = escaped(`${deployment} at ${Math.round(atMs)} ms, ${why}: ${end}`);
      length += step.length + 2;
      // Room for the count of what is left out.
      if (length + COUNT_LENGTH > lengthMax) break;
      shown.push(step);
    }
    const left = this.length - shown.length;
    return [...shown, ...(left > 0 ? [`+${left}`] : [])].join('; ');
  }

  #add(step: Step): void {
    if (this.#steps.length < limits.trailStepsMax) this.#steps.push(step);
    else this.#left += 1;
  }
}

const COUNT_LENGTH = 8;

function escaped(text: string): string {
  return text.toWellFormed().replaceAll(UNSAFE, encodeURIComponent);
}
