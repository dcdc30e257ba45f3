// Where a request would go, and why, without sending it: the very plan and the very walk that a real request takes, over a state that
// forgets what was chosen with it. Nobody's turn is used up, no retry is spent and nothing is counted. Where lots decide, they are drawn
// several times, so that the answer says how likely it is and not only how it came out once.
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { LeftOut } from '../rules/choose.ts';
import type { ProviderKey, Route, Snapshot } from '../snapshot/snapshot.ts';
import type { Vitals } from './health/vitals.ts';
import { expectedHedgeCost } from './hedging/hedge-cost.ts';
import { type HedgeFacts, type HedgePlan, planHedge } from './hedging/hedge-plan.ts';
import type { KeyUsage } from './key-usage.ts';
import { deploymentSubject, keySubject, providerSubject } from './members.ts';
import { type Candidate, type Excluded, type Plan, type PlanOptions, planFor, refusalsOf } from './plan.ts';
import { RetryBudget } from './retry-budget.ts';
import { Targets } from './targets.ts';

export interface ExplainOptions extends PlanOptions {
  readonly snapshot: Snapshot;
  readonly name: string;
  readonly keyUsage: KeyUsage;
  readonly attemptsMax: number;
  /** Who is asked instead where all others are known to fail so; empty where nobody is. */
  readonly instead: (code: ErrorCode, plan: Plan) => readonly Candidate[];
  /** Why this candidate is left out from the start; undefined when it is not. */
  readonly exclusion: (candidate: Candidate) => SignalboxError | undefined;
  /** Why it cannot be asked for this when its turn comes; undefined when it can. */
  readonly objection: (candidate: Candidate) => SignalboxError | undefined;
  /** What decides whether it may be sent twice; absent where such requests never are. */
  readonly hedgeFacts?: () => HedgeFacts | undefined;
}

export interface Explanation {
  readonly steps: readonly NameStep[];
  /** Empty when the name led to a model. */
  readonly route: string;
  readonly fallbacks: readonly string[];
  /** What rules of the route did, in words, and whom they left out. */
  readonly rules: readonly string[];
  readonly left: readonly LeftOut[];
  /** Who would get a copy. */
  readonly mirrors: readonly string[];
  /** Why nobody can be asked, where that is because of what was left out. */
  readonly refusals: readonly SignalboxError[];
  /** In the order of preference; at the end those that were left out. */
  readonly candidates: readonly ExplainedCandidate[];
  /** Whether lots decide who is asked first. */
  readonly isByLot: boolean;
  readonly attemptsMax: number;
  readonly retriesLeft: number;
  /** Undefined where the route makes none. */
  readonly secondAttempt: HedgePlan<Candidate> | undefined;
}

export interface NameStep {
  readonly kind: 'alias' | 'route' | 'model' | 'provider' | 'pattern';
  readonly name: string;
}

export interface ExplainedCandidate extends Candidate {
  /** The place in which it would be asked if those before it failed; 0 when it would not be. */
  readonly turn: number;
  /** Why it would not be asked, or only because nobody else is left. */
  readonly passedOver: SignalboxError | undefined;
  /** How often it came first, as a share of the draws. */
  readonly firstShare: number;
  readonly deploymentVitals: Vitals;
  readonly providerVitals: Vitals;
  readonly keys: readonly ExplainedKey[];
}

export interface ExplainedKey {
  readonly id: string;
  readonly state: 'free' | 'resting' | 'at_limit';
  /** Until it is free. */
  readonly waitMs: number;
  readonly isChosen: boolean;
  readonly vitals: Vitals;
}

/** Undefined when the name means nothing here. */
export function explain(given: ExplainOptions): Explanation | undefined {
  const options = { ...given, objection: remembering(given.objection) };
  const rehearsed = rehearse(options, given.attemptsMax);
  if (rehearsed === undefined) return undefined;
  const { snapshot, state, attemptsMax, nowMs, name } = options;
  const { plan, refusals, asked } = rehearsed;
  const firsts = drawFirsts(options);
  const route = snapshot.routes.get(plan.route);
  const budget = state.rehearsal().budgetOf(plan.route === '' ? name : plan.route);
  return {
    steps: stepsOf(snapshot, name),
    route: plan.route,
    fallbacks: route?.fallbacks ?? [],
    rules: plan.trail,
    left: plan.left,
    mirrors: plan.mirrors,
    refusals,
    candidates: [
      ...inOrder(plan, asked).map((candidate) => explained(candidate, rehearsed, firsts, options)),
      ...plan.excluded.map((excluded) => leftOut(excluded, options)),
    ],
    isByLot: firsts.size > 1,
    attemptsMax,
    retriesLeft: Math.floor(budget.left(nowMs)),
    secondAttempt: route && secondAttempt(route, rehearsed, options),
  };
}

interface Rehearsal {
  readonly plan: Plan;
  readonly refusals: readonly SignalboxError[];
  /** By deployment id, in the order of asking. */
  readonly asked: ReadonlyMap<string, ProviderKey | undefined>;
  /** By deployment id: why they were not asked when it was their turn. */
  readonly refused: ReadonlyMap<string, SignalboxError>;
}

/** Everybody who is asked is said to fail in a way that leads to the next deployment, until so many have been asked. */
function rehearse(options: ExplainOptions, askedMax: number): Rehearsal | undefined {
  const { snapshot, name, keyUsage, nowMs, random, exclusion, objection } = options;
  const state = options.state.rehearsal();
  const found = planFor(snapshot, name, { ...options, state });
  if (found === undefined) return undefined;
  const refusals = refusalsOf(found);
  const instead = refusals.flatMap(({ code }) => options.instead(code, found));
  const plan = instead.length === 0 ? found : { ...found, candidates: instead };
  const asked = new Map<string, ProviderKey | undefined>();
  const refused = new Map<string, SignalboxError>();
  const targets = new Targets({
    candidates: plan.candidates.filter((candidate) => exclusion(candidate) === undefined),
    state,
    keyUsage,
    budget: unbounded(),
    nowMs: () => nowMs,
    random,
    attemptsMax: askedMax,
    onPassedOver: ({ deployment }, reason) => void refused.set(deployment.id, reason),
    onShutOff: () => {},
  });
  for (let chosen = targets.next(); chosen !== undefined; chosen = targets.next()) {
    const { candidate, key } = chosen;
    const refusal = objection(candidate);
    if (refusal === undefined) {
      asked.set(candidate.deployment.id, key);
      targets.failed(elsewhere);
    } else {
      refused.set(candidate.deployment.id, refusal);
      targets.impossible();
    }
  }
  return { plan, refusals, asked, refused };
}

const elsewhere = new SignalboxError('upstream_error', 'Another deployment is to be asked.');

/** How far the real budget reaches is told, not played. */
function unbounded(): RetryBudget {
  return new RetryBudget({ share: 0, floor: Number.POSITIVE_INFINITY, halfLifeMs: 1 });
}

/** Building a request for a provider is work, and what came out once holds for every draw. */
function remembering(objection: ExplainOptions['objection']): ExplainOptions['objection'] {
  const known = new Map<string, SignalboxError | undefined>();
  return (candidate) => {
    const { id } = candidate.deployment;
    if (!known.has(id)) known.set(id, objection(candidate));
    return known.get(id);
  };
}

/** Beside the first of those who would be asked, with what is left of the route's share. */
function secondAttempt(
  { slug, hedge }: Route,
  { plan, asked }: Rehearsal,
  options: ExplainOptions,
): HedgePlan<Candidate> | undefined {
  const { hedgeFacts, state, nowMs, request } = options;
  const [first, ...others] = inOrder(plan, asked).filter(({ deployment }) => asked.has(deployment.id));
  if (hedge === undefined || first === undefined) return undefined;
  const planned = planHedge({
    settings: hedge,
    facts: hedgeFacts?.(),
    first,
    others: others.filter((candidate) => !whyShutOff(candidate, options)),
    vitals: state.health.read(deploymentSubject(first.deployment), nowMs),
  });
  if (planned.kind === 'none') return planned;
  const budget = state.rehearsal().hedgesOf(slug);
  const expected = expectedHedgeCost(planned.target.deployment, request, budget, nowMs);
  if (budget.hasRoom(hedge, expected, nowMs)) return planned;
  const why = 'the route has none left just now: they are a share of its requests and of what those cost';
  return { kind: 'none', why };
}

/** How often each came first, by deployment id. */
function drawFirsts(options: ExplainOptions): ReadonlyMap<string, number> {
  const firsts = new Map<string, number>();
  for (let draw = 0; draw < limits.explainDraws; draw += 1) {
    const [first] = rehearse(options, 1)?.asked.keys() ?? [];
    if (first !== undefined) firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  return firsts;
}

/** Those who would be asked as they would be, then the others as they were preferred. */
function inOrder({ candidates }: Plan, asked: Rehearsal['asked']): readonly Candidate[] {
  const byId = new Map(candidates.map((candidate) => [candidate.deployment.id, candidate]));
  const first = [...asked.keys()].flatMap((id) => byId.get(id) ?? []);
  return [...first, ...candidates.filter(({ deployment }) => !asked.has(deployment.id))];
}

function explained(
  candidate: Candidate,
  { asked, refused }: Rehearsal,
  firsts: ReadonlyMap<string, number>,
  options: ExplainOptions,
): ExplainedCandidate {
  const { id } = candidate.deployment;
  const { attemptsMax } = options;
  const turn = [...asked.keys()].indexOf(id) + 1;
  return {
    ...candidate,
    turn,
    passedOver:
      options.exclusion(candidate) ??
      refused.get(id) ??
      whyShutOff(candidate, options) ??
      (turn === 0 ? tooLate(attemptsMax) : undefined),
    firstShare: (firsts.get(id) ?? 0) / limits.explainDraws,
    ...known(candidate, asked.get(id), options),
  };
}

/** Nobody had to put it in order. */
function leftOut(excluded: Excluded, options: ExplainOptions): ExplainedCandidate {
  const { deployment, via, reason } = excluded;
  const place = { deployment, via, strategy: '', score: Number.POSITIVE_INFINITY, why: '' };
  return { ...place, turn: 0, passedOver: reason, firstShare: 0, ...known(excluded, undefined, options) };
}

function known(
  { deployment }: Pick<Candidate, 'deployment'>,
  chosen: ProviderKey | undefined,
  options: ExplainOptions,
): Pick<ExplainedCandidate, 'deploymentVitals' | 'providerVitals' | 'keys'> {
  const { state, nowMs } = options;
  return {
    deploymentVitals: state.health.read(deploymentSubject(deployment), nowMs),
    providerVitals: state.health.read(providerSubject(deployment), nowMs),
    keys: deployment.provider.keys.map((key) => explainedKey(key, chosen, options)),
  };
}

function explainedKey(
  key: ProviderKey,
  chosen: ProviderKey | undefined,
  { state: { health }, keyUsage, nowMs }: ExplainOptions,
): ExplainedKey {
  const restMs = health.restMs(keySubject(key), nowMs);
  const limitMs = keyUsage.waitMs(key, nowMs);
  return {
    id: key.id,
    state: restMs > 0 ? 'resting' : limitMs > 0 ? 'at_limit' : 'free',
    waitMs: Math.max(restMs, limitMs),
    isChosen: key === chosen,
    vitals: health.read(keySubject(key), nowMs),
  };
}

function whyShutOff(
  { deployment }: Candidate,
  { state: { health }, nowMs }: ExplainOptions,
): SignalboxError | undefined {
  const whom = [
    { subject: deploymentSubject(deployment), what: `deployment "${deployment.id}"` },
    { subject: providerSubject(deployment), what: `provider "${deployment.provider.name}"` },
  ];
  const ill = whom.find(({ subject }) => !health.isAvailable(subject, nowMs));
  if (ill === undefined) return undefined;
  const restMs = health.restMs(ill.subject, nowMs);
  if (restMs > 0) {
    const text = `The ${ill.what} is resting for another ${seconds(restMs)}: a limit was reached or it asked to be left alone.`;
    return new SignalboxError('upstream_rate_limited', text, { retryAfterMs: restMs });
  }
  const { breaker, coolingUntilMs, consecutiveFailures } = health.read(ill.subject, nowMs);
  const reasons = {
    open: `has its breaker open for another ${seconds(coolingUntilMs - nowMs)} after ${consecutiveFailures} failures in a row`,
    'half-open': 'is on trial after failures, and as many requests as it may have then are under way',
    closed: 'is avoided because other data planes find it ill',
  };
  return new SignalboxError('upstream_error', `The ${ill.what} ${reasons[breaker]}.`);
}

function tooLate(attemptsMax: number): SignalboxError {
  return new SignalboxError(
    'upstream_error',
    `It comes after the ${attemptsMax} that one request may ask at most.`,
  );
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

/** How the name is understood, in the order of resolve.ts. */
function stepsOf({ aliases, routes, models, providers }: Snapshot, asked: string): readonly NameStep[] {
  const steps: NameStep[] = [];
  let name = asked;
  for (let next = aliases.get(name); next !== undefined; next = aliases.get(name)) {
    steps.push({ kind: 'alias', name });
    name = next;
  }
  const kinds = [
    { kind: 'route', is: () => routes.has(name) },
    { kind: 'model', is: () => models.has(name) },
    { kind: 'provider', is: () => name.includes('/') && providers.has(name.slice(0, name.indexOf('/'))) },
    { kind: 'pattern', is: () => true },
  ] as const;
  return [...steps, { kind: kinds.find(({ is }) => is())!.kind, name }];
}
