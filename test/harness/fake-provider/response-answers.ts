// The same answers in the shape of OpenAI's Responses API: numbered events that carry items, the whole response at both ends of a stream.
import { type Answer, type ChatRequest, openaiError, type StreamEvent, type WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

export const responsesWire: WireFormat = {
  matches: (path) => path.endsWith('/responses'),
  readRequest: readResponseRequest,
  wholeBody: (answer, behaviour) => finished(answer, behaviour.usageOn !== 'never'),
  streamEvents,
  errorBody: openaiError,
  eventName: (payload) => (payload as { type?: string }).type ?? 'error',
  endMark: (answer) => {
    const response = finished(answer, true) as { status: string };
    return { type: `response.${response.status}`, sequence_number: eventCount(answer), response };
  },
};

interface ResponseBody {
  model?: unknown;
  stream?: unknown;
  input?: unknown;
  previous_response_id?: unknown;
  max_output_tokens?: unknown;
  tools?: { name?: unknown }[];
  metadata?: { behaviour?: unknown } | null;
}

const BYTES_PER_TOKEN = 4;
const created = 1_700_000_000;

function readResponseRequest(body: Buffer): ChatRequest | undefined {
  let parsed: ResponseBody;
  try {
    parsed = JSON.parse(body.toString()) as ResponseBody;
  } catch {
    return undefined;
  }
  const { model, input, max_output_tokens: limit } = parsed ?? {};
  if (typeof model !== 'string' || (typeof input !== 'string' && !Array.isArray(input))) return undefined;
  const script = parsed.metadata?.behaviour;
  return {
    model,
    streamed: parsed.stream === true,
    includeUsage: true,
    promptTokens: Math.ceil(JSON.stringify(input).length / BYTES_PER_TOKEN),
    completionTokensMax: typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY,
    choices: 1,
    toolName: String(parsed.tools?.[0]?.name ?? 'get_weather'),
    script: typeof script === 'string' ? script : undefined,
  };
}

function opened(answer: Answer): Record<string, unknown> {
  return {
    id: responseId(answer),
    object: 'response',
    created_at: created,
    status: 'in_progress',
    background: false,
    completed_at: null,
    error: null,
    frequency_penalty: 0,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    max_tool_calls: null,
    model: answer.model,
    output: [],
    parallel_tool_calls: true,
    presence_penalty: 0,
    previous_response_id: null,
    prompt_cache_key: null,
    prompt_cache_retention: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: 'default',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: 'disabled',
    usage: null,
    metadata: {},
  };
}

function finished(answer: Answer, hasUsage: boolean): object {
  const isWhole = answer.finishReason !== 'length';
  return {
    ...opened(answer),
    status: isWhole ? 'completed' : 'incomplete',
    completed_at: isWhole ? created + 1 : null,
    incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
    output: itemsOf(answer),
    usage: hasUsage ? usageOf(answer) : null,
  };
}

function responseId({ id }: Answer): string {
  return id.replace('chatcmpl-', 'resp_');
}

function itemId(answer: Answer, index: number): string {
  const prefix = answer.toolCalls.length > 0 ? 'fc' : 'msg';
  return `${prefix}_${responseId(answer)}_${index}`;
}

function itemsOf(answer: Answer): object[] {
  const text = answer.pieces.join('');
  if (answer.toolCalls.length > 0) {
    return answer.toolCalls.map((_, index) => callItem(answer, index, 'completed', text));
  }
  const status = answer.finishReason === 'length' ? 'incomplete' : 'completed';
  return [messageItem(answer, status, [partOf(text)])];
}

function messageItem(answer: Answer, status: string, content: readonly object[]): object {
  return { id: itemId(answer, 0), type: 'message', status, content, role: 'assistant' };
}

function callItem(answer: Answer, index: number, status: string, text: string): object {
  const { id: call_id, name } = answer.toolCalls[index]!;
  return { id: itemId(answer, index), type: 'function_call', status, arguments: text, call_id, name };
}

function partOf(text: string): object {
  return { type: 'output_text', annotations: [], logprobs: [], text };
}

/** Items take turns here, so the pieces of all but the first are sent when that one is over. */
function streamEvents(answer: Answer, _request: ChatRequest, _behaviour: Behaviour) {
  const isCall = answer.toolCalls.length > 0;
  const text = answer.pieces.join('');
  const place = (index: number) => ({ item_id: itemId(answer, index), output_index: index });
  const inMessage = { ...place(0), content_index: 0 };
  const added = (index: number, item: object) => ({
    type: 'response.output_item.added',
    output_index: index,
    item,
  });
  const callDelta = (index: number, delta: string) => ({
    type: 'response.function_call_arguments.delta',
    ...place(index),
    delta,
  });
  const callClosing = (index: number) => [
    { type: 'response.function_call_arguments.done', ...place(index), arguments: text },
    { type: 'response.output_item.done', output_index: index, item: itemsOf(answer)[index] },
  ];
  const response = opened(answer);
  const opening = [
    { type: 'response.created', response },
    { type: 'response.in_progress', response },
    ...(isCall
      ? [added(0, callItem(answer, 0, 'in_progress', ''))]
      : [
          added(0, messageItem(answer, 'in_progress', [])),
          { type: 'response.content_part.added', ...inMessage, part: partOf('') },
        ]),
  ];
  const closing = isCall
    ? answer.toolCalls.flatMap((_, index) => [
        ...(index === 0
          ? []
          : [
              added(index, callItem(answer, index, 'in_progress', '')),
              ...answer.pieces.map((piece) => callDelta(index, piece)),
            ]),
        ...callClosing(index),
      ])
    : [
        { type: 'response.output_text.done', ...inMessage, text, logprobs: [] },
        { type: 'response.content_part.done', ...inMessage, part: partOf(text) },
        { type: 'response.output_item.done', output_index: 0, item: itemsOf(answer)[0] },
      ];
  let sent = opening.length;
  return {
    opening: numbered(opening, 0),
    content: (piece: string): StreamEvent[] => {
      const delta = isCall
        ? callDelta(0, piece)
        : { type: 'response.output_text.delta', ...inMessage, delta: piece, logprobs: [] };
      sent += 1;
      return numbered([delta], sent - 1).map((payload) => ({ payload, tokens: 1 }));
    },
    closing: numbered(closing, opening.length + answer.pieces.length),
  };
}

function numbered(events: readonly object[], from: number): object[] {
  return events.map((event, index) => ({ ...event, sequence_number: from + index }));
}

/** How many events come before the last. */
function eventCount({ pieces, toolCalls }: Answer): number {
  if (toolCalls.length === 0) return 4 + pieces.length + 3;
  return 3 + pieces.length + 2 + (toolCalls.length - 1) * (pieces.length + 3);
}

function usageOf({ reportedUsage }: Answer): object {
  const { prompt_tokens: input, completion_tokens: output, total_tokens } = reportedUsage;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
}
