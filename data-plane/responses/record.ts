// What is kept of an answer, as one JSON document: the response and the question exactly as they were, and where it was answered. An
// answer that went on from another holds the names of those before it and not what they said, so that a long conversation is
// kept once and not once for each of its turns.

import { parseJson } from '../json/parse.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../json/values.ts';

export interface ResponseRecord {
  readonly id: string;
  /** The provider that keeps it too, by the same id; empty where none does. */
  readonly keptBy: string;
  /** The answers that it went on from, the first of the conversation first. */
  readonly ancestors: readonly string[];
  /** Of this and of all those before it. */
  readonly conversationBytes: number;
  readonly input: readonly JsonObject[];
  readonly response: JsonObject;
}

export type RecordHead = Pick<ResponseRecord, 'id' | 'keptBy' | 'ancestors'> & {
  /** Of those before it. */
  readonly earlierBytes: number;
};

export function writeRecord({ earlierBytes, ...head }: RecordHead, input: string, response: string): Buffer {
  const conversationBytes = earlierBytes + input.length + response.length;
  const known = JSON.stringify({ ...head, conversationBytes });
  return Buffer.from(`${known.slice(0, -1)},"input":${input},"response":${response}}`);
}

/** Undefined for what is no such document, as another version may have written. */
export function readRecord(document: Buffer): ResponseRecord | undefined {
  const value = parseJson(document);
  if (!isObject(value) || !isObject(value.response) || typeof value.id !== 'string') return undefined;
  const { id, ancestors, conversationBytes, response } = value;
  return {
    id,
    keptBy: textOf(value.keptBy),
    ancestors: Array.isArray(ancestors) ? ancestors.filter((name) => typeof name === 'string') : [],
    conversationBytes: typeof conversationBytes === 'number' ? conversationBytes : document.length,
    input: objectsIn(value.input),
    response,
  };
}
