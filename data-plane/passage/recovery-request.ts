// How a model is asked to go on with an answer that another has begun. Where the upstream takes the beginning of an answer as the last
// message, that is all it needs; elsewhere the model is told to go on.
import type { DialectName } from '../dialects/dialect.ts';
import type { Message, TurnRequest } from '../turn/request.ts';

/** Dialects whose upstreams go on with a last message of the assistant's. */
const prefixed: readonly DialectName[] = ['openai-chat', 'anthropic-messages', 'gemini'];

const GO_ON =
  'Your answer was cut off. Continue exactly where its text stops: repeat nothing, add no introduction, and do not mention the interruption.';

/** Of English text; the limit of an answer's length is shared with whoever began it. */
const CHARACTERS_PER_TOKEN = 4;

export function continuedRequest(request: TurnRequest, text: string, upstream: DialectName): TurnRequest {
  const isPrefix = takesPrefix(request, upstream);
  const begun = isPrefix ? text.trimEnd() : text;
  const { maxOutputTokens } = request;
  if (begun.trim() === '') return request;
  const said = Math.ceil(text.length / CHARACTERS_PER_TOKEN);
  return {
    ...request,
    messages: [
      ...request.messages,
      messageOf('assistant', begun),
      ...(isPrefix ? [] : [messageOf('user', GO_ON)]),
    ],
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens: Math.max(1, maxOutputTokens - said) }),
  };
}

/** Beginnings may not end in space, so whoever goes on may begin with the space that the client has already. */
export function leadingSpaceOf(text: string, request: TurnRequest, upstream: DialectName): boolean {
  return takesPrefix(request, upstream) && text.trimEnd() !== text;
}

/** A model that has to think first cannot find its answer begun already. */
function takesPrefix(request: TurnRequest, upstream: DialectName): boolean {
  const thinks = request.reasoningEffort !== undefined || request.reasoningTokens !== undefined;
  return !thinks && prefixed.includes(upstream);
}

function messageOf(role: Message['role'], text: string): Message {
  return { role, parts: [{ kind: 'text', text }] };
}
