// One delta of an answer (or a whole message, which is a delta that happens to be complete) taken apart: what it says in
// words every dialect has, and what only this one can restore.
import { isObject, type JsonObject, objectsIn, rest, textOf } from '../../json/values.ts';
import { thinkingText } from './wire.ts';

const deltaFields = ['role', 'content', 'reasoning_content', 'reasoning', 'refusal', 'tool_calls', 'audio'];
const audioFields = ['id', 'data'];

export function deltaExtras(wire: JsonObject, delta: JsonObject): JsonObject | undefined {
  const audio = isObject(delta.audio) ? rest(delta.audio, audioFields) : undefined;
  const unknownParts = objectsIn(delta.content).filter(({ type }) => type !== 'text' && type !== 'thinking');
  const own = withoutNulls({
    ...rest(delta, deltaFields),
    ...(unknownParts.length === 0 ? {} : { content_parts: unknownParts }),
  });
  const fields = {
    ...(saysSomething(wire.logprobs) ? { logprobs: wire.logprobs } : {}),
    ...(audio === undefined ? {} : { audio }),
    ...(Object.keys(own).length === 0 ? {} : { delta: own }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}

/** Log probabilities of a chunk without tokens are an object of empty lists. */
function saysSomething(logprobs: unknown): boolean {
  return (
    isObject(logprobs) &&
    Object.values(logprobs).some((list) => list !== null && !(Array.isArray(list) && list.length === 0))
  );
}

/** Mistral sends content as a list of parts as soon as a model thinks. */
export function contentPieces(content: unknown): readonly { kind: 'text' | 'reasoning'; text: string }[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content }];
  return objectsIn(content)
    .map((part) =>
      part.type === 'thinking'
        ? ({ kind: 'reasoning', text: thinkingText(part.thinking) } as const)
        : ({ kind: 'text', text: part.type === 'text' ? textOf(part.text) : '' } as const),
    )
    .filter(({ text }) => text !== '');
}

export function argumentsText(value: unknown): string {
  return typeof value === 'string' ? value : isObject(value) ? JSON.stringify(value) : '';
}

export function changedFields(fields: JsonObject, before: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([key, value]) => value !== null && !Object.is(before[key], value)),
  );
}

export function withoutNulls(fields: JsonObject | undefined): JsonObject {
  return Object.fromEntries(
    Object.entries(fields ?? {}).filter(
      ([, value]) => value !== null && !(Array.isArray(value) && value.length === 0),
    ),
  );
}
