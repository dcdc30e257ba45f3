// Members and their figures as strategies are given them, with only what matters to a test.
import { unknownVitals, type Vitals } from '#data-plane/routing/health/vitals.ts';
import type { Member, StrategyInput } from '#data-plane/routing/strategies/strategy.ts';

export function vitalsOf(id: string, sketch: Partial<Vitals> = {}): Vitals {
  return { ...unknownVitals(`deployment:${id}`), ...sketch };
}

export interface MemberSketch extends Partial<Omit<Member, 'id' | 'vitals'>> {
  readonly vitals?: Partial<Vitals>;
}

export function memberOf(id: string, { vitals, ...sketch }: MemberSketch = {}): Member {
  return {
    id,
    weight: 1,
    priority: 1,
    isNear: false,
    requestsPerMinuteMax: 0,
    tokensPerMinuteMax: 0,
    price: undefined,
    ...sketch,
    vitals: vitalsOf(id, vitals),
  };
}

export function inputOf(sketch: Partial<StrategyInput> = {}): StrategyInput {
  return {
    nowMs: 0,
    random: () => 0.5,
    isStream: true,
    inputTokens: 1000,
    outputTokensExpected: 200,
    affinity: '',
    cachedTokens: () => 0,
    memory: { turns: new Map() },
    ...sketch,
  };
}

/** The same numbers for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
