// The same answers in the shape of Anthropic's messages: named events, blocks one after the other, usage at both ends of a
// stream, and errors of another form.
import type { Answer, ChatRequest, StreamEvent, WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

const stopReasons = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' } as const;

export const messagesWire: WireFormat = {
  matches: (path) => path.endsWith('/messages'),
  readRequest: readMessageRequest,
  wholeBody,
  streamEvents,
  errorBody,
  eventName: (payload) => (payload as { type: string }).type,
  endMark: { type: 'message_stop' },
};

interface MessageBody {
  model?: unknown;
  stream?: unknown;
  messages?: unknown;
  max_tokens?: unknown;
  tools?: { name?: unknown }[];
  metadata?: { behaviour?: unknown } | null;
}

const BYTES_PER_TOKEN = 4;

function readMessageRequest(body: Buffer): ChatRequest | undefined {
  let parsed: MessageBody;
  try {
    parsed = JSON.parse(body.toString()) as MessageBody;
  } catch {
    return undefined;
  }
  const { model, messages, max_tokens: limit } = parsed ?? {};
  if (typeof model !== 'string' || !Array.isArray(messages) || typeof limit !== 'number') return undefined;
  const script = parsed.metadata?.behaviour;
  return {
    model,
    streamed: parsed.stream === true,
    includeUsage: true,
    promptTokens: Math.ceil(JSON.stringify(messages).length / BYTES_PER_TOKEN),
    completionTokensMax: limit,
    choices: 1,
    toolName: String(parsed.tools?.[0]?.name ?? 'get_weather'),
    script: typeof script === 'string' ? script : undefined,
  };
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const text = answer.pieces.join('');
  const content =
    answer.toolCalls.length > 0
      ? answer.toolCalls.map(({ id, name }) => ({ type: 'tool_use', id, name, input: JSON.parse(text) }))
      : [{ type: 'text', text }];
  return {
    id: answer.id,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content,
    stop_reason: stopReasons[answer.finishReason],
    stop_sequence: null,
    ...(behaviour.usageOn !== 'never' && { usage: usageOf(answer) }),
  };
}

function streamEvents(answer: Answer, _request: ChatRequest, behaviour: Behaviour) {
  const usage = behaviour.usageOn === 'never' ? {} : { usage: usageOf(answer) };
  const message = {
    id: answer.id,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    ...(behaviour.usageOn !== 'never' && { usage: { ...usageOf(answer), output_tokens: 1 } }),
  };
  const isCall = answer.toolCalls.length > 0;
  const blocks = isCall
    ? answer.toolCalls.map(({ id, name }) => ({ type: 'tool_use', id, name, input: {} }))
    : [{ type: 'text', text: '' }];
  // Blocks take turns here, so the pieces of all but the first are sent when that one is over.
  const [first, ...others] = blocks;
  const opened = (index: number, block: object | undefined) => ({
    type: 'content_block_start',
    index,
    content_block: block,
  });
  const delta = (index: number, piece: string) => ({
    type: 'content_block_delta',
    index,
    delta: isCall ? { type: 'input_json_delta', partial_json: piece } : { type: 'text_delta', text: piece },
  });
  const closed = (index: number) => ({ type: 'content_block_stop', index });
  return {
    opening: [{ type: 'message_start', message }, opened(0, first), { type: 'ping' }],
    content: (piece: string): StreamEvent[] => [{ payload: delta(0, piece), tokens: 1 }],
    closing: [
      closed(0),
      ...others.flatMap((block, offset) => [
        opened(offset + 1, block),
        ...answer.pieces.map((piece) => delta(offset + 1, piece)),
        closed(offset + 1),
      ]),
      {
        type: 'message_delta',
        delta: { stop_reason: stopReasons[answer.finishReason], stop_sequence: null },
        ...usage,
      },
    ],
  };
}

function usageOf({ reportedUsage }: Answer): object {
  return {
    input_tokens: reportedUsage.prompt_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: reportedUsage.completion_tokens,
  };
}

const errorTypes: Readonly<Record<number, { type: string; message: string }>> = {
  400: { type: 'invalid_request_error', message: 'The fake provider rejects this request.' },
  401: { type: 'authentication_error', message: 'invalid x-api-key' },
  404: { type: 'not_found_error', message: 'model: unknown' },
  429: { type: 'rate_limit_error', message: 'Rate limit reached.' },
  529: { type: 'overloaded_error', message: 'Overloaded' },
};

function errorBody(status: number, message?: string): object {
  const row = errorTypes[status] ?? { type: 'api_error', message: 'The fake provider had an error.' };
  return { type: 'error', error: { type: row.type, message: message ?? row.message } };
}
