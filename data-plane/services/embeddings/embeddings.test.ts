// Every vendor's way of writing embeddings, seen from the clients: what goes out, what comes back, what is refused.
import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import type { Service, ServiceRequest } from '../service.ts';
import { toBase64 } from './base64.ts';
import { embeddings, geminiEmbedding, geminiEmbeddings } from './index.ts';

const address = { model: 'public', stream: false };

function asked(body: object, service: Service = embeddings): ServiceRequest {
  return service.read(Buffer.from(JSON.stringify(body)), 'application/json', address);
}

function sent(form: string, body: object, { model = 'up', service = embeddings, drops = false } = {}) {
  const dropped: string[] = [];
  const unsupported = (field: string): void => {
    if (!drops) throw new Error(`unsupported ${field}`);
    dropped.push(field);
  };
  const encoded = service.forms[form]!.encode(asked(body, service), { model, unsupported });
  return { body: JSON.parse(Buffer.concat([...encoded.body]).toString()), dropped };
}

function received(form: string, body: object, answer: object, headers = {}, service = embeddings) {
  const converted = service.forms[form]!.convert(
    Buffer.from(JSON.stringify(answer)),
    asked(body, service),
    headers,
  );
  return { ...converted, body: JSON.parse(converted.body.toString()) };
}

function refusal(run: () => unknown): SignalboxError {
  try {
    run();
  } catch (thrown) {
    return thrown as SignalboxError;
  }
  throw new Error('it was accepted');
}

const two = { model: 'public', input: ['one', 'two'] };
const one = { model: 'public', input: 'one' };
const wishes = { ...two, dimensions: 64, input_type: 'search_query' };

describe('what goes out for a client of OpenAI', () => {
  test.each([
    [
      'gemini',
      'up',
      {
        requests: [
          {
            model: 'models/up',
            content: { parts: [{ text: 'one' }] },
            taskType: 'RETRIEVAL_QUERY',
            outputDimensionality: 64,
          },
          {
            model: 'models/up',
            content: { parts: [{ text: 'two' }] },
            taskType: 'RETRIEVAL_QUERY',
            outputDimensionality: 64,
          },
        ],
      },
    ],
    [
      'vertex',
      'text-embedding-005',
      {
        instances: [
          { content: 'one', task_type: 'RETRIEVAL_QUERY' },
          { content: 'two', task_type: 'RETRIEVAL_QUERY' },
        ],
        parameters: { outputDimensionality: 64 },
      },
    ],
    [
      'cohere',
      'embed-v4.0',
      {
        model: 'embed-v4.0',
        texts: ['one', 'two'],
        input_type: 'search_query',
        embedding_types: ['float'],
        output_dimension: 64,
      },
    ],
    [
      'bedrock',
      'us.cohere.embed-v4:0',
      {
        texts: ['one', 'two'],
        input_type: 'search_query',
        embedding_types: ['float'],
        output_dimension: 64,
        truncate: 'NONE',
      },
    ],
  ])('to %s', (form, model, expected) => {
    expect(sent(form, wishes, { model }).body).toEqual(expected);
  });

  test('to Vertex, for models that are asked like Gemini’s', () => {
    const model = 'gemini-embedding-2';
    expect(sent('vertex', { ...one, dimensions: 8 }, { model }).body).toEqual({
      content: { parts: [{ text: 'one' }] },
      embedContentConfig: { outputDimensionality: 8 },
    });
    expect(sent('vertex', one, { model: 'gemini-embedding-001' }).body).toEqual({
      instances: [{ content: 'one' }],
    });
  });

  test('to Titan', () => {
    const model = 'amazon.titan-embed-text-v2:0';
    expect(sent('bedrock', { ...one, dimensions: 256 }, { model }).body).toEqual({
      inputText: 'one',
      dimensions: 256,
    });
  });

  test('to Cohere, without a word about the purpose: what is embedded will be searched', () => {
    expect(sent('cohere', one).body.input_type).toBe('search_document');
  });

  test('a list of one is one', () => {
    expect(sent('bedrock', { ...one, input: ['one'] }, { model: 'titan-embed-text-v1' }).body).toEqual({
      inputText: 'one',
    });
  });
});

describe('what goes out for a client of Gemini', () => {
  const content = (text: string) => ({ parts: [{ text }, { text: '!' }] });
  const batch = {
    requests: ['a', 'b'].map((text) => ({
      model: 'models/x',
      content: content(text),
      outputDimensionality: 4,
    })),
  };

  test('to OpenAI', () => {
    expect(sent('openai', batch, { service: geminiEmbeddings }).body).toEqual({
      model: 'up',
      input: ['a!', 'b!'],
      encoding_format: 'float',
      dimensions: 4,
    });
    expect(sent('openai', { content: content('a') }, { service: geminiEmbedding }).body).toMatchObject({
      input: ['a!'],
    });
  });

  test('to Gemini, with nothing but the model changed', () => {
    const raw =
      '{ "requests":[ {"content":{"parts":[{"text":"ä"}]}, "model":"models/x","new":1},{"content" : {}}, {} ] }';
    const request = geminiEmbeddings.read(Buffer.from(raw), 'application/json', address);
    const encoded = geminiEmbeddings.forms.gemini!.encode(request, { model: 'up', unsupported: () => {} });
    expect(Buffer.concat([...encoded.body]).toString()).toBe(
      '{ "requests":[ {"content":{"parts":[{"text":"ä"}]}, "model":"models/up","new":1},{"model":"models/up","content" : {}}, {"model":"models/up"} ] }',
    );
  });

  test('to Gemini, one as a batch of one, and its answer back', () => {
    const raw = '{"taskType":"CLUSTERING", "content":{"parts":[{"text":"a"}]}}';
    const request = geminiEmbedding.read(Buffer.from(raw), 'application/json', address);
    const form = geminiEmbedding.forms.gemini!;
    const encoded = form.encode(request, { model: 'up', unsupported: () => {} });
    expect(Buffer.concat([...encoded.body]).toString()).toBe(
      '{"requests":[{"model":"models/up","taskType":"CLUSTERING", "content":{"parts":[{"text":"a"}]}}]}',
    );
    const answer = '{"embeddings": [ {"values": [0.10] } ], "usageMetadata":{"promptTokenCount":3}}';
    const { body, report } = form.convert(Buffer.from(answer), request, {});
    expect(body.toString()).toBe('{"embedding":{"values": [0.10] },"usageMetadata":{"promptTokenCount":3}}');
    expect(report).toMatchObject({ usage: { input: 3 }, rawUsage: '{"promptTokenCount":3}' });
  });
});

describe('what comes back', () => {
  const vectors = [
    [0.5, -1],
    [2, 0.25],
  ];
  const statistics = { token_count: 3, truncated: false };
  const rows: [string, object, object, number | undefined, string][] = [
    ['gemini', { embeddings: vectors.map((values) => ({ values })) }, {}, undefined, ''],
    [
      'gemini',
      { embeddings: vectors.map((values) => ({ values })), usageMetadata: { promptTokenCount: 4 } },
      {},
      4,
      '{"promptTokenCount":4}',
    ],
    [
      'vertex',
      { predictions: vectors.map((values) => ({ embeddings: { values, statistics } })) },
      {},
      6,
      JSON.stringify({ statistics: [statistics, statistics] }),
    ],
    [
      'cohere',
      { id: 'e', embeddings: { float: vectors }, meta: { billed_units: { input_tokens: 5 } } },
      {},
      5,
      '{"billed_units":{"input_tokens":5}}',
    ],
    [
      'bedrock',
      { embeddings: vectors },
      { 'x-amzn-bedrock-input-token-count': '9' },
      9,
      '{"counted":{"input_tokens":9}}',
    ],
    ['bedrock', { embeddings: { float: vectors } }, {}, undefined, ''],
  ];

  test.each(rows)('from %s is what OpenAI’s clients expect', (form, answer, headers, tokens, rawUsage) => {
    const { body, report } = received(form, two, answer, headers);
    expect(body).toEqual({
      object: 'list',
      data: vectors.map((embedding, index) => ({ object: 'embedding', index, embedding })),
      model: 'public',
      usage: { prompt_tokens: tokens ?? 0, total_tokens: tokens ?? 0 },
    });
    expect(report.usage?.input).toBe(tokens);
    expect(report.rawUsage).toBe(rawUsage);
  });

  test('from Titan', () => {
    const answer = { embedding: [1, 2], inputTextTokenCount: 7 };
    const { body, report } = received('bedrock', one, answer);
    expect(body.data[0].embedding).toEqual([1, 2]);
    expect(report).toMatchObject({ usage: { input: 7 }, rawUsage: '{"inputTextTokenCount":7}' });
  });

  test('in base64 where that was asked for', () => {
    const { body } = received(
      'gemini',
      { ...one, encoding_format: 'base64' },
      { embeddings: [{ values: [1, 2] }] },
    );
    expect(body.data[0].embedding).toBe(toBase64([1, 2]));
  });

  test('from OpenAI, in whatever order and coding, is what Gemini’s clients expect', () => {
    const batch = { requests: ['a', 'b'].map((text) => ({ content: { parts: [{ text }] } })) };
    const answer = {
      data: [
        { index: 1, embedding: [2, 0.25] },
        { index: 0, embedding: toBase64([0.5, -1]) },
      ],
      usage: { prompt_tokens: 2, total_tokens: 2 },
    };
    const { body, report } = received('openai', batch, answer, {}, geminiEmbeddings);
    expect(body).toEqual({
      embeddings: vectors.map((values) => ({ values })),
      usageMetadata: { promptTokenCount: 2 },
    });
    expect(report.usage?.input).toBe(2);
  });

  test.each([
    ['gemini', {}],
    ['gemini', { embeddings: [{ values: [] }, { values: [1] }] }],
    ['gemini', { embeddings: [{ values: [1] }] }],
    ['vertex', { predictions: [] }],
    ['cohere', { embeddings: { int8: [[1], [2]] } }],
    ['bedrock', { embedding: ['1'] }],
    ['cohere', { embeddings: 3 }],
  ])('from %s that cannot be it is an error: %j', (form, answer) => {
    expect(refusal(() => received(form, two, answer)).code).toBe('upstream_invalid');
  });
});

describe('what cannot be asked of a vendor', () => {
  test.each([
    ['tokens', 'gemini', { ...one, input: [1, 2] }, 'up', 'input'],
    ['lists of tokens', 'cohere', { ...one, input: [[1], [2]] }, 'up', 'input'],
    ['several texts at once', 'bedrock', two, 'amazon.titan-embed-text-v2:0', 'input'],
    ['several texts at once', 'vertex', two, 'gemini-embedding-001', 'input'],
    ['97 texts', 'cohere', { ...one, input: Array.from({ length: 97 }, () => 'x') }, 'up', 'input'],
  ])('%s from %s is refused so that another may be asked', (_, form, body, model, param) => {
    expect(refusal(() => sent(form, body, { model, drops: true }))).toMatchObject({
      code: 'unsupported_field',
      param,
    });
  });

  test.each([
    ['bedrock', { ...one, dimensions: 8 }, 'amazon.titan-embed-text-v1', 'dimensions'],
    ['bedrock', { ...one, input_type: 'query' }, 'amazon.titan-embed-text-v2:0', 'input_type'],
    ['gemini', { ...one, truncate: 'END' }, 'up', 'truncate'],
    ['gemini', { ...one, input_type: 'odd' }, 'up', 'input_type'],
  ])('%s: the field is named, or dropped', (form, body, model, field) => {
    expect(refusal(() => sent(form, body, { model })).message).toBe(`unsupported ${field}`);
    expect(sent(form, body, { model, drops: true }).dropped).toEqual([field]);
  });

  test('the fields of Gemini’s clients by their names', () => {
    const body = { content: { parts: [{ text: 'a' }] }, taskType: 'CODE_RETRIEVAL_QUERY', title: 't' };
    const options = { service: geminiEmbedding, drops: true };
    expect(sent('openai', body, options).dropped).toEqual(['taskType', 'title']);
    expect(sent('cohere', body, options)).toMatchObject({
      body: { input_type: 'search_document' },
      dropped: ['taskType', 'title'],
    });
    expect(sent('vertex', body, { ...options, model: 'text-embedding-005' })).toMatchObject({
      body: { instances: [{ content: 'a', task_type: 'CODE_RETRIEVAL_QUERY', title: 't' }] },
      dropped: [],
    });
  });

  test('pictures, and wishes that differ from text to text', () => {
    const picture = { content: { parts: [{ inlineData: { mimeType: 'image/png', data: '' } }] } };
    expect(refusal(() => sent('openai', picture, { service: geminiEmbedding }))).toMatchObject({
      code: 'unsupported_field',
      param: 'content',
    });
    const mixed = {
      requests: [4, 8].map((outputDimensionality) => ({
        content: { parts: [{ text: 'a' }] },
        outputDimensionality,
      })),
    };
    expect(refusal(() => sent('openai', mixed, { service: geminiEmbeddings }))).toMatchObject({
      code: 'unsupported_field',
      param: 'outputDimensionality',
    });
  });

  test('a model whose maker is not known at Bedrock', () => {
    expect(refusal(() => sent('bedrock', one, { model: 'arn:aws:bedrock:eu:1:profile/x' })).code).toBe(
      'unsupported_by_provider',
    );
  });

  test.each([
    [{ model: 'm' }, 'input'],
    [{ model: 'm', input: [] }, 'input'],
    [{ model: 'm', input: [{}] }, 'input'],
    [{ model: 'm', input: 'x', dimensions: 0 }, 'dimensions'],
    [{ model: 'm', input: 'x', encoding_format: 'hex' }, 'encoding_format'],
  ])('%j is no request', (body, param) => {
    expect(refusal(() => sent('gemini', body))).toMatchObject({ code: 'invalid_request', param });
  });

  test('nor is a request of Gemini without its content', () => {
    expect(refusal(() => asked({}, geminiEmbedding))).toMatchObject({
      code: 'invalid_request',
      param: 'content',
    });
    expect(refusal(() => asked({}, geminiEmbeddings))).toMatchObject({
      code: 'invalid_request',
      param: 'requests',
    });
    expect(refusal(() => sent('openai', { requests: [] }, { service: geminiEmbeddings }))).toMatchObject({
      code: 'invalid_request',
      param: 'requests',
    });
  });
});
