// A client's body as a canonical request and back. The prompt is what a user says. Whatever has no canonical name is carried in
// extras under its own name, and so is a prompt in a form that no conversation has; decode followed by encode gives back the
// body as it was.
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, wrongType } from '../../json/values.ts';
import type { Message, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget, FieldNames, RequestHead } from '../dialect.ts';
import { decodeStop, encodeStop } from '../openai-stop.ts';
import {
  type PlainField,
  plainNames,
  plainRestored,
  readPlain,
  scalarAt,
  unrestored,
  writePlain,
} from '../plain-fields.ts';
import { promptText } from './prompt.ts';

/** Fields whose value is the same on both sides. */
const plainFields = [
  { wire: 'temperature', name: 'temperature', type: 'number' },
  { wire: 'top_p', name: 'topP', type: 'number' },
  { wire: 'top_k', name: 'topK', type: 'integer' },
  { wire: 'presence_penalty', name: 'presencePenalty', type: 'number' },
  { wire: 'frequency_penalty', name: 'frequencyPenalty', type: 'number' },
  { wire: 'max_tokens', name: 'maxOutputTokens', type: 'integer' },
  { wire: 'n', name: 'choices', type: 'integer' },
  { wire: 'seed', name: 'seed', type: 'integer' },
  { wire: 'user', name: 'endUser', type: 'string' },
] as const satisfies readonly PlainField[];

export const fieldNames: FieldNames = {
  ...plainNames(plainFields),
  messages: 'prompt',
  stop: 'stop',
  logprobs: 'logprobs',
};

/** Throws `invalid_json` or `invalid_request` naming the field. */
export function decode(head: RequestHead): TurnRequest {
  const wire = parseJson(head.body);
  if (!isObject(wire)) throw wrongType('', 'an object');
  checkPrompt(wire.prompt);
  const stop = decodeStop(wire.stop);
  const top = scalarAt(wire, 'logprobs', 'integer');
  const text = promptText(wire.prompt);
  return {
    model: head.model,
    stream: head.stream,
    messages: text === undefined ? [] : [{ role: 'user', parts: [{ kind: 'text', text }] }],
    tools: [],
    ...readPlain(wire, plainFields),
    ...(stop === undefined ? {} : { stop }),
    ...(typeof top === 'number' ? { logprobs: { top } } : {}),
    extras: spellings(wire),
  };
}

/** Every field that encoding would not write from the canonical values alone, exactly as it was sent. */
function spellings(wire: JsonObject): JsonObject {
  const isRestored: Readonly<Record<string, boolean>> = {
    model: true,
    prompt: typeof wire.prompt === 'string',
    stream: wire.stream === true,
    stop: Array.isArray(wire.stop),
    logprobs: typeof wire.logprobs === 'number',
    ...plainRestored(wire, plainFields),
  };
  return unrestored(wire, isRestored);
}

/** With a target, for an upstream that has nothing newer; without, as the client wrote it. */
export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const { extras, messages } = request;
  return {
    ...extras,
    model: request.model,
    ...encodePrompt(messages, extras.prompt, target),
    ...(request.stream ? { stream: true } : {}),
    ...(request.stream && target !== undefined && target.usageUnasked !== true
      ? { stream_options: { include_usage: true } }
      : {}),
    ...writePlain(request, plainFields),
    ...(request.stop === undefined ? {} : { stop: encodeStop(request.stop, extras.stop) }),
    ...(request.logprobs === undefined ? {} : { logprobs: request.logprobs.top }),
  };
}

function encodePrompt(
  messages: readonly Message[],
  written: unknown,
  target: EncodeTarget | undefined,
): JsonObject {
  const [only, ...others] = messages;
  if (only === undefined) return written === undefined ? {} : { prompt: written };
  const isText = only.parts.every(({ kind }) => kind === 'text');
  if (others.length > 0 || only.role === 'assistant' || !isText) {
    target?.unsupported('messages', 'this model continues one text and holds no conversation.');
  }
  const text = only.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  return { prompt: Array.isArray(written) ? [text] : text };
}

function checkPrompt(prompt: unknown): void {
  if (prompt == null || typeof prompt === 'string') return;
  const isToken = (value: unknown): boolean => Number.isInteger(value);
  const isList =
    Array.isArray(prompt) &&
    (prompt.every((text) => typeof text === 'string') ||
      prompt.every(isToken) ||
      prompt.every((tokens) => Array.isArray(tokens) && tokens.every(isToken)));
  if (!isList) throw wrongType('prompt', 'a string, a list of strings, or tokens');
}
