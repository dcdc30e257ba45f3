// The same answers as Cohere's chat has them: named events, calls one after the other, billed units at the end, and errors that are
// an id and a message.
import type { Answer, ChatRequest, StreamEvent, WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

const finishReasons = { stop: 'COMPLETE', length: 'MAX_TOKENS', tool_calls: 'TOOL_CALL' } as const;

interface CohereBody {
  model?: unknown;
  stream?: unknown;
  messages?: unknown;
  max_tokens?: unknown;
  tools?: { function?: { name?: unknown } }[];
}

const BYTES_PER_TOKEN = 4;

function readRequest(body: Buffer): ChatRequest | undefined {
  let parsed: CohereBody;
  try {
    parsed = JSON.parse(body.toString()) as CohereBody;
  } catch {
    return undefined;
  }
  const { model, messages, max_tokens: limit } = parsed ?? {};
  if (typeof model !== 'string' || !Array.isArray(messages)) return undefined;
  return {
    model,
    streamed: parsed.stream === true,
    includeUsage: true,
    promptTokens: Math.ceil(JSON.stringify(messages).length / BYTES_PER_TOKEN),
    completionTokensMax: typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY,
    choices: 1,
    toolName: String(parsed.tools?.[0]?.function?.name ?? 'get_weather'),
    script: undefined,
  };
}

const PLAN = 'I will look at the weather.';

function callOf({ id, name }: Answer['toolCalls'][number], text: string): object {
  return { id, type: 'function', function: { name, arguments: text } };
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const text = answer.pieces.join('');
  const said =
    answer.toolCalls.length > 0
      ? { tool_plan: PLAN, tool_calls: answer.toolCalls.map((call) => callOf(call, text)) }
      : { content: [{ type: 'text', text }] };
  return {
    id: answer.id,
    message: { role: 'assistant', ...said },
    finish_reason: finishReasons[answer.finishReason],
    ...(behaviour.usageOn !== 'never' && { usage: usageOf(answer) }),
  };
}

function streamEvents(answer: Answer, _request: ChatRequest, behaviour: Behaviour) {
  const message = (type: string, field: string, value: unknown, index?: number): object => ({
    type,
    ...(index === undefined ? {} : { index }),
    delta: { message: { [field]: value } },
  });
  const [first, ...others] = answer.toolCalls;
  const start = { id: answer.id, type: 'message-start', delta: { message: { role: 'assistant' } } };
  const piece = (text: string, index: number): object =>
    first === undefined
      ? message('content-delta', 'content', { text }, index)
      : message('tool-call-delta', 'tool_calls', { function: { arguments: text } }, index);
  const opened = (call: Answer['toolCalls'][number], index: number): object =>
    message('tool-call-start', 'tool_calls', callOf(call, ''), index);
  const closed = (index: number): object => ({
    type: first === undefined ? 'content-end' : 'tool-call-end',
    index,
  });
  return {
    opening:
      first === undefined
        ? [start, message('content-start', 'content', { type: 'text', text: '' }, 0)]
        : [start, message('tool-plan-delta', 'tool_plan', PLAN), opened(first, 0)],
    content: (text: string): StreamEvent[] => [{ payload: piece(text, 0), tokens: 1 }],
    closing: [
      closed(0),
      // Calls take turns here, so the pieces of all but the first are sent when that one is over.
      ...others.flatMap((call, offset) => [
        opened(call, offset + 1),
        ...answer.pieces.map((text) => piece(text, offset + 1)),
        closed(offset + 1),
      ]),
      {
        type: 'message-end',
        delta: {
          finish_reason: finishReasons[answer.finishReason],
          usage: behaviour.usageOn === 'never' ? {} : usageOf(answer),
        },
      },
    ],
  };
}

/** What is billed is less than what was read: their own preamble is free. */
function usageOf({ reportedUsage: { prompt_tokens, completion_tokens } }: Answer): object {
  return {
    billed_units: { input_tokens: prompt_tokens, output_tokens: completion_tokens },
    tokens: { input_tokens: prompt_tokens + 500, output_tokens: completion_tokens + 10 },
  };
}

const messages: Readonly<Record<number, string>> = {
  400: 'invalid request: the fake provider rejects this request',
  401: 'invalid api token',
  404: 'model not found',
  429: 'You are using a Trial key, which is limited to 20 API calls / minute.',
};

export const cohereWire: WireFormat = {
  matches: (path) => path.endsWith('/v2/chat'),
  readRequest,
  wholeBody,
  streamEvents,
  errorBody: (status, message) => ({
    id: 'fake',
    message: message ?? messages[status] ?? 'internal server error',
  }),
  eventName: (payload) => (payload as { type?: string }).type,
  endMark: '[DONE]',
};
