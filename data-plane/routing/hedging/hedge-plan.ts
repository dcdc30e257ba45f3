// Whether a request that is slow to begin gets a second attempt beside the first, after how long, and where. Pure: what is known goes in,
// a plan or the reason against one comes out.
//
// The usual delay is the time within which nineteen of twenty answers of whom is asked have begun. That is known of streams: whole
// answers take as long as they are long, so they are hedged only after a delay that somebody has set. What must not happen twice is
// never hedged: a second attempt may be cancelled, but not undone.
import { limits } from '#shared/limits.ts';
import type { HedgeSettings } from '../../snapshot/snapshot.ts';
import type { Vitals } from '../health/vitals.ts';

/** What decides whether a request may be sent twice. */
export interface HedgeFacts {
  readonly isStream: boolean;
  /** How many answers are asked for. */
  readonly choices: number;
  /** Whether the provider is to keep the answer, for a client that will ask for it later. */
  readonly isKept: boolean;
  /** Whether something beyond an answer comes of it: a file, a batch, a tool that the provider itself runs. */
  readonly hasEffects: boolean;
  /** Whether it refers to what only one provider has: an earlier answer, an uploaded file. */
  readonly isBound: boolean;
}

export interface HedgeTarget {
  readonly deployment: { readonly id: string; readonly provider: { readonly name: string } };
}

export interface HedgeInput<Target extends HedgeTarget> {
  readonly settings: HedgeSettings | undefined;
  /** Undefined for a kind of request that is never sent twice. */
  readonly facts: HedgeFacts | undefined;
  readonly first: Target;
  /** Who else could be asked now, best first. */
  readonly others: readonly Target[];
  /** Of the deployment that is asked first. */
  readonly vitals: Vitals;
}

export type HedgePlan<Target extends HedgeTarget> =
  | { readonly kind: 'hedge'; readonly delayMs: number; readonly target: Target }
  | { readonly kind: 'none'; readonly why: string };

/** The reasons against sending a request twice. */
const obstacles: readonly { readonly stands: (facts: HedgeFacts) => boolean; readonly why: string }[] = [
  { stands: ({ hasEffects }) => hasEffects, why: 'it does something that must not happen twice' },
  { stands: ({ isKept }) => isKept, why: 'its answer is kept by the provider' },
  { stands: ({ isBound }) => isBound, why: 'it refers to what only one provider has' },
  { stands: ({ choices }) => choices > 1, why: 'it asks for several answers, each of which costs' },
];

export function planHedge<Target extends HedgeTarget>(input: HedgeInput<Target>): HedgePlan<Target> {
  const { settings, facts, first, others } = input;
  if (settings === undefined) return none('the route does not hedge');
  if (facts === undefined) return none('requests of this kind are never sent twice');
  const obstacle = obstacles.find(({ stands }) => stands(facts));
  if (obstacle !== undefined) return none(obstacle.why);
  const [target] = besideOrder(first, others);
  if (target === undefined) return none('there is nobody else to ask');
  const delayMs = settings.delayMs ?? usualDelayMs(facts, input.vitals);
  if (typeof delayMs === 'string') return none(delayMs);
  return { kind: 'hedge', delayMs: Math.max(delayMs, limits.hedgeDelayMsMin), target };
}

/** Who is asked beside the first, best first. Elsewhere where possible: what slows one deployment of a provider often slows the others. */
export function besideOrder<Target extends HedgeTarget>(
  first: Target,
  others: readonly Target[],
): readonly Target[] {
  const { id, provider } = first.deployment;
  const rest = others.filter(({ deployment }) => deployment.id !== id);
  const isElsewhere = ({ deployment }: Target): boolean => deployment.provider.name !== provider.name;
  return [...rest.filter(isElsewhere), ...rest.filter((target) => !isElsewhere(target))];
}

/** Or why it is not known. */
function usualDelayMs({ isStream }: HedgeFacts, vitals: Vitals): number | string {
  if (!isStream) return 'how long a whole answer takes is not known beforehand';
  const { firstByteP95Ms, weight } = vitals;
  if (firstByteP95Ms === undefined || weight < limits.hedgeEvidenceMin) {
    return 'too little is known of how fast it usually is';
  }
  return firstByteP95Ms;
}

function none(why: string): { readonly kind: 'none'; readonly why: string } {
  return { kind: 'none', why };
}
