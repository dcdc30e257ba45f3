// What goes with an answer's text beside the text: where it was taken from, and how likely each token was.
import { defined, isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
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

/** Sources among the annotations of a text; other kinds of annotations ride along. */
export function citationsIn(annotations: unknown): readonly Citation[] {
  return objectsIn(annotations)
    .filter(({ type }) => type === 'url_citation')
    .map(({ url_citation: cited, ...flat }) => {
      const { url, title, content, start_index: start, end_index: end } = isObject(cited) ? cited : flat;
      return defined({
        url: textOf(url) || undefined,
        title: textOf(title) || undefined,
        quote: textOf(content) || undefined,
        start: typeof start === 'number' ? start : undefined,
        end: typeof end === 'number' ? end : undefined,
      });
    });
}

export function readLogprobs(logprobs: unknown): readonly TokenLogprob[] {
  return objectsIn(objectOf(logprobs).content).map((entry) => ({
    ...tokenIn(entry),
    top: objectsIn(entry.top_logprobs).map(tokenIn),
  }));
}

function tokenIn({ token, logprob, bytes }: JsonObject): Omit<TokenLogprob, 'top'> {
  const isBytes = Array.isArray(bytes) && bytes.every((byte) => typeof byte === 'number');
  return {
    token: textOf(token),
    logprob: typeof logprob === 'number' ? logprob : 0,
    ...(isBytes ? { bytes: bytes as number[] } : {}),
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
