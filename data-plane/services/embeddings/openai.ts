// Embeddings as OpenAI has them, and as most vendors and clients write them.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject, objectsIn, textOf, wrongType } from '../../json/values.ts';
import { inputTotal } from '../../turn/usage.ts';
import { noAnswer } from '../own-form.ts';
import { readTokens } from '../usage.ts';
import { fromBase64, toBase64 } from './base64.ts';
import {
  type EmbeddingAnswer,
  type EmbeddingRequest,
  type EmbeddingWire,
  type FieldNames,
  type Purpose,
  refuse,
  type Vector,
  vectorOf,
} from './embedding.ts';

const names: FieldNames = { texts: 'input', dimensions: 'dimensions', purpose: 'input_type', title: 'title' };
/** `user` says who asks, which is nobody's business but OpenAI's; leaving it out changes no vector. */
const understood = ['model', 'input', 'dimensions', 'encoding_format', 'input_type', 'user'];

/** Not OpenAI's: the field that hosts with other models have taken up from Cohere, in both their spellings. */
const purposes: Readonly<Record<string, Purpose>> = {
  search_query: 'query',
  query: 'query',
  search_document: 'document',
  document: 'document',
  passage: 'document',
  classification: 'classification',
  clustering: 'clustering',
};

export function decodeOpenai(body: JsonObject): EmbeddingRequest {
  const { dimensions, input_type: purpose } = body;
  checkEncoding(body);
  if (dimensions !== undefined && dimensions !== null && !isCount(dimensions)) {
    throw wrongType('dimensions', 'a whole number above 0');
  }
  const known = typeof purpose === 'string' ? purposes[purpose] : undefined;
  return {
    model: textOf(body.model),
    texts: textsOf(body.input),
    ...(isCount(dimensions) && { dimensions }),
    ...(known && { purpose: known }),
    names,
    untranslatable: Object.keys(body).filter(
      (key) => body[key] !== null && (!understood.includes(key) || (key === 'input_type' && !known)),
    ),
  };
}

function textsOf(input: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (list.length === 0) throw wrongType('input', 'a text or a list of texts, not empty');
  if (list.some((item) => typeof item === 'number' || Array.isArray(item))) {
    throw new SignalboxError(
      'unsupported_field',
      'The field "input" is not possible here: it holds tokens of one vendor, and the provider of this model counts its own. Send text.',
      { param: 'input' },
    );
  }
  if (!list.every((item) => typeof item === 'string')) throw wrongType('input', 'a text or a list of texts');
  return list;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0;
}

function checkEncoding({ encoding_format: format }: JsonObject): void {
  if (format === undefined || format === null || format === 'float' || format === 'base64') return;
  throw wrongType('encoding_format', '"float" or "base64"');
}

export function renderOpenai(
  { vectors, usage }: EmbeddingAnswer,
  model: string,
  encoding: string | undefined,
): JsonObject {
  const write: (vector: Vector) => unknown = encoding === 'base64' ? toBase64 : (vector) => vector;
  // Clients expect numbers here; what a provider did not say is 0 for them and unknown in the ledger.
  const tokens = usage === undefined ? 0 : inputTotal(usage);
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: write(vector) })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

export const openaiWire: EmbeddingWire = {
  encode(request, target) {
    refuse(request, ['purpose', 'title'], target);
    const { texts, dimensions } = request;
    return { model: target.model, input: texts, encoding_format: 'float', ...(dimensions && { dimensions }) };
  },
  decode(answer) {
    const items = objectsIn(answer.data).toSorted((one, other) => placeOf(one) - placeOf(other));
    if (items.length === 0) throw noAnswer('data');
    return {
      id: textOf(answer.id),
      vectors: items.map(({ embedding }) =>
        vectorOf(typeof embedding === 'string' ? fromBase64(embedding) : embedding),
      ),
      usage: readTokens(answer.usage),
      rawUsage: isObject(answer.usage) ? JSON.stringify(answer.usage) : '',
    };
  },
};

/** Hosts that name no places send the vectors in order. */
function placeOf({ index }: JsonObject): number {
  return typeof index === 'number' ? index : 0;
}
