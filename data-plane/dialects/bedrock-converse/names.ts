// Names of tools and ids of calls, as Bedrock takes them: few characters and at most 64 of them. What does not fit is exchanged
// for something made of it alone, so that the same name is the same in the whole conversation and in the next one. Nothing
// is remembered: the request that is being answered says which names there are, and so how an answer's names read backwards.
import { createHash } from 'node:crypto';
import type { TurnRequest } from '../../turn/request.ts';
import type { ConverseModel } from './models.ts';

export interface ToolNames {
  /** A tool's name on the wire … */
  name(name: string): string;
  /** … and back. */
  original(name: string): string;
  /** The id of a call. */
  id(id: string): string;
}

const LENGTH_MAX = 64;
const FITTING_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const FITTING_ID = /^[a-zA-Z0-9_.:-]{1,64}$/;
const NINE = /^[a-zA-Z0-9]{9}$/;
const HASH_LENGTH = 8;

export function toolNames({ tools, messages, toolChoice }: TurnRequest, model: ConverseModel): ToolNames {
  const calls = messages.flatMap(({ parts }) => parts.filter((part) => part.kind === 'tool-call'));
  const chosen = typeof toolChoice === 'object' ? [toolChoice.name] : [];
  const known = [...tools.map(({ name }) => name), ...calls.map(({ name }) => name), ...chosen];
  const originals = new Map(known.map((name) => [fittingName(name), name]));
  return {
    name: fittingName,
    original: (name) => originals.get(name) ?? name,
    id: (id) => (model.nineCharacterIds ? nineCharacters(id) : fitting(id, FITTING_ID)),
  };
}

function fittingName(name: string): string {
  return fitting(name, FITTING_NAME);
}

function fitting(text: string, pattern: RegExp): string {
  if (pattern.test(text)) return text;
  const readable = text.replaceAll(/[^a-zA-Z0-9_-]+/g, '_').slice(0, LENGTH_MAX - HASH_LENGTH - 1);
  return `${readable}_${hash(text, HASH_LENGTH)}`;
}

function nineCharacters(id: string): string {
  return NINE.test(id) ? id : hash(id, 9);
}

function hash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
