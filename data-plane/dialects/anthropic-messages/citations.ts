// Where an answer's words were taken from. Anthropic has a kind of citation for every kind of source; what all of them say is
// canonical, and the rest rides along for clients of this dialect.
import { defined, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { Citation } from '../../turn/events.ts';

export function citationOf(wire: unknown): Citation {
  const { url, source, title, document_title, cited_text } = objectOf(wire);
  // Places are those of the source here, not of the answer.
  return defined({
    url: textOf(url) || textOf(source) || undefined,
    title: textOf(title) || textOf(document_title) || undefined,
    quote: textOf(cited_text) || undefined,
  });
}

/** A citation that another dialect read, in the form that needs the least: a page somewhere. */
export function writeCitation({ url, title, quote }: Citation): JsonObject {
  return {
    type: 'web_search_result_location',
    url: url ?? '',
    title: title ?? null,
    cited_text: quote ?? '',
    encrypted_index: '',
  };
}
