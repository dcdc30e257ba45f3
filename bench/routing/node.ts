// One gateway node of the simulation: what it remembers is the real routing state, whom it asks is decided by the real plan, targets,
// strategies and retry budget; only the connection to a provider is simulated.

import { WatchedAttempt } from '#data-plane/routing/health/watched-attempt.ts';
import { KeyUsage } from '#data-plane/routing/key-usage.ts';
import { planFor } from '#data-plane/routing/plan.ts';
import { RoutingState } from '#data-plane/routing/routing-state.ts';
import { type ChosenTarget, Targets } from '#data-plane/routing/targets.ts';
import type { Snapshot } from '#data-plane/snapshot/snapshot.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { routedOf } from '#test/harness/route-rules.ts';
import type { SimulatedClock, Timer } from './clock.ts';
import type { Server } from './server.ts';
import type { SimulatedRequest } from './traffic.ts';

export const MODEL = 'chat';

export interface NodeOptions {
  readonly clock: SimulatedClock;
  readonly snapshot: Snapshot;
  /** By deployment id. */
  readonly servers: ReadonlyMap<string, Server>;
  readonly random: () => number;
}

/** What became of a request, as its client saw it. */
export interface Trace {
  readonly request: SimulatedRequest;
  readonly attempts: { readonly deployment: string; readonly atMs: number }[];
  /** Since the request arrived. */
  firstByteMs: number | undefined;
  wholeMs: number | undefined;
  error: SignalboxError | undefined;
}

export class Node {
  readonly state = new RoutingState();
  readonly #options: NodeOptions;
  readonly #keyUsage = new KeyUsage();

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  answer(request: SimulatedRequest): Trace {
    const { clock, snapshot, random } = this.#options;
    const trace: Trace = {
      request,
      attempts: [],
      firstByteMs: undefined,
      wholeMs: undefined,
      error: undefined,
    };
    const budget = this.state.budgetOf(MODEL);
    budget.request(clock.nowMs);
    const plan = planFor(snapshot, MODEL, {
      state: this.state,
      random,
      nowMs: clock.nowMs,
      request: routedOf({
        isStream: request.isStream,
        inputTokens: request.inputTokens,
        outputTokensExpected: request.outputTokens,
        affinity: () => request.conversation,
      }),
    });
    const targets = new Targets({
      candidates: plan!.candidates,
      state: this.state,
      keyUsage: this.#keyUsage,
      budget,
      nowMs: () => clock.nowMs,
      random,
      attemptsMax: limits.attemptsPerRequestMax,
      onPassedOver: (_, reason) => {
        trace.error = reason;
      },
    });
    this.#askNext(targets, trace);
    return trace;
  }

  #askNext(targets: Targets, trace: Trace): void {
    const target = targets.next();
    if (target === undefined) {
      trace.error ??= new SignalboxError('overloaded', 'There was nobody to ask.');
      return;
    }
    this.#ask(target, trace, (error, wasSent) => {
      trace.error = error;
      if (trace.firstByteMs !== undefined) return;
      targets.failed(error, { wasSent });
      this.#askNext(targets, trace);
    });
  }

  #ask(
    target: ChosenTarget,
    trace: Trace,
    onFailed: (error: SignalboxError, wasSent: boolean) => void,
  ): void {
    const { clock, servers } = this.#options;
    const { request } = trace;
    const { deployment } = target.candidate;
    const server = servers.get(deployment.id)!;
    const keyId = target.key?.id ?? '';
    const watched = new WatchedAttempt(
      this.state.health,
      { deployment, key: target.key, isStream: request.isStream },
      clock.nowMs,
    );
    const sinceArrivalMs = () => clock.nowMs - request.arrivesMs;
    let deadline: Timer | undefined;
    const end = (error: SignalboxError | undefined) => {
      deadline?.cancel();
      const tokens = error === undefined ? request.inputTokens + request.outputTokens : 0;
      watched.ended({ nowMs: clock.nowMs, error, tokens });
      const headroom = server.headroom(keyId);
      if (headroom !== undefined) watched.noteHeadroom(headroom, clock.nowMs);
    };
    trace.attempts.push({ deployment: deployment.id, atMs: clock.nowMs });
    const call = server.ask(request, keyId, {
      firstByte: () => {
        deadline?.cancel();
        trace.firstByteMs = sinceArrivalMs();
        watched.firstByte(clock.nowMs);
      },
      completed: () => {
        trace.wholeMs = sinceArrivalMs();
        trace.error = undefined;
        end(undefined);
        this.state.warm.answered({
          affinity: request.conversation,
          places: [deployment.id],
          inputTokens: request.inputTokens,
          nowMs: clock.nowMs,
        });
      },
      failed: (error, wasSent) => {
        end(error);
        onFailed(error, wasSent);
      },
    });
    deadline = clock.after(deployment.timeoutMs, () => {
      call.cancel();
      const error = new SignalboxError('upstream_timeout', 'No answer in time.');
      end(error);
      onFailed(error, true);
    });
  }
}
