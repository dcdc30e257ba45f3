// Embeddings at Bedrock, where every maker's models are asked in the maker's own words: Amazon's Titan and Cohere's. The name of
// the model says which; a profile whose name hides it cannot be asked.
import { SignalboxError } from '#shared/errors.ts';
import type { UpstreamHeaders } from '../../dialects/dialect.ts';
import { objectOf, textOf } from '../../json/values.ts';
import type { ServiceTarget } from '../service.ts';
import { counted, inputTokens } from '../usage.ts';
import { cohereRequest, cohereVectors } from './cohere.ts';
import { type EmbeddingRequest, type EmbeddingWire, impossible, refuse, vectorOf } from './embedding.ts';

/** Bedrock counts for all makers, whatever their answers say. */
const TOKENS_HEADER = 'x-amzn-bedrock-input-token-count';

export const bedrockWire: EmbeddingWire = {
  encode(request, target) {
    if (target.model.includes('titan-embed')) return titanRequest(request, target);
    if (target.model.includes('cohere.embed')) return { ...cohereRequest(request, target), truncate: 'NONE' };
    throw new SignalboxError(
      'unsupported_by_provider',
      `"${target.model}" is no embedding model that is known at Bedrock. Ask for one of Titan's or Cohere's by its own name.`,
      { param: 'model' },
    );
  },
  decode(answer, headers) {
    const isTitan = answer.embedding !== undefined || answer.embeddingsByType !== undefined;
    const tokens = isTitan ? answer.inputTextTokenCount : tokensIn(headers);
    const usage = inputTokens(tokens);
    return {
      id: textOf(answer.id),
      vectors: isTitan
        ? [vectorOf(answer.embedding ?? objectOf(answer.embeddingsByType).float)]
        : cohereVectors(answer),
      usage,
      rawUsage:
        usage === undefined ? '' : isTitan ? JSON.stringify({ inputTextTokenCount: tokens }) : said(tokens),
    };
  },
};

function titanRequest(request: EmbeddingRequest, target: ServiceTarget) {
  const { texts, dimensions } = request;
  if (texts.length > 1) {
    throw impossible(
      request,
      `Titan takes one text at a time, not ${texts.length}. Send each text on its own.`,
    );
  }
  const isFirst = target.model.includes('-v1');
  refuse(request, isFirst ? ['dimensions', 'purpose', 'title'] : ['purpose', 'title'], target);
  return { inputText: texts[0], ...(dimensions && !isFirst && { dimensions }) };
}

function tokensIn(headers: UpstreamHeaders): number | undefined {
  const text = headers[TOKENS_HEADER];
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

function said(tokens: unknown): string {
  return counted({ input_tokens: tokens });
}
