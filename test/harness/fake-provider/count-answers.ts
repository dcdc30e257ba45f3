// Counting tokens, where the fake provider can be asked for that: it costs nothing, so it is on no bill. A prompt has as many tokens as
// it would be billed for.
import type { WireFormat } from './answers.ts';
import { geminiWire, tokensIn } from './gemini-answers.ts';
import { messagesWire } from './message-answers.ts';

export interface FakeCount {
  readonly wire: WireFormat;
  readonly model: string;
  /** Undefined for what is no such request. */
  readonly answer: object | undefined;
}

interface CountBody {
  model?: unknown;
  messages?: unknown;
  max_tokens?: unknown;
  contents?: unknown;
  generateContentRequest?: { model?: unknown; contents?: unknown };
}

/** Undefined where nothing is counted. */
export function countAt(path: string, body: Buffer): FakeCount | undefined {
  const inPath = /\/models\/([^/]+):countTokens$/.exec(path)?.[1];
  if (inPath === undefined && !path.endsWith('/messages/count_tokens')) return undefined;
  const { model, messages, max_tokens: limit, contents, generateContentRequest } = bodyOf(body);
  if (inPath === undefined) {
    // Anthropic refuses what would only matter for an answer.
    const isSound = Array.isArray(messages) && limit === undefined;
    return {
      wire: messagesWire,
      model: String(model ?? ''),
      answer: isSound ? { input_tokens: tokensIn(messages) } : undefined,
    };
  }
  const asked = generateContentRequest?.contents ?? contents;
  const isNamed = generateContentRequest === undefined || generateContentRequest.model === `models/${inPath}`;
  return {
    wire: geminiWire,
    model: decodeURIComponent(inPath),
    answer: Array.isArray(asked) && isNamed ? { totalTokens: tokensIn(asked) } : undefined,
  };
}

function bodyOf(body: Buffer): CountBody {
  try {
    return JSON.parse(body.toString()) as CountBody;
  } catch {
    return {};
  }
}
