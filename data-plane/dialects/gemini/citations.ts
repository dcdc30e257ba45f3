// Where an answer's words were taken from. Google lists the sources once and says of stretches of the text which of them they lean on;
// the stretches are counted in bytes of UTF-8, here in characters.
import { defined, type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { Citation } from '../../turn/events.ts';
import { named } from './wire.ts';

/** `text` is what the candidate has said, `from` where the block begins that the citations go with. */
export function readCitations(candidate: JsonObject, text: string, from: number): readonly Citation[] {
  const grounding = named(candidate.groundingMetadata);
  const quoted = named(candidate.citationMetadata);
  const sources = objectsIn(grounding.groundingChunks).map(sourceOf);
  const bytes = Buffer.from(text);
  const place = (segment: JsonObject): Pick<Citation, 'start' | 'end'> => placeIn(bytes, segment, from);
  const supports = objectsIn(grounding.groundingSupports).map(named);
  const leaning = supports.flatMap(({ segment, groundingChunkIndices }) =>
    (Array.isArray(groundingChunkIndices) ? groundingChunkIndices : []).flatMap((index) => {
      const source = sources[Number(index)];
      return source === undefined ? [] : [{ ...source, ...place(named(segment)) }];
    }),
  );
  const copied = [...objectsIn(quoted.citationSources), ...objectsIn(quoted.citations)].map((value) => {
    const wire = named(value);
    return { ...sourceIn(wire), ...place(wire) };
  });
  return [...(leaning.length === 0 ? sources : leaning), ...copied];
}

function sourceOf(chunk: JsonObject): Citation {
  const { web, retrievedContext, maps } = named(chunk);
  return sourceIn(named(web ?? retrievedContext ?? maps));
}

function sourceIn({ uri, title, text }: JsonObject): Citation {
  return defined({
    url: textOf(uri) || undefined,
    title: textOf(title) || undefined,
    quote: textOf(text) || undefined,
  });
}

function placeIn(bytes: Buffer, segment: JsonObject, from: number): Pick<Citation, 'start' | 'end'> {
  const { startIndex = 0, endIndex } = segment;
  if (typeof startIndex !== 'number' || typeof endIndex !== 'number') return {};
  const characters = (offset: number): number => bytes.toString('utf8', 0, Math.max(0, offset)).length - from;
  const start = characters(startIndex);
  // What lies before this block belongs to another.
  return start < 0 ? {} : { start, end: characters(endIndex) };
}

/** Citations of any maker as Google's clients read them. */
export function writeCitations(
  blocks: readonly { text: string; citations: readonly Citation[] }[],
): JsonObject | undefined {
  const chunks: JsonObject[] = [];
  const supports: JsonObject[] = [];
  let bytesBefore = 0;
  for (const { text, citations } of blocks) {
    for (const { url, title, start, end, quote } of citations) {
      chunks.push(
        defined({ web: defined({ uri: url, title }), ...(quote === undefined ? {} : { text: quote }) }),
      );
      if (start === undefined || end === undefined) continue;
      const stretch = text.slice(start, end);
      const startIndex = bytesBefore + Buffer.byteLength(text.slice(0, start));
      const segment = { startIndex, endIndex: startIndex + Buffer.byteLength(stretch), text: stretch };
      supports.push({ segment, groundingChunkIndices: [chunks.length - 1] });
    }
    bytesBefore += Buffer.byteLength(text);
  }
  if (chunks.length === 0) return undefined;
  return { groundingChunks: chunks, ...(supports.length === 0 ? {} : { groundingSupports: supports }) };
}
