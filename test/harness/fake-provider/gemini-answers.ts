// The same answers as Gemini's API has them: the model in the path, calls whole and behind the text, counts on every chunk, and an end
// that is a reason on the last chunk and no mark of its own.
import type { Answer, ChatRequest, StreamEvent, WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

const finishReasons = { stop: 'STOP', length: 'MAX_TOKENS', tool_calls: 'STOP' } as const;
const PATH = /\/(?:models|tunedModels)\/([^/]+):(generateContent|streamGenerateContent)$/;
const BYTES_PER_TOKEN = 4;

interface GeminiBody {
  contents?: unknown;
  tools?: { functionDeclarations?: { name?: unknown }[] }[];
  generationConfig?: { maxOutputTokens?: unknown; candidateCount?: unknown };
}

function readRequest(body: Buffer, path: string): ChatRequest | undefined {
  const [, model = '', verb] = PATH.exec(path) ?? [];
  let parsed: GeminiBody;
  try {
    parsed = JSON.parse(body.toString()) as GeminiBody;
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed?.contents)) return undefined;
  const { maxOutputTokens: limit, candidateCount: choices } = parsed.generationConfig ?? {};
  return {
    model: decodeURIComponent(model),
    streamed: verb === 'streamGenerateContent',
    includeUsage: true,
    promptTokens: tokensIn(parsed.contents),
    completionTokensMax: typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY,
    choices: typeof choices === 'number' ? choices : 1,
    toolName: String(parsed.tools?.[0]?.functionDeclarations?.[0]?.name ?? 'get_weather'),
    script: undefined,
  };
}

export function tokensIn(contents: unknown): number {
  return Math.ceil(JSON.stringify(contents).length / BYTES_PER_TOKEN);
}

/** The first of several calls is signed. */
export const FAKE_SIGNATURE = 'ZmFrZS10aG91Z2h0LXNpZ25hdHVyZQ==';

function callParts({ toolCalls, pieces }: Answer): readonly object[] {
  const args: unknown = toolCalls.length > 0 ? JSON.parse(pieces.join('')) : {};
  return toolCalls.map(({ name }, index) => ({
    functionCall: { name, args },
    ...(index === 0 && { thoughtSignature: FAKE_SIGNATURE }),
  }));
}

function candidate(index: number, parts: readonly object[], more: object = {}): object {
  return { content: { parts, role: 'model' }, ...more, index };
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const calls = callParts(answer);
  const parts = calls.length > 0 ? calls : [{ text: answer.pieces.join('') }];
  const finishReason = finishReasons[answer.finishReason];
  return {
    candidates: Array.from({ length: answer.choices }, (_, index) =>
      candidate(index, parts, { finishReason }),
    ),
    ...usageOf(answer, behaviour),
    modelVersion: answer.model,
    responseId: answer.id,
  };
}

function streamEvents(answer: Answer, _request: ChatRequest, behaviour: Behaviour) {
  const calls = callParts(answer);
  const chunk = (parts: readonly object[]): object => ({
    candidates: [candidate(0, parts)],
    ...usageOf(answer, behaviour),
    modelVersion: answer.model,
    responseId: answer.id,
  });
  return {
    opening: [],
    content: (piece: string): StreamEvent[] => [
      { payload: chunk([{ text: calls.length > 0 ? '' : piece }]), tokens: 1 },
    ],
    closing: calls.length > 0 ? [chunk(calls)] : [],
  };
}

function usageOf({ reportedUsage }: Answer, { usageOn }: Behaviour): object {
  if (usageOn === 'never') return {};
  return {
    usageMetadata: {
      promptTokenCount: reportedUsage.prompt_tokens,
      candidatesTokenCount: reportedUsage.completion_tokens,
      totalTokenCount: reportedUsage.total_tokens,
    },
  };
}

const errorRows: Readonly<Record<number, { status: string; message: string; details?: readonly object[] }>> =
  {
    400: { status: 'INVALID_ARGUMENT', message: 'The fake provider rejects this request.' },
    401: {
      status: 'INVALID_ARGUMENT',
      message: 'API key not valid. Please pass a valid API key.',
      details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' }],
    },
    404: { status: 'NOT_FOUND', message: 'models/unknown is not found for API version v1beta.' },
    429: {
      status: 'RESOURCE_EXHAUSTED',
      message: 'You exceeded your current quota.',
      details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '48s' }],
    },
  };

function errorBody(code: number, message?: string): object {
  const row = errorRows[code] ?? { status: 'INTERNAL', message: 'The fake provider had an error.' };
  return { error: { code, ...row, ...(message !== undefined && { message }) } };
}

export const geminiWire: WireFormat = {
  matches: (path) => PATH.test(path),
  readRequest,
  wholeBody,
  streamEvents,
  errorBody,
  eventName: () => undefined,
  endMark: (answer) => ({
    candidates: [candidate(0, [{ text: '' }], { finishReason: finishReasons[answer.finishReason] })],
    modelVersion: answer.model,
    responseId: answer.id,
  }),
};
