// The shapes of Gemini's API on the wire, as far as more than one file here needs them. Google's servers read every field of it
// under two names, `inlineData` and `inline_data`; here everything is read under the first.
import { isObject, type JsonObject } from '../../json/values.ts';
import type { EndReason, Extras } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

export const DIALECT = 'gemini';

/** Why an answer ended, in Google's words. A tool call is an end like any other there. */
export const wireReasons: Readonly<Record<EndReason['reason'], string>> = {
  stop: 'STOP',
  'tool-calls': 'STOP',
  length: 'MAX_TOKENS',
  'content-filter': 'SAFETY',
};

/** What Google's words mean; words that are not here mean that the model stopped. */
export const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  MAX_TOKENS: 'length',
  SAFETY: 'content-filter',
  RECITATION: 'content-filter',
  LANGUAGE: 'content-filter',
  BLOCKLIST: 'content-filter',
  PROHIBITED_CONTENT: 'content-filter',
  SPII: 'content-filter',
  MODEL_ARMOR: 'content-filter',
  IMAGE_SAFETY: 'content-filter',
  IMAGE_PROHIBITED_CONTENT: 'content-filter',
  IMAGE_RECITATION: 'content-filter',
  IMAGE_OTHER: 'content-filter',
};

/** Ends after which what the model wrote is of no use to anyone. */
export const brokenEnds: readonly string[] = ['MALFORMED_FUNCTION_CALL', 'MALFORMED_RESPONSE'];

/** Some ways of asking give numbers for words. From 6 on they differ between Google's two APIs, and most are about content. */
const reasonNumbers: readonly string[] = [
  'FINISH_REASON_UNSPECIFIED',
  'STOP',
  'MAX_TOKENS',
  'SAFETY',
  'RECITATION',
  'OTHER',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
];

/** Empty while there is none. */
export function finishWord(value: unknown): string {
  if (typeof value === 'number') return reasonNumbers[value] ?? 'OTHER';
  return typeof value === 'string' ? value : '';
}

/** The members of an object by the names they have here; of two spellings the first counts. */
export function named(wire: unknown): JsonObject {
  if (!isObject(wire)) return {};
  const keys = Object.keys(wire);
  if (!keys.some((key) => key.includes('_'))) return wire;
  const members = keys.flatMap((key): [string, unknown][] => {
    const name = key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    return name === key || !Object.hasOwn(wire, name) ? [[name, wire[key]]] : [];
  });
  return Object.fromEntries(members);
}

export function extrasOf(fields: JsonObject): Extras {
  return { dialect: DIALECT, fields };
}

/** Extras of another dialect mean nothing here. */
export function own(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? extras.fields : {};
}

export const unreadable = unreadableAnswer('The provider sent an answer that is not one of the Gemini API.');
