// What a route says of failing over, made ready for one request: how long one attempt may take, and who is asked instead when a prompt
// was too long or a filter refused it. Those are planned only when it comes to that.
import type { ErrorCode } from '#shared/errors.ts';
import { type Candidate, type Plan, type PlanOptions, planFor } from '../../routing/plan.ts';
import type { Route, Snapshot } from '../../snapshot/snapshot.ts';

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
  /** What the caller gave the request. */
  readonly timeoutMs: number | undefined;
  /** As it was planned with. */
  readonly options: PlanOptions;
  readonly mayAnswer: (candidate: Candidate) => boolean;
}

const instead: Partial<Record<ErrorCode, 'contextWindowFallbacks' | 'contentPolicyFallbacks'>> = {
  context_length_exceeded: 'contextWindowFallbacks',
  content_filtered: 'contentPolicyFallbacks',
};

export function failoverRules(plan: Plan, request: RuledRequest): FailoverRules {
  const { snapshot, timeoutMs } = request;
  const route = snapshot.routes.get(plan.route);
  const totalMs = shorterOf(timeoutMs, route);
  const multiple = route?.failoverTimeoutMultiple ?? 1;
  return {
    route,
    attemptTimeoutMs: totalMs === undefined || multiple >= 1 ? undefined : Math.ceil(totalMs * multiple),
    isHurried: timeoutMs !== undefined && totalMs === timeoutMs,
    continuesStreams: route?.streamRecovery === 'continue',
    insteadAfter: (code) => {
      const list = instead[code];
      return list === undefined || plan.isPinned ? [] : planned(plan, request, route?.[list] ?? []);
    },
  };
}

/** The deadline of a request: the caller's or the route's, whichever comes first. */
export function shorterOf(timeoutMs: number | undefined, route: Route | undefined): number | undefined {
  const ofRoute = route === undefined || route.timeoutMs === 0 ? undefined : route.timeoutMs;
  if (timeoutMs === undefined || ofRoute === undefined) return timeoutMs ?? ofRoute;
  return Math.min(timeoutMs, ofRoute);
}

/** What the rules of the route forbid holds for these, too. */
function planned(
  { restrictions }: Plan,
  { snapshot, options, mayAnswer }: RuledRequest,
  names: readonly string[],
): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  for (const name of names) {
    for (const candidate of planFor(snapshot, name, { ...options, restrictions })?.candidates ?? []) {
      const { id } = candidate.deployment;
      if (mayAnswer(candidate) && !found.has(id)) found.set(id, candidate);
    }
  }
  return [...found.values()];
}
