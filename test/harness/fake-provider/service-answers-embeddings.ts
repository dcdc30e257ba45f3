// Embeddings of the fake provider in the shapes of all vendors. A text's vector begins with its length and goes on with numbers
// that 32 bits hold exactly, so that a vector which was converted on its way can be compared with one that was not.
import {
  type Asked,
  type FakeService,
  jsonAnswer,
  type ServiceAnswer,
  tokensOf,
} from './service-answers-wire.ts';

const DIMENSIONS = 4;
const noTokens = 0;

/** The vector that a text has at this provider. */
export function fakeVector(text: string, dimensions = DIMENSIONS): number[] {
  return Array.from({ length: dimensions }, (_, index) => (index === 0 ? text.length : -index / 8));
}

function openai(asked: Asked): ServiceAnswer | undefined {
  const { input, encoding_format: format, dimensions } = asked.json;
  if (input === undefined) return undefined;
  const texts = [input].flat().map((text) => (typeof text === 'string' ? text : JSON.stringify(text)));
  const tokens = sum(texts);
  const data = texts.map((text, index) => {
    const vector = fakeVector(text, dimensions as number | undefined);
    const bytes = Buffer.from(Float32Array.from(vector).buffer);
    return { object: 'embedding', index, embedding: format === 'base64' ? bytes.toString('base64') : vector };
  });
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return jsonAnswer(asked, { object: 'list', data, model: asked.model, usage }, [tokens, noTokens]);
}

interface Content {
  readonly parts?: readonly { readonly text?: string }[];
}

function textIn(content: unknown): string {
  return ((content as Content)?.parts ?? []).map(({ text }) => text ?? '').join('');
}

function gemini(asked: Asked): ServiceAnswer | undefined {
  const { requests } = asked.json;
  if (!Array.isArray(requests) || !requests.every(({ model }) => model === `models/${asked.model}`))
    return undefined;
  const texts = requests.map(({ content }) => textIn(content));
  const embeddings = texts.map((text, index) => ({
    values: fakeVector(text, requests[index].outputDimensionality),
  }));
  const tokens = sum(texts);
  return jsonAnswer(asked, { embeddings, usageMetadata: { promptTokenCount: tokens } }, [tokens, noTokens]);
}

function vertexPredict(asked: Asked): ServiceAnswer | undefined {
  const { instances, parameters } = asked.json;
  if (!Array.isArray(instances)) return undefined;
  const { outputDimensionality } = (parameters ?? {}) as { outputDimensionality?: number };
  const texts = instances.map(({ content }) => String(content));
  const predictions = texts.map((text) => ({
    embeddings: {
      values: fakeVector(text, outputDimensionality),
      statistics: { token_count: tokensOf(text), truncated: false },
    },
  }));
  return jsonAnswer(asked, { predictions }, [sum(texts), noTokens]);
}

function vertexContent(asked: Asked): ServiceAnswer | undefined {
  const text = textIn(asked.json.content);
  const embedding = { values: fakeVector(text) };
  const usageMetadata = { promptTokenCount: tokensOf(text) };
  return jsonAnswer(asked, { embedding, usageMetadata }, [tokensOf(text), noTokens]);
}

function cohere(asked: Asked): ServiceAnswer | undefined {
  const { texts, input_type: purpose, embedding_types: types, output_dimension: dimensions } = asked.json;
  if (!Array.isArray(texts) || typeof purpose !== 'string' || !Array.isArray(types)) return undefined;
  const float = texts.map((text) => fakeVector(text, dimensions as number | undefined));
  const meta = { api_version: { version: '2' }, billed_units: { input_tokens: sum(texts) } };
  return jsonAnswer(asked, { id: 'embed-fake', texts, embeddings: { float }, meta }, [sum(texts), noTokens]);
}

function bedrock(asked: Asked): ServiceAnswer | undefined {
  const { inputText, texts, query, documents } = asked.json;
  if (typeof query === 'string' && Array.isArray(documents)) {
    const results = documents.map((_, index) => ({ index, relevance_score: 1 / (index + 1) }));
    return jsonAnswer(asked, { results }, [tokensOf(query), noTokens]);
  }
  if (typeof inputText === 'string') {
    const tokens = tokensOf(inputText);
    const body = { embedding: fakeVector(inputText), inputTextTokenCount: tokens };
    return jsonAnswer(asked, body, [tokens, noTokens]);
  }
  if (!Array.isArray(texts)) return undefined;
  const body = { id: 'embed-fake', embeddings: { float: texts.map((text) => fakeVector(text)) } };
  const headers = { 'x-amzn-bedrock-input-token-count': String(sum(texts)) };
  return { ...jsonAnswer(asked, body, [sum(texts), noTokens]), headers };
}

function sum(texts: readonly string[]): number {
  return texts.reduce((total, text) => total + tokensOf(text), 0);
}

export const embeddingServices: readonly FakeService[] = [
  { path: /\/embeddings$/, answer: openai },
  { path: /:batchEmbedContents$/, answer: gemini },
  { path: /:predict$/, answer: vertexPredict },
  { path: /:embedContent$/, answer: vertexContent },
  { path: /\/v2\/embed$/, answer: cohere },
  { path: /\/invoke$/, answer: bedrock },
];
