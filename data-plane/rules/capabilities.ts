// What a request needs and what a deployment can do. Whoever is not known to be able to do something is filtered out before it is asked,
// with a reason; of whom nothing is said, everything is believed.
import { type Capability, isCapability } from '#shared/capabilities.ts';

export interface Abilities {
  /** Undefined when nobody said: then it can do everything. */
  readonly can: ReadonlySet<Capability> | undefined;
  /** How many tokens it takes; 0 when nobody said. */
  readonly contextTokens: number;
}

/** What it cannot do, in words that follow its name. */
export interface Inability {
  readonly kind: 'need' | 'size';
  readonly why: string;
}

/** Read only where something is said of whom it is asked of: to find it out may be work. */
export interface Wants {
  readonly needs: ReadonlySet<Capability>;
  /** What is counted or guessed of the request's own tokens. */
  readonly inputTokens: number;
}

/** Tokens are estimated; only what would not fit even if the estimate were this much too high is known not to fit. */
const ESTIMATE_TOO_HIGH_MAX = 1.25;

/** Undefined, and nothing to filter by, when nothing is said. Names that this build does not know are other builds' business. */
export function compileAbilities({
  abilities,
  contextTokens,
}: {
  readonly abilities?: { readonly names: readonly string[] } | undefined;
  readonly contextTokens: bigint;
}): Abilities | undefined {
  if (abilities === undefined && contextTokens === 0n) return undefined;
  const can = abilities && new Set(abilities.names.filter(isCapability));
  // Whoever keeps to a schema can answer in JSON.
  if (can?.has('json_schema')) can.add('json');
  return Object.freeze({ can, contextTokens: Number(contextTokens) });
}

/** Why it cannot answer; undefined when it can. */
export function whyUnable(abilities: Abilities | undefined, wants: Wants): Inability | undefined {
  if (abilities === undefined) return undefined;
  const { can, contextTokens } = abilities;
  const missing = can === undefined ? [] : [...wants.needs].filter((need) => !can.has(need));
  if (missing.length > 0) return { kind: 'need', why: `cannot do ${missing.join(', ')}` };
  if (contextTokens > 0 && wants.inputTokens > contextTokens * ESTIMATE_TOO_HIGH_MAX) {
    const why = `takes ${contextTokens} tokens, and the request has about ${Math.round(wants.inputTokens)}`;
    return { kind: 'size', why };
  }
  return undefined;
}
