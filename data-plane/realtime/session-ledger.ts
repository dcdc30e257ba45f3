// The paper trail of a session. Opening it was an attempt, which ends with it and costs nothing by itself; each response is
// another, journaled when the provider says that it has begun and settled before the client hears that it has ended. A process
// that dies in between leaves the response as interrupted, as it does with any answer.
import { SignalboxError } from '#shared/errors.ts';
import {
  AttemptRecord,
  type AttemptServices,
  type Findings,
  type RecordedTask,
  type Target,
} from '../attempt/attempt-record.ts';
import type { Outcome } from '../meter/ledger.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import { type FoundUsage, noUsage } from '../turn/usage.ts';
import type { ServerEvent } from './server-event.ts';

export interface SessionLedgerOptions {
  readonly services: AttemptServices;
  readonly task: RecordedTask;
  readonly target: Target;
  /** The attempt that opened the session. */
  readonly opening: AttemptRecord;
}

/** What the handshake of a WebSocket ends with. */
const SWITCHING_PROTOCOLS = 101;
/** Responses that one session has open at a time; providers allow a few beside the conversation's own. */
const OPEN_RESPONSES_MAX = 64;

const nothingUsed: Findings = Object.freeze({ id: '', usage: noUsage, rawUsage: '' });

/** A response that nobody ended. */
const leftOpen = { code: 'client_closed', retryAfterMs: undefined } as const;

export class SessionLedger {
  readonly #options: SessionLedgerOptions;
  readonly #open = new Map<string, AttemptRecord>();
  /** Which model writes down what was said; the events that bring its usage do not name it. */
  #transcription: Deployment | undefined;
  #attemptNumber: number;

  constructor(options: SessionLedgerOptions) {
    this.#options = options;
    this.#attemptNumber = options.target.attemptNumber;
  }

  transcribeWith(deployment: Deployment): void {
    this.#transcription = deployment;
  }

  /** Throws `ledger_unavailable` when it cannot be written down; the session cannot go on then. */
  take(event: ServerEvent): void {
    if (event.type === 'response-start') this.#start(event.id);
    else if (event.type === 'response-end') this.#end(event);
    else if (event.type === 'transcription-end') this.#transcribed(event);
  }

  /** The session is over; what was open has no usage that anybody knows. */
  close(outcome: Outcome, error: SignalboxError | undefined): void {
    const openOutcome = outcome === 'completed' ? 'cancelled' : outcome;
    for (const [id, record] of this.#open) {
      record.settle(openOutcome, SWITCHING_PROTOCOLS, error ?? leftOpen, findingsOf(id, undefined));
    }
    this.#open.clear();
    this.#options.opening.settle(outcome, SWITCHING_PROTOCOLS, error, nothingUsed);
  }

  #start(id: string): void {
    if (this.#open.has(id)) return;
    if (this.#open.size >= OPEN_RESPONSES_MAX) {
      throw new SignalboxError(
        'upstream_invalid',
        `The provider began more than ${OPEN_RESPONSES_MAX} responses without ending one.`,
      );
    }
    this.#open.set(id, this.#record(this.#options.target.deployment));
  }

  #end({ id, outcome, errorCode, found }: Extract<ServerEvent, { type: 'response-end' }>): void {
    const record = this.#open.get(id) ?? this.#record(this.#options.target.deployment);
    this.#open.delete(id);
    record.firstByte();
    const failure = errorCode === '' ? undefined : { code: errorCode, retryAfterMs: undefined };
    record.settle(outcome, SWITCHING_PROTOCOLS, failure, findingsOf(id, found));
  }

  #transcribed({ id, found }: Extract<ServerEvent, { type: 'transcription-end' }>): void {
    const record = this.#record(this.#transcription ?? this.#options.target.deployment);
    record.settle('completed', SWITCHING_PROTOCOLS, undefined, findingsOf(id, found));
  }

  #record(deployment: Deployment): AttemptRecord {
    const { services, task, target } = this.#options;
    this.#attemptNumber += 1;
    const requestedModel = deployment === target.deployment ? task.requestedModel : deployment.model;
    return new AttemptRecord(
      services,
      { ...task, requestedModel },
      { ...target, deployment, attemptNumber: this.#attemptNumber },
    );
  }
}

function findingsOf(id: string, found: FoundUsage | undefined): Findings {
  return { id, usage: found?.usage, rawUsage: found?.raw ?? '' };
}
