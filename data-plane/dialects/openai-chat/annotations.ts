// What goes with an answer's text beside the text: where it was taken from, and how likely each token was.
import type { JsonObject } from '../../json/values.ts';
import { defined } from '../../json/values.ts';
import type { Citation, TokenLogprob } from '../../turn/events.ts';

export function annotationOf({ start, end, url, title, quote }: Citation): JsonObject {
  return {
    type: 'url_citation',
    url_citation: defined({
      url: url ?? '',
      title: title ?? '',
      start_index: start ?? 0,
      end_index: end ?? 0,
      content: quote,
    }),
  };
}

export function writeLogprobs(tokens: readonly TokenLogprob[]): JsonObject {
  const written = ({ token, logprob, bytes }: Omit<TokenLogprob, 'top'>): JsonObject => ({
    token,
    logprob,
    bytes: bytes ?? null,
  });
  const content = tokens.map(({ top, ...token }) => ({ ...written(token), top_logprobs: top.map(written) }));
  return { content, refusal: null };
}
