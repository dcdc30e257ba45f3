// Where attempts are written down, first here and then everywhere. `open` must return before the upstream is called and
// `settle` before the client's answer completes: then a process killed at any moment has a trace of whatever reached a
// provider.
import type { ErrorCode } from '#shared/errors.ts';
import type { Usage } from '../turn/usage.ts';

export type Outcome = 'completed' | 'failed' | 'cancelled';

/** What is known before the upstream is called. */
export interface Intent {
  readonly attemptId: string;
  readonly requestId: string;
  readonly attemptNumber: number;
  readonly startedAtMs: number;
  readonly keyId: string;
  readonly requestedModel: string;
  readonly route: string;
  readonly model: string;
  readonly deployment: string;
  readonly provider: string;
  readonly providerKey: string;
  readonly upstreamModel: string;
  readonly operation: string;
  readonly streamed: boolean;
  readonly tags: readonly string[];
  /** The client's own words about the request. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Why this target was asked; empty where there was no choice. */
  readonly trail: string;
  /** A copy of a request, whose answer nobody is given. */
  readonly shadow: boolean;
}

/** What is known afterwards. */
export interface Settlement {
  readonly outcome: Outcome;
  readonly upstreamStatus: number;
  readonly errorCode: ErrorCode | '';
  readonly durationMs: number;
  readonly firstByteMs: number;
  readonly usage: Usage | undefined;
  readonly rawUsage: string;
  readonly upstreamId: string;
}

export interface AttemptLedger {
  /** Throws `ledger_unavailable` when it cannot be written: then nothing may be sent upstream. */
  open(intent: Intent): OpenAttempt;
}

export interface OpenAttempt {
  /** Only the first call counts. */
  settle(settlement: Settlement): void;
}
