// Embeddings as Vertex has them: the older models behind `:predict`, as every other machine learning model there, the newer ones
// of Gemini behind `:embedContent`. Both are told apart by the name of the model.
import { type JsonObject, objectOf, objectsIn } from '../../json/values.ts';
import { noAnswer } from '../own-form.ts';
import { inputTokens } from '../usage.ts';
import { type EmbeddingRequest, type EmbeddingWire, impossible, vectorOf } from './embedding.ts';
import { geminiUsage, taskTypeOf } from './gemini.ts';

const PREDICTING_GEMINI = 'gemini-embedding-001';

/** What stands behind the model in the path. */
export function vertexEmbeddingVerb(model: string): 'predict' | 'embedContent' {
  return model.startsWith('gemini') && model !== PREDICTING_GEMINI ? 'embedContent' : 'predict';
}

export const vertexWire: EmbeddingWire = {
  encode(request, { model }) {
    const takesOne = model.startsWith('gemini');
    if (takesOne && request.texts.length > 1) {
      throw impossible(request, `"${model}" takes one text at a time at Vertex. Send each text on its own.`);
    }
    return vertexEmbeddingVerb(model) === 'predict' ? prediction(request) : content(request);
  },
  decode(answer) {
    if (answer.embedding !== undefined) {
      return { id: '', vectors: [vectorOf(objectOf(answer.embedding).values)], ...geminiUsage(answer) };
    }
    const embeddings = objectsIn(answer.predictions).map((prediction) => objectOf(prediction.embeddings));
    if (embeddings.length === 0) throw noAnswer('predictions');
    return {
      id: '',
      vectors: embeddings.map(({ values }) => vectorOf(values)),
      usage: inputTokens(tokensOf(embeddings)),
      rawUsage: JSON.stringify({
        statistics: embeddings.map(({ statistics }) => statistics ?? null),
        ...(answer.metadata !== undefined && { metadata: answer.metadata }),
      }),
    };
  },
};

function prediction({ texts, dimensions, purpose, title }: EmbeddingRequest): JsonObject {
  return {
    instances: texts.map((text) => ({
      content: text,
      ...(purpose && { task_type: taskTypeOf(purpose) }),
      ...(title !== undefined && { title }),
    })),
    ...(dimensions && { parameters: { outputDimensionality: dimensions } }),
  };
}

function content({ texts, dimensions, purpose, title }: EmbeddingRequest): JsonObject {
  const wishes = {
    ...(purpose && { taskType: taskTypeOf(purpose) }),
    ...(title !== undefined && { title }),
    ...(dimensions && { outputDimensionality: dimensions }),
  };
  return {
    content: { parts: [{ text: texts[0] }] },
    ...(Object.keys(wishes).length > 0 && { embedContentConfig: wishes }),
  };
}

/** Undefined unless every text has a count. */
function tokensOf(embeddings: readonly JsonObject[]): number | undefined {
  let sum = 0;
  for (const { statistics } of embeddings) {
    const { token_count: tokens } = objectOf(statistics);
    if (typeof tokens !== 'number') return undefined;
    sum += tokens;
  }
  return sum;
}
