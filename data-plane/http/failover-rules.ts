// What a route says of failing over, made ready for one request: how long one attempt may take, and who is asked instead when a prompt
// was too long or a filter refused it. Those are planned only when it comes to that.
import type { ErrorCode } from '#shared/errors.ts';
import { type Candidate, type PlanOptions, planFor } from '../routing/plan.ts';
import type { Route, Snapshot } from '../snapshot/snapshot.ts';

export interface FailoverRules {
  /** Undefined where the caller named a model. */
  readonly route: Route | undefined;
  /** To the first byte of one attempt; undefined where only the deployment's own time counts. */
  readonly attemptTimeoutMs: number | undefined;
  /** Whether the caller made the time shorter than the operator would: then running out of it is nobody's fault. */
  readonly isHurried: boolean;
  /** Whether another target goes on where a stream breaks off. */
  readonly continuesStreams: boolean;
  /** Who is asked instead after such a failure, which is nobody's fault but the prompt's; empty where nobody is. */
  insteadAfter(code: ErrorCode): readonly Candidate[];
}

export interface RuledRequest {
  readonly snapshot: Snapshot;
  /** Undefined where the caller named a model. */
  readonly route: Route | undefined;
  /** What the caller gave the request. */
  readonly timeoutMs: number | undefined;
  /** Whether a rule says that nobody else is to be asked. */
  readonly isPinned: boolean;
  /** With what the rules of the route forbid. */
  readonly plan: PlanOptions;
  readonly mayAnswer: (candidate: Candidate) => boolean;
}

const instead: Partial<Record<ErrorCode, 'contextWindowFallbacks' | 'contentPolicyFallbacks'>> = {
  context_length_exceeded: 'contextWindowFallbacks',
  content_filtered: 'contentPolicyFallbacks',
};

export function failoverRules(request: RuledRequest): FailoverRules {
  const { route, timeoutMs } = request;
  const totalMs = shorterOf(timeoutMs, route);
  const multiple = route?.failoverTimeoutMultiple ?? 1;
  return {
    route,
    attemptTimeoutMs: totalMs === undefined || multiple >= 1 ? undefined : Math.ceil(totalMs * multiple),
    isHurried: timeoutMs !== undefined && totalMs === timeoutMs,
    continuesStreams: route?.streamRecovery === 'continue',
    insteadAfter: (code) => {
      const list = instead[code];
      return list === undefined || request.isPinned ? [] : planned(request, route?.[list] ?? []);
    },
  };
}

/** The deadline of a request: the caller's or the route's, whichever comes first. */
export function shorterOf(timeoutMs: number | undefined, route: Route | undefined): number | undefined {
  const ofRoute = route === undefined || route.timeoutMs === 0 ? undefined : route.timeoutMs;
  if (timeoutMs === undefined || ofRoute === undefined) return timeoutMs ?? ofRoute;
  return Math.min(timeoutMs, ofRoute);
}

function planned(
  { snapshot, plan, mayAnswer }: RuledRequest,
  names: readonly string[],
): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  for (const name of names) {
    for (const candidate of planFor(snapshot, name, plan)?.candidates ?? []) {
      const { id } = candidate.deployment;
      if (mayAnswer(candidate) && !found.has(id)) found.set(id, candidate);
    }
  }
  return [...found.values()];
}
