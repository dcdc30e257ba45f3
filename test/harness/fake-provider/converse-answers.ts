// The same answers in the shape of Converse at AWS Bedrock: the model in the path, streams of binary messages with padding in
// them, text that begins without being announced, and counts that come after the end.
import { writeEvent, writeException } from '../../fixtures/aws-event-stream.ts';
import type { Answer, ChatRequest, StreamEvent, WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

const PATH = /\/model\/([^/]+)\/converse(-stream)?$/;
const BYTES_PER_TOKEN = 4;
/** Of changing length at AWS, so that the size of a message says nothing. */
const PADDING = 'abcdefghijklmnop';

const stopReasons = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' } as const;

export const converseWire: WireFormat = {
  matches: (path) => PATH.test(path),
  readRequest,
  wholeBody: (answer, behaviour) => ({
    output: { message: { role: 'assistant', content: contentOf(answer) } },
    stopReason: stopReasons[answer.finishReason],
    ...(behaviour.usageOn !== 'never' && { usage: usageOf(answer) }),
    metrics: { latencyMs: 5 },
  }),
  streamEvents,
  errorBody: (status, message) => ({ message: message ?? `The fake provider answers ${status}.` }),
  errorHeaders: (status) => ({
    'x-amzn-errortype': `${errorTypes[status] ?? 'InternalServerException'}:http://internal.amazon.com/coral/`,
  }),
  eventName: () => undefined,
  endMark: (answer) => ({ metadata: { usage: usageOf(answer), metrics: { latencyMs: 5 } } }),
  framing: {
    contentType: 'application/vnd.amazon.eventstream',
    write: (payload) => {
      // What is no event here is nonsense on purpose, and stays what it is inside a sound message.
      if (typeof payload === 'string') return writeEvent('contentBlockDelta', payload);
      const [[type, event] = ['', {}]] = Object.entries(payload) as [string, object][];
      return writeEvent(type, { ...event, p: PADDING });
    },
    writeError: (message) => writeException('throttlingException', { message }),
  },
};

interface ConverseBody {
  messages?: unknown;
  inferenceConfig?: { maxTokens?: unknown };
  toolConfig?: { tools?: { toolSpec?: { name?: unknown } }[] };
}

function readRequest(body: Buffer, path: string): ChatRequest | undefined {
  let parsed: ConverseBody;
  try {
    parsed = JSON.parse(body.toString()) as ConverseBody;
  } catch {
    return undefined;
  }
  const [, model = '', streaming] = PATH.exec(path) ?? [];
  const { messages, inferenceConfig, toolConfig } = parsed;
  if (!Array.isArray(messages) || messages.length === 0 || 'model' in parsed || 'stream' in parsed)
    return undefined;
  return {
    model: decodeURIComponent(model),
    streamed: streaming !== undefined,
    includeUsage: true,
    promptTokens: Math.ceil(JSON.stringify(messages).length / BYTES_PER_TOKEN),
    completionTokensMax: Number(inferenceConfig?.maxTokens ?? Number.POSITIVE_INFINITY),
    choices: 1,
    toolName: String(toolConfig?.tools?.[0]?.toolSpec?.name ?? 'get_weather'),
    script: undefined,
  };
}

function contentOf({ toolCalls, pieces }: Answer): readonly object[] {
  const text = pieces.join('');
  if (toolCalls.length === 0) return [{ text }];
  return toolCalls.map(({ id, name }) => ({ toolUse: { toolUseId: id, name, input: JSON.parse(text) } }));
}

function streamEvents(answer: Answer, _request: ChatRequest, _behaviour: Behaviour) {
  const { toolCalls, pieces, finishReason } = answer;
  const [first, ...others] = toolCalls;
  const started = (contentBlockIndex: number, { id, name }: Answer['toolCalls'][number]) => ({
    contentBlockStart: { contentBlockIndex, start: { toolUse: { toolUseId: id, name } } },
  });
  const delta = (contentBlockIndex: number, piece: string) => ({
    contentBlockDelta: {
      contentBlockIndex,
      delta: first === undefined ? { text: piece } : { toolUse: { input: piece } },
    },
  });
  const stopped = (contentBlockIndex: number) => ({ contentBlockStop: { contentBlockIndex } });
  return {
    opening: [{ messageStart: { role: 'assistant' } }, ...(first === undefined ? [] : [started(0, first)])],
    content: (piece: string): StreamEvent[] => [{ payload: delta(0, piece), tokens: 1 }],
    closing: [
      stopped(0),
      ...others.flatMap((call, offset) => [
        started(offset + 1, call),
        ...pieces.map((piece) => delta(offset + 1, piece)),
        stopped(offset + 1),
      ]),
      { messageStop: { stopReason: stopReasons[finishReason] } },
    ],
  };
}

function usageOf({ reportedUsage }: Answer): object {
  const {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: totalTokens,
  } = reportedUsage;
  return { inputTokens, outputTokens, totalTokens, serverToolUsage: {} };
}

const errorTypes: Readonly<Record<number, string>> = {
  400: 'ValidationException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  424: 'ModelErrorException',
  429: 'ThrottlingException',
  503: 'ServiceUnavailableException',
};
