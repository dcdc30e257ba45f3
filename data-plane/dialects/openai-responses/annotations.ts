// What goes with an answer's text beside the text: where it was taken from, and how likely each token was.
import { defined, type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { Citation, TokenLogprob } from '../../turn/events.ts';

/** Undefined for what points to no page, such as a path in a container: only this dialect can say that. */
export function citationOf(annotation: JsonObject): Citation | undefined {
  if (annotation.type !== 'url_citation') return undefined;
  const { start_index: start, end_index: end, url, title } = annotation;
  return defined({
    start: typeof start === 'number' ? start : undefined,
    end: typeof end === 'number' ? end : undefined,
    url: textOf(url) || undefined,
    title: textOf(title) || undefined,
  });
}

/** `spoken` is how much of the text there was when the citation came, for sources that do not say which words they are of. */
export function annotationOf({ start, end, url, title }: Citation, spoken: number): JsonObject {
  return {
    type: 'url_citation',
    start_index: start ?? 0,
    end_index: end ?? spoken,
    url: url ?? '',
    title: title ?? '',
  };
}

type Token = Omit<TokenLogprob, 'top'>;

export function readLogprobs(logprobs: unknown): readonly TokenLogprob[] {
  return objectsIn(logprobs).map((token) => ({
    ...readToken(token),
    top: objectsIn(token.top_logprobs).map(readToken),
  }));
}

function readToken({ token, logprob, bytes }: JsonObject): Token {
  const known = Array.isArray(bytes) && bytes.every((byte) => typeof byte === 'number');
  return {
    token: textOf(token),
    logprob: typeof logprob === 'number' ? logprob : 0,
    ...(known ? { bytes: bytes as readonly number[] } : {}),
  };
}

export function writeLogprobs(tokens: readonly TokenLogprob[]): readonly JsonObject[] {
  return tokens.map(({ top, ...token }) => ({ ...writeToken(token), top_logprobs: top.map(writeToken) }));
}

function writeToken({ token, logprob, bytes }: Token): JsonObject {
  return { token, logprob, bytes: bytes ?? [] };
}
