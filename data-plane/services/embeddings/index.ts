// Embeddings, for clients that speak OpenAI's language or Gemini's, from vendors that speak either or one of their own.
import type { Address } from '../../dialects/dialect.ts';
import { parseJson } from '../../json/parse.ts';
import { objectOf } from '../../json/values.ts';
import { ownForm } from '../own-form.ts';
import { detailsOf, jsonReader } from '../read-request.ts';
import type { Service, ServiceRequest } from '../service.ts';
import { embeddingForms, withMeaning } from './client.ts';
import { decodeGemini, renderGemini, renderGeminiOne } from './gemini.ts';
import { geminiBatchForm, geminiOneForm, readGemini, requestsIn } from './gemini-own.ts';
import { decodeOpenai, renderOpenai } from './openai.ts';

const readOpenai = jsonReader('encoding_format');

export const embeddings: Service = Object.freeze<Service>({
  name: 'embeddings',
  read: (body, contentType) => {
    const request = readOpenai(body, contentType);
    return withMeaning(request, () => decodeOpenai(objectOf(parseJson(request.body))));
  },
  forms: embeddingForms(
    (answer, request) => renderOpenai(answer, request.model, detailsOf(request).fields.encoding_format),
    { openai: ownForm({ holds: 'data' }) },
  ),
});

/** `:batchEmbedContents`. */
export const geminiEmbeddings: Service = Object.freeze<Service>({
  name: 'embeddings',
  read: (body, _contentType, address) => geminiRequest('requests', body, address),
  forms: embeddingForms(renderGemini, { gemini: geminiBatchForm }),
});

/** `:embedContent`. */
export const geminiEmbedding: Service = Object.freeze<Service>({
  name: 'embeddings',
  read: (body, _contentType, address) => geminiRequest('content', body, address),
  forms: embeddingForms(renderGeminiOne, { gemini: geminiOneForm }),
});

function geminiRequest(
  shape: 'requests' | 'content',
  body: Buffer,
  address: Address | undefined,
): ServiceRequest {
  const request = readGemini(shape, body, address);
  return withMeaning(request, () => decodeGemini(requestsIn(request), request.model));
}
