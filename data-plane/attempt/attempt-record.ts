// The paper trail of one attempt: the intent is written before anything is sent, the settlement exactly once, whichever
// of the many ways an attempt can end comes first. Provider keys are counted here too, so that no path can forget it.
import type { Clock } from '#shared/clock.ts';
import type { SignalboxError } from '#shared/errors.ts';
import { uuidV7 } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { AttemptLedger, OpenAttempt, Outcome } from '../meter/ledger.ts';
import type { Task } from '../passage/task.ts';
import type { Failure } from '../routing/health/blame.ts';
import type { LimitHeaders } from '../routing/health/headroom.ts';
import { WatchedAttempt } from '../routing/health/watched-attempt.ts';
import type { KeyUsage } from '../routing/key-usage.ts';
import type { Routing } from '../routing/routing-state.ts';
import type { Deployment, ProviderKey } from '../snapshot/snapshot.ts';
import { inputTotal, outputTotal, type Usage } from '../turn/usage.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Served } from './relay.ts';

/** Whom an attempt calls, and the how-manieth attempt of its request it is. */
export interface Target {
  readonly deployment: Deployment;
  readonly key: ProviderKey | undefined;
  readonly attemptNumber: number;
  /** Why this one; empty where there was no choice. */
  readonly why?: string;
  /** To the first byte, where that is not the deployment's own time. */
  readonly timeoutMs?: number;
  /** Less time than the operator would give: running out of it says nothing of the provider. */
  readonly isHurried?: boolean;
  /** Told what it has used, by whoever has to know beside the ledger; undefined where the provider did not say. */
  readonly onSettled?: (usage: Usage | undefined) => void;
}

export type AttemptResult =
  /** The client has an answer; with an error when the answer broke off after it had begun. */
  | { readonly kind: 'answered'; readonly error: SignalboxError | undefined }
  /** The client has seen nothing of this attempt. */
  | {
      readonly kind: 'failed';
      readonly error: SignalboxError;
      readonly refusal: Refusal | undefined;
      /** Whether the provider can have got any of the request. */
      readonly wasSent: boolean;
    }
  /** There is nobody left to answer, or another attempt has answered. */
  | { readonly kind: 'cancelled' };

/** A provider's own words for "no", for callers that speak its dialect. */
export interface Refusal {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

export interface AttemptLimits {
  readonly upstreamIdleMs: number;
  readonly upstreamErrorBytesMax: number;
  readonly responseBodyBytesMax: number;
}

export interface AttemptServices {
  readonly upstream: UpstreamClient;
  readonly limits: AttemptLimits;
  readonly ledger: AttemptLedger;
  readonly keyUsage: KeyUsage;
  readonly routing: Routing;
  readonly clock: Clock;
  readonly onSettled: (provider: string, outcome: Outcome, usage: Usage | undefined) => void;
}

/** What the upstream said of an answer, as far as it got. */
export interface Findings {
  readonly id: string;
  readonly usage: Usage | undefined;
  readonly rawUsage: string;
}

export function servedBy(task: Pick<Task, 'route'>, { deployment }: Target): Served {
  return {
    model: deployment.model,
    provider: deployment.provider.name,
    route: task.route,
  };
}

/** Whether an attempt that ends for this reason was called off, and did not fail. */
export function isCalledOff({ code }: Pick<SignalboxError, 'code'>): boolean {
  return code === 'client_closed' || code === 'hedge_lost';
}

export const nothingFound: Findings = Object.freeze({ id: '', usage: undefined, rawUsage: '' });

/** How it looks to those who judge providers when one was given too little time. */
const hurried: Failure = Object.freeze({ code: 'deadline_exceeded', retryAfterMs: undefined });

/** What is written down of a task; how it is put to a deployment is not. */
export type RecordedTask = Omit<Task, 'passageTo' | 'streamError' | 'copy'>;

export class AttemptRecord {
  readonly attemptId: string;
  readonly #services: AttemptServices;
  readonly #target: Target;
  readonly #open: OpenAttempt;
  readonly #startedMs: number;
  readonly #watched: WatchedAttempt;
  #firstByteMs = 0;
  #settled = false;

  /** Throws `ledger_unavailable`; then nothing may be sent. */
  constructor(services: AttemptServices, task: RecordedTask, target: Target) {
    const { deployment, key } = target;
    const { clock } = services;
    const startedAtMs = clock.wallMs();
    this.attemptId = uuidV7(startedAtMs);
    this.#services = services;
    this.#target = target;
    this.#startedMs = clock.monotonicMs();
    this.#open = services.ledger.open({
      attemptId: this.attemptId,
      requestId: task.requestId,
      attemptNumber: target.attemptNumber,
      startedAtMs,
      keyId: task.keyId,
      requestedModel: task.requestedModel,
      route: task.route,
      model: deployment.model,
      deployment: deployment.id,
      provider: deployment.provider.name,
      providerKey: key?.id ?? '',
      upstreamModel: deployment.upstreamModel,
      operation: task.operation,
      streamed: task.isStreamed,
      tags: [...deployment.tags, ...task.tags],
      metadata: task.metadata,
      trail: (target.why ?? '').slice(0, limits.trailReasonLengthMax).toWellFormed(),
      shadow: task.isShadow === true,
    });
    if (key) services.keyUsage.countRequest(key, this.#startedMs);
    const watched = { deployment, key, isStream: task.isStreamed };
    this.#watched = new WatchedAttempt(services.routing.health, watched, this.#startedMs);
  }

  elapsedMs(): number {
    return this.#services.clock.monotonicMs() - this.#startedMs;
  }

  firstByte(): void {
    if (this.#firstByteMs !== 0) return;
    // 0 stands for "none", so the fastest answer still took a millisecond.
    this.#firstByteMs = Math.ceil(this.elapsedMs()) || 1;
    this.#watched.firstByte(this.#services.clock.monotonicMs());
  }

  /** The head of the answer, which may say what is left of the provider's limits. */
  noteHeaders(headers: LimitHeaders): void {
    this.#watched.noteHeaders(headers, this.#services.clock.monotonicMs());
  }

  /** With the error of an attempt that failed, or was broken off. */
  settle(outcome: Outcome, upstreamStatus: number, error: Failure | undefined, findings: Findings): void {
    if (this.#settled) return;
    this.#settled = true;
    const { keyUsage, clock, onSettled } = this.#services;
    const { deployment, key, isHurried } = this.#target;
    const nowMs = clock.monotonicMs();
    this.#open.settle({
      outcome,
      upstreamStatus,
      errorCode: error?.code ?? '',
      durationMs: Math.round(nowMs - this.#startedMs),
      firstByteMs: this.#firstByteMs,
      usage: findings.usage,
      rawUsage: findings.rawUsage,
      upstreamId: findings.id,
    });
    const tokens = findings.usage ? inputTotal(findings.usage) + outputTotal(findings.usage) : 0;
    if (key && findings.usage) keyUsage.countTokens(key, tokens, nowMs);
    const isNobodysFault = isHurried === true && error?.code === 'upstream_timeout';
    this.#watched.ended({ nowMs, error: isNobodysFault ? hurried : error, tokens });
    onSettled(deployment.provider.name, outcome, findings.usage);
    this.#target.onSettled?.(findings.usage);
  }
}
