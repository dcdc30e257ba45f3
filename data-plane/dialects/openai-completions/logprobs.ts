// How likely each token was, in the older form: four lists of the same length, where chat has a list of tokens.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { TokenLogprob } from '../../turn/events.ts';

/** `offset` is where the first of these tokens stands in the text of its choice. */
export function writeLogprobs(tokens: readonly TokenLogprob[], offset: number): JsonObject {
  let next = offset;
  const starts = tokens.map(({ token }) => {
    const start = next;
    next += token.length;
    return start;
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: starts,
  };
}

/** The first token of an echoed prompt has no likelihood, as nothing stands before it; it is left out. */
export function readLogprobs(wire: unknown): readonly TokenLogprob[] {
  if (!isObject(wire) || !Array.isArray(wire.tokens)) return [];
  const values = listOf(wire.token_logprobs);
  const tops = listOf(wire.top_logprobs);
  return wire.tokens.flatMap((token, index): TokenLogprob[] => {
    const logprob = values[index];
    if (typeof token !== 'string' || typeof logprob !== 'number') return [];
    return [{ token, logprob, top: topOf(tops[index]) }];
  });
}

function topOf(wire: unknown): TokenLogprob['top'] {
  return Object.entries(objectOf(wire)).flatMap(([token, logprob]) =>
    typeof logprob === 'number' ? [{ token, logprob }] : [],
  );
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
