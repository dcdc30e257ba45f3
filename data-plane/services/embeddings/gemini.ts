// Embeddings as Gemini has them: one text per content, wishes beside each. Clients ask for one or for a batch; the batch is what
// is sent, because it is the one that takes both.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject, objectOf, objectsIn, textOf, wrongType } from '../../json/values.ts';
import { inputTotal } from '../../turn/usage.ts';
import { noAnswer } from '../own-form.ts';
import { inputTokens } from '../usage.ts';
import {
  type EmbeddingAnswer,
  type EmbeddingRequest,
  type EmbeddingWire,
  type FieldNames,
  type Purpose,
  vectorOf,
} from './embedding.ts';

const names: FieldNames = {
  texts: 'content',
  dimensions: 'outputDimensionality',
  purpose: 'taskType',
  title: 'title',
};
const understood = ['model', 'content', 'outputDimensionality', 'taskType', 'title'];

const taskTypes: Readonly<Record<Purpose, string>> = {
  query: 'RETRIEVAL_QUERY',
  document: 'RETRIEVAL_DOCUMENT',
  classification: 'CLASSIFICATION',
  clustering: 'CLUSTERING',
  similarity: 'SEMANTIC_SIMILARITY',
  question: 'QUESTION_ANSWERING',
  fact: 'FACT_VERIFICATION',
  code: 'CODE_RETRIEVAL_QUERY',
};
const purposes = new Map(Object.entries(taskTypes).map(([purpose, name]) => [name, purpose as Purpose]));

/** What Google calls a purpose, here and at Vertex. */
export function taskTypeOf(purpose: Purpose): string {
  return taskTypes[purpose];
}

/** `model`: as the address names it. */
export function decodeGemini(requests: readonly JsonObject[], model: string): EmbeddingRequest {
  const [first] = requests;
  if (first === undefined) throw wrongType('requests', 'a list of requests, not empty');
  for (const other of requests) {
    for (const field of ['outputDimensionality', 'taskType', 'title']) {
      if (other[field] !== first[field]) throw mixed(field);
    }
  }
  const { outputDimensionality: dimensions, taskType, title } = first;
  const purpose = purposes.get(textOf(taskType));
  return {
    model,
    texts: requests.map(({ content }) => textIn(content)),
    ...(typeof dimensions === 'number' && { dimensions }),
    ...(purpose && { purpose }),
    ...(typeof title === 'string' && { title }),
    names,
    untranslatable: Object.keys(first).filter(
      (key) =>
        !understood.includes(key) || (key === 'taskType' && !purpose && taskType !== 'TASK_TYPE_UNSPECIFIED'),
    ),
  };
}

function textIn(content: unknown): string {
  const parts = objectsIn(objectOf(content).parts);
  if (parts.length === 0) throw wrongType('content', 'an object with parts');
  if (parts.every((part) => typeof part.text === 'string')) return parts.map(({ text }) => text).join('');
  throw new SignalboxError(
    'unsupported_field',
    'The field "content.parts" is not possible here: the provider of this model takes text only. Send text, or ask a model of Gemini.',
    { param: 'content' },
  );
}

function mixed(field: string): SignalboxError {
  return new SignalboxError(
    'unsupported_field',
    `The field "${field}" is not possible here: the provider of this model takes one value for all texts. Send a batch for each.`,
    { param: field },
  );
}

export function renderGemini({ vectors, usage }: EmbeddingAnswer): JsonObject {
  return { embeddings: vectors.map((values) => ({ values })), ...usageOf(usage) };
}

export function renderGeminiOne({ vectors, usage }: EmbeddingAnswer): JsonObject {
  return { embedding: { values: vectors[0] }, ...usageOf(usage) };
}

function usageOf(usage: EmbeddingAnswer['usage']): JsonObject {
  return usage === undefined ? {} : { usageMetadata: { promptTokenCount: inputTotal(usage) } };
}

/** What stands in each request of a batch. A name may say where the model is kept. */
export function geminiModelName(model: string): string {
  return /^(models|tunedModels)\//.test(model) ? model : `models/${model}`;
}

export const geminiWire: EmbeddingWire = {
  encode({ texts, dimensions, purpose, title }, { model }) {
    return {
      requests: texts.map((text) => ({
        model: geminiModelName(model),
        content: { parts: [{ text }] },
        ...(purpose && { taskType: taskTypes[purpose] }),
        ...(title !== undefined && { title }),
        ...(dimensions && { outputDimensionality: dimensions }),
      })),
    };
  },
  decode(answer) {
    const embeddings = objectsIn(answer.embeddings);
    if (embeddings.length === 0) throw noAnswer('embeddings');
    return { id: '', vectors: embeddings.map(({ values }) => vectorOf(values)), ...geminiUsage(answer) };
  },
};

/** Older models say nothing of what they used. */
export function geminiUsage({ usageMetadata }: JsonObject): Pick<EmbeddingAnswer, 'usage' | 'rawUsage'> {
  if (!isObject(usageMetadata)) return { usage: undefined, rawUsage: '' };
  return { usage: inputTokens(usageMetadata.promptTokenCount), rawUsage: JSON.stringify(usageMetadata) };
}
