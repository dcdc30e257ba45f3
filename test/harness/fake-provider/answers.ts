// What the fake provider says: always the same for the same request, by default in the shape of OpenAI's chat completions. Token
// counts are made by rules simple enough to check by hand: a prompt costs one token per four bytes of its messages as
// JSON, an answer one token per content chunk and choice.
import type { Behaviour } from './behaviour.ts';

export interface ChatRequest {
  readonly model: string;
  readonly streamed: boolean;
  readonly includeUsage: boolean;
  readonly promptTokens: number;
  readonly completionTokensMax: number;
  readonly choices: number;
  readonly toolName: string;
  /** A script for this request alone, from `metadata.behaviour`. */
  readonly script: string | undefined;
}

interface ChatBody {
  model?: unknown;
  stream?: unknown;
  stream_options?: { include_usage?: unknown } | null;
  messages?: unknown;
  max_tokens?: unknown;
  max_completion_tokens?: unknown;
  n?: unknown;
  tools?: { function?: { name?: unknown } }[];
  metadata?: { behaviour?: unknown } | null;
}

/** How a request is read and an answer is told; what is answered and how it goes wrong is the same for all. */
export interface WireFormat {
  /** Whether it is spoken at this path, which comes without its query. */
  matches(path: string): boolean;
  /** Undefined for what is no such request. Some APIs name the model in the path, and some what comes back. */
  readRequest(body: Buffer, path: string): ChatRequest | undefined;
  wholeBody(answer: Answer, behaviour: Behaviour): object;
  /** The events before the content, one list per content chunk, and the events after it. */
  streamEvents(
    answer: Answer,
    request: ChatRequest,
    behaviour: Behaviour,
  ): {
    readonly opening: readonly object[];
    content(piece: string): readonly StreamEvent[];
    readonly closing: readonly object[];
  };
  errorBody(status: number, message?: string): object;
  eventName(payload: object): string | undefined;
  /** Left out of a stream that is to lack its end. */
  readonly endMark: object | string | ((answer: Answer) => object);
  /** How its streams are delimited, where not as server-sent events. */
  readonly framing?: WireFraming;
  /** Headers that go with an error. */
  errorHeaders?(status: number): Readonly<Record<string, string>>;
}

export interface WireFraming {
  readonly contentType: string;
  write(payload: object | string): Buffer;
  /** A failure inside a stream that began well. */
  writeError(message: string): Buffer;
}

const BYTES_PER_TOKEN = 4;
const created = 1_700_000_000;

/** As at OpenAI; without a bound a single request could take all memory. */
const CHOICES_MAX = 128;

function readChatRequest(body: Buffer): ChatRequest | undefined {
  let parsed: ChatBody;
  try {
    parsed = JSON.parse(body.toString()) as ChatBody;
  } catch {
    return undefined;
  }
  if (parsed === null || typeof parsed.model !== 'string' || !Array.isArray(parsed.messages))
    return undefined;
  const script = parsed.metadata?.behaviour;
  return {
    model: parsed.model,
    streamed: parsed.stream === true,
    includeUsage: parsed.stream_options?.include_usage === true,
    promptTokens: Math.ceil(JSON.stringify(parsed.messages).length / BYTES_PER_TOKEN),
    completionTokensMax: Number(
      parsed.max_completion_tokens ?? parsed.max_tokens ?? Number.POSITIVE_INFINITY,
    ),
    choices: parsed.n === undefined ? 1 : Math.min(Math.max(Number(parsed.n) || 1, 1), CHOICES_MAX),
    toolName: String(parsed.tools?.[0]?.function?.name ?? 'get_weather'),
    script: typeof script === 'string' ? script : undefined,
  };
}

/** One answer: what it contains and how it is counted, before it becomes a stream or a body. */
export interface Answer {
  readonly id: string;
  readonly model: string;
  readonly pieces: readonly string[];
  readonly choices: number;
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  readonly toolCalls: readonly { readonly id: string; readonly name: string }[];
  readonly usage: Usage;
  /** What it claims to have used. */
  readonly reportedUsage: Usage;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export function composeAnswer(
  request: ChatRequest,
  body: Buffer,
  behaviour: Behaviour,
  serial: number,
): Answer {
  const count = Math.min(behaviour.chunks, request.completionTokensMax);
  const choices = behaviour.choices ?? request.choices;
  const usage = usageOf(request.promptTokens, count * choices);
  return {
    id: `chatcmpl-fake-${serial}`,
    model: request.model,
    pieces: composePieces(body, behaviour, count),
    choices,
    finishReason: behaviour.toolCalls > 0 ? 'tool_calls' : count < behaviour.chunks ? 'length' : 'stop',
    toolCalls: Array.from({ length: behaviour.toolCalls }, (_, index) => ({
      id: `call_fake_${serial}_${index}`,
      name: request.toolName,
    })),
    usage,
    reportedUsage: behaviour.usageLies ? usageOf(1, 1_000_000) : usage,
  };
}

function usageOf(promptTokens: number, completionTokens: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

function composePieces(body: Buffer, behaviour: Behaviour, count: number): string[] {
  if (behaviour.toolCalls > 0) return divide('{"city":"Zürich","days":[1,2,3]}', count);
  if (behaviour.echo) return divide(body.toString(), count);
  if (behaviour.contentBytes !== undefined) {
    return Array.from({ length: count }, () => 'x'.repeat(Math.ceil(behaviour.contentBytes! / count)));
  }
  return Array.from({ length: count }, (_, index) => `word${index + 1} `);
}

/** Cuts between code points, so that no piece is half a character; that is the transport's job to do to us. */
function divide(text: string, count: number): string[] {
  const points = Array.from(text);
  const size = Math.ceil(points.length / count);
  return Array.from({ length: count }, (_, index) => points.slice(index * size, (index + 1) * size).join(''));
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const text = answer.pieces.join('');
  const message =
    answer.toolCalls.length > 0
      ? { role: 'assistant', content: null, tool_calls: answer.toolCalls.map((call) => toolCall(call, text)) }
      : { role: 'assistant', content: text, refusal: null };
  return {
    id: answer.id,
    object: 'chat.completion',
    created,
    model: answer.model,
    choices: Array.from({ length: answer.choices }, (_, index) => ({
      index,
      message,
      logprobs: null,
      finish_reason: answer.finishReason,
    })),
    ...(behaviour.usageOn !== 'never' && { usage: answer.reportedUsage }),
    system_fingerprint: 'fp_fake',
  };
}

function toolCall(call: { id: string; name: string }, text: string): object {
  return { id: call.id, type: 'function', function: { name: call.name, arguments: text } };
}

/** One event of a stream; `tokens` is what sending it adds to the bill. */
export interface StreamEvent {
  readonly payload: object;
  readonly tokens: number;
}

function streamEvents(answer: Answer, request: ChatRequest, behaviour: Behaviour) {
  const everyUsage = behaviour.usageOn === 'every-chunk' ? { usage: answer.reportedUsage } : {};
  const asked = request.includeUsage && behaviour.usageOn === 'request';
  const chunk = (choices: object[], extra: object = everyUsage): object => ({
    id: answer.id,
    object: 'chat.completion.chunk',
    created,
    model: answer.model,
    system_fingerprint: 'fp_fake',
    choices,
    ...(asked && { usage: null }),
    ...extra,
  });
  const choice = (index: number, delta: object, finishReason: string | null = null): object => ({
    index,
    delta,
    logprobs: null,
    finish_reason: finishReason,
  });
  const eachChoice = (make: (index: number) => object): object[] =>
    Array.from({ length: answer.choices }, (_, index) => make(index));
  const finishUsage = behaviour.usageOn === 'finish' ? { usage: answer.reportedUsage } : everyUsage;

  return {
    opening: eachChoice((index) => chunk([choice(index, openingDelta(answer))])),
    content: (piece: string): StreamEvent[] =>
      eachChoice((index) => chunk([choice(index, contentDelta(answer, piece))])).map((payload) => ({
        payload,
        tokens: 1,
      })),
    closing: [
      ...eachChoice((index) => chunk([choice(index, {}, answer.finishReason)], finishUsage)),
      ...(asked ? [chunk([], { usage: answer.reportedUsage })] : []),
    ],
  };
}

function openingDelta(answer: Answer): object {
  if (answer.toolCalls.length === 0) return { role: 'assistant', content: '', refusal: null };
  const calls = answer.toolCalls.map((call, index) => ({ index, ...toolCall(call, '') }));
  return { role: 'assistant', content: null, tool_calls: calls };
}

function contentDelta(answer: Answer, piece: string): object {
  if (answer.toolCalls.length === 0) return { content: piece };
  return { tool_calls: answer.toolCalls.map((_, index) => ({ index, function: { arguments: piece } })) };
}

const errorTypes: Readonly<Record<number, { type: string; code: string | null; message: string }>> = {
  400: { type: 'invalid_request_error', code: null, message: 'The fake provider rejects this request.' },
  401: { type: 'invalid_request_error', code: 'invalid_api_key', message: 'Incorrect API key provided.' },
  404: { type: 'invalid_request_error', code: 'model_not_found', message: 'The model does not exist.' },
  429: { type: 'requests', code: 'rate_limit_exceeded', message: 'Rate limit reached.' },
};

/** As OpenAI writes them, whichever of its APIs is asked. */
export function openaiError(status: number, message?: string): object {
  const row = errorTypes[status] ?? {
    type: 'server_error',
    code: null,
    message: 'The fake provider had an error.',
  };
  return { error: { message: message ?? row.message, type: row.type, param: null, code: row.code } };
}

export const chatWire: WireFormat = {
  matches: (path) => path.endsWith('/chat/completions'),
  readRequest: readChatRequest,
  wholeBody,
  streamEvents,
  errorBody: openaiError,
  eventName: () => undefined,
  endMark: '[DONE]',
};
