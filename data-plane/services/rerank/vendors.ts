// Ranking at Cohere, and at Bedrock, where Amazon's and Cohere's models are asked in almost the same words.
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { ServiceForm, ServiceRequest, ServiceTarget } from '../service.ts';
import { vendorForm } from '../vendor-form.ts';
import { countSearches, type RankingRequest, readRanking, renderRanking } from './ranking.ts';

export const cohereRerank = rankingForm((request, { model }) => ({
  model,
  ...rankingBody(request),
  ...(request.documentTokensMax !== undefined && { max_tokens_per_doc: request.documentTokensMax }),
}));

export const bedrockRerank = rankingForm((request, { model, unsupported }) => {
  if (request.documentTokensMax !== undefined) {
    unsupported('max_tokens_per_doc', 'Bedrock has no such limit.');
  }
  return { ...rankingBody(request), ...(model.includes('cohere') && { api_version: 2 }) };
});

function rankingBody({ query, documents, topCount }: RankingRequest): JsonObject {
  return { query, documents, ...(topCount !== undefined && { top_n: topCount }) };
}

function rankingForm(write: (request: RankingRequest, target: ServiceTarget) => JsonObject): ServiceForm {
  return vendorForm({
    encode(request, target) {
      const asked = readRequest(request);
      for (const field of asked.untranslatable) {
        target.unsupported(field, 'it has no meaning for the provider of this model.');
      }
      return write(asked, target);
    },
    convert(answer, request) {
      const asked = readRequest(request);
      const rawUsage = isObject(answer.meta)
        ? JSON.stringify(answer.meta)
        : countSearches(asked.documents.length);
      const report = { id: textOf(answer.id), usage: undefined, rawUsage, error: undefined };
      return { answer: renderRanking(answer, asked), report };
    },
  });
}

function readRequest({ body }: ServiceRequest): RankingRequest {
  return readRanking(objectOf(parseJson(body)));
}
