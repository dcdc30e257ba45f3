// A request for ranking, read, and an answer to it.
import { isObject, type JsonObject, objectsIn, textOf, wrongType } from '../../json/values.ts';
import { noAnswer } from '../own-form.ts';
import { counted } from '../usage.ts';

export interface RankingRequest {
  readonly model: string;
  readonly query: string;
  readonly documents: readonly string[];
  readonly topCount?: number;
  readonly documentTokensMax?: number;
  readonly returnsDocuments: boolean;
  /** Fields that mean nothing to vendors with an API of their own. */
  readonly untranslatable: readonly string[];
}

const understood = ['model', 'query', 'documents', 'top_n', 'max_tokens_per_doc', 'return_documents'];

export function readRanking(body: JsonObject): RankingRequest {
  const { query, documents, top_n: topCount, max_tokens_per_doc: documentTokensMax } = body;
  if (typeof query !== 'string') throw wrongType('query', 'a text');
  if (!Array.isArray(documents) || documents.length === 0) throw wrongType('documents', 'a list, not empty');
  return {
    model: textOf(body.model),
    query,
    documents: documents.map(documentText),
    ...(typeof topCount === 'number' && { topCount }),
    ...(typeof documentTokensMax === 'number' && { documentTokensMax }),
    returnsDocuments: body.return_documents === true,
    untranslatable: Object.keys(body).filter((key) => body[key] !== null && !understood.includes(key)),
  };
}

function documentText(document: unknown, index: number): string {
  const text = isObject(document) ? document.text : document;
  if (typeof text === 'string') return text;
  throw wrongType(`documents[${index}]`, 'a text, or an object with a "text"');
}

/** The results with the documents beside them, where the client asked for those. */
export function renderRanking(answer: JsonObject, request: RankingRequest): JsonObject {
  const results = objectsIn(answer.results).map((result) => rendered(result, request));
  if (!Array.isArray(answer.results)) throw noAnswer('results');
  return {
    id: textOf(answer.id),
    model: request.model,
    results,
    ...(isObject(answer.meta) && { meta: answer.meta }),
  };
}

function rendered({ index, relevance_score: score }: JsonObject, request: RankingRequest): JsonObject {
  const text = typeof index === 'number' ? request.documents[index] : undefined;
  if (text === undefined || typeof score !== 'number') throw noAnswer('results that belong to the documents');
  return { index, relevance_score: score, ...(request.returnsDocuments && { document: { text } }) };
}

/** Cohere charges by the search, which is one question and up to a hundred documents; others have taken that up too. */
const DOCUMENTS_PER_SEARCH = 100;

export function countSearches(documents: number): string {
  return counted({ documents, search_units: Math.ceil(documents / DOCUMENTS_PER_SEARCH) });
}
