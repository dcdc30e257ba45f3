// The same answers as text completions: what follows the prompt, as one text for each choice.
import { type Answer, type ChatRequest, chatWire, type StreamEvent, type WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

interface CompletionBody {
  model?: unknown;
  prompt?: unknown;
  stream?: unknown;
  stream_options?: { include_usage?: unknown } | null;
  max_tokens?: unknown;
  n?: unknown;
}

const BYTES_PER_TOKEN = 4;
const created = 1_700_000_000;

function readRequest(body: Buffer): ChatRequest | undefined {
  let parsed: CompletionBody;
  try {
    parsed = JSON.parse(body.toString()) as CompletionBody;
  } catch {
    return undefined;
  }
  const { model, prompt, max_tokens: limit, n } = parsed ?? {};
  if (typeof model !== 'string' || prompt === undefined) return undefined;
  const prompts = Array.isArray(prompt) && typeof prompt[0] === 'string' ? prompt.length : 1;
  return {
    model,
    streamed: parsed.stream === true,
    includeUsage: parsed.stream_options?.include_usage === true,
    promptTokens: Math.ceil(JSON.stringify(prompt).length / BYTES_PER_TOKEN),
    completionTokensMax: typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY,
    choices: (typeof n === 'number' ? n : 1) * prompts,
    toolName: '',
    script: undefined,
  };
}

function chunkOf(answer: Answer, choices: readonly object[], extra: object = {}): object {
  return { id: answer.id, object: 'text_completion', created, model: answer.model, choices, ...extra };
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const usage = behaviour.usageOn === 'never' ? {} : { usage: answer.reportedUsage };
  const text = answer.pieces.join('');
  return chunkOf(answer, eachChoice(answer, text, answer.finishReason), usage);
}

function streamEvents(answer: Answer, request: ChatRequest, behaviour: Behaviour) {
  const asked = request.includeUsage && behaviour.usageOn === 'request';
  const none = asked ? { usage: null } : {};
  return {
    opening: [],
    content: (piece: string): StreamEvent[] =>
      eachChoice(answer, piece, null).map((choice) => ({
        payload: chunkOf(answer, [choice], none),
        tokens: 1,
      })),
    closing: [
      ...eachChoice(answer, '', answer.finishReason).map((choice) => chunkOf(answer, [choice], none)),
      ...(asked ? [chunkOf(answer, [], { usage: answer.reportedUsage })] : []),
    ],
  };
}

function eachChoice(answer: Answer, text: string, finishReason: string | null): object[] {
  return Array.from({ length: answer.choices }, (_, index) => ({
    text,
    index,
    logprobs: null,
    finish_reason: finishReason,
  }));
}

export const completionWire: WireFormat = {
  ...chatWire,
  matches: (path) => path.endsWith('/completions') && !path.endsWith('/chat/completions'),
  readRequest,
  wholeBody,
  streamEvents,
};
