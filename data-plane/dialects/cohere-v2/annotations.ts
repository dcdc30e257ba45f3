// What goes with an answer's text beside the text: where it was taken from, and how likely each token was.
import { defined, isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import type { Citation, TokenLogprob } from '../../turn/events.ts';

/** One for each source of the words. What a tool returned has no address; its call's id says which it was. */
export function citationsIn({ start, end, sources }: JsonObject): readonly Citation[] {
  const place = defined({
    start: typeof start === 'number' ? start : undefined,
    end: typeof end === 'number' ? end : undefined,
  });
  const named = objectsIn(sources);
  return named.length === 0 ? [place] : named.map((source) => ({ ...place, ...sourceOf(source) }));
}

function sourceOf(source: JsonObject): Citation {
  const document = objectOf(source.document);
  const words = document.snippet ?? document.text ?? document.content ?? quoteOf(source.tool_output);
  return defined({
    url: textOf(document.url) || undefined,
    title: textOf(document.title) || textOf(source.id) || undefined,
    quote: textOf(words) || undefined,
  });
}

function quoteOf(output: unknown): string {
  return isObject(output) ? JSON.stringify(output) : textOf(output);
}

/** Cohere lists words of several tokens together; their likelihood is that of all of them. */
export function logprobsIn(logprobs: unknown): readonly TokenLogprob[] {
  const items = isObject(logprobs) ? [logprobs] : objectsIn(logprobs);
  return items.flatMap((item) => {
    const values = Array.isArray(item.logprobs) ? item.logprobs.filter(isNumber) : [];
    if (values.length === 0) return [];
    return [{ token: textOf(item.text), logprob: values.reduce((sum, value) => sum + value, 0), top: [] }];
  });
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
