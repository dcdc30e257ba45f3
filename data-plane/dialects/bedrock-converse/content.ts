// The blocks of an answer: a whole one as the events it would have been streamed as, and what stands inside them.
import { defined, isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import type { Citation } from '../../turn/events.ts';

interface ConverseEvent {
  readonly type: 'contentBlockStart' | 'contentBlockDelta' | 'contentBlockStop';
  readonly event: JsonObject;
}

export function messageEvents(block: JsonObject, contentBlockIndex: number): readonly ConverseEvent[] {
  const start = startOf(block);
  return [
    ...(start === undefined
      ? []
      : [{ type: 'contentBlockStart', event: { contentBlockIndex, start } } as const]),
    ...deltasOf(block).map((delta) => ({
      type: 'contentBlockDelta' as const,
      event: { contentBlockIndex, delta },
    })),
    { type: 'contentBlockStop', event: { contentBlockIndex } },
  ];
}

function startOf({ toolUse, image }: JsonObject): JsonObject | undefined {
  if (isObject(toolUse)) return { toolUse };
  return isObject(image) ? { image } : undefined;
}

function deltasOf(block: JsonObject): readonly JsonObject[] {
  const { text, toolUse, image, reasoningContent, citationsContent } = block;
  if (typeof text === 'string') return [{ text }];
  if (isObject(image)) return [{ image }];
  if (isObject(toolUse)) {
    const { input, type } = toolUse;
    const isCall = isObject(input) && Object.keys(input).length > 0 && type !== 'server_tool_use';
    return isCall ? [{ toolUse: { input: JSON.stringify(input) } }] : [];
  }
  if (isObject(reasoningContent)) {
    const { reasoningText, redactedContent } = reasoningContent;
    const said = isObject(reasoningText) ? reasoningText : { redactedContent };
    return [{ reasoningContent: said }];
  }
  const { citations, content } = objectOf(citationsContent);
  return [...objectsIn(citations).map((citation) => ({ citation })), ...objectsIn(content)];
}

/** A source is told for a whole block, not for some of its characters. */
export function readCitation({ title, location, sourceContent }: JsonObject): Citation {
  const quote = objectsIn(sourceContent)
    .map(({ text }) => textOf(text))
    .join('');
  const url = textOf(objectOf(objectOf(location).web).url);
  return defined({
    url: url === '' ? undefined : url,
    title: typeof title === 'string' ? title : undefined,
    quote: quote === '' ? undefined : quote,
  });
}

/** The bytes are a text of the maker's; undefined for anything else, which could not be given back as it was. */
export function readRedacted(base64: unknown): string | undefined {
  if (typeof base64 !== 'string' || base64 === '') return undefined;
  const text = Buffer.from(base64, 'base64').toString('utf8');
  return Buffer.from(text).toString('base64') === base64 ? text : undefined;
}
