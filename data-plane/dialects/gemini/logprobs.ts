// How likely each token was, both ways: Google lists what was chosen and the likeliest side by side.
import { type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { TokenLogprob } from '../../turn/events.ts';
import { named } from './wire.ts';

export function readLogprobs(result: unknown): readonly TokenLogprob[] {
  const { chosenCandidates, topCandidates } = named(result);
  const tops = objectsIn(topCandidates).map((place) => objectsIn(named(place).candidates).map(tokenOf));
  return objectsIn(chosenCandidates).map((chosen, index) => ({ ...tokenOf(chosen), top: tops[index] ?? [] }));
}

function tokenOf(wire: JsonObject): Omit<TokenLogprob, 'top'> {
  const { token, logProbability } = named(wire);
  return { token: textOf(token), logprob: typeof logProbability === 'number' ? logProbability : 0 };
}

export function writeLogprobs(tokens: readonly TokenLogprob[]): JsonObject {
  const write = ({ token, logprob }: Omit<TokenLogprob, 'top'>): JsonObject => ({
    token,
    logProbability: logprob,
  });
  return {
    topCandidates: tokens.map(({ top }) => ({ candidates: top.map(write) })),
    chosenCandidates: tokens.map(write),
  };
}
