// Embeddings as Cohere has them, at Cohere and at Bedrock: the purpose has to be named, and so has the kind of numbers wanted.
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { ServiceTarget } from '../service.ts';
import { inputTokens } from '../usage.ts';
import {
  type EmbeddingRequest,
  type EmbeddingWire,
  impossible,
  type Purpose,
  refuse,
  type Vector,
  vectorOf,
} from './embedding.ts';

/** Cohere's own limit. */
const TEXTS_MAX = 96;

const inputTypes: Readonly<Partial<Record<Purpose, string>>> = {
  query: 'search_query',
  document: 'search_document',
  classification: 'classification',
  clustering: 'clustering',
};
/** Something has to be named; what is embedded without a word about it is mostly what will be searched. */
const USUAL = 'search_document';

export const cohereWire: EmbeddingWire = {
  encode: (request, target) => ({ model: target.model, ...cohereRequest(request, target) }),
  decode(answer) {
    const { billed_units: billed } = objectOf(answer.meta);
    return {
      id: textOf(answer.id),
      vectors: cohereVectors(answer),
      usage: inputTokens(objectOf(billed).input_tokens),
      rawUsage: isObject(answer.meta) ? JSON.stringify(answer.meta) : '',
    };
  },
};

/** All but the model, which stands in the path at Bedrock. */
export function cohereRequest(request: EmbeddingRequest, target: ServiceTarget): JsonObject {
  const { texts, dimensions, purpose } = request;
  if (texts.length > TEXTS_MAX) {
    throw impossible(
      request,
      `Cohere takes ${TEXTS_MAX} texts at a time, not ${texts.length}. Send them in parts.`,
    );
  }
  const inputType = purpose && inputTypes[purpose];
  refuse(request, inputType === undefined ? ['purpose', 'title'] : ['title'], target);
  return {
    texts,
    input_type: inputType ?? USUAL,
    embedding_types: ['float'],
    ...(dimensions && { output_dimension: dimensions }),
  };
}

/** By kind of number, or, from older models, a bare list. */
export function cohereVectors({ embeddings }: JsonObject): readonly Vector[] {
  const list = Array.isArray(embeddings) ? embeddings : objectOf(embeddings).float;
  return Array.isArray(list) ? list.map(vectorOf) : [vectorOf(undefined)];
}
