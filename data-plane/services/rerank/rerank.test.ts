import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { rerank } from './index.ts';

const asked = { model: 'public', query: 'q', documents: ['a', { text: 'b' }], top_n: 2 };

function request(body: object) {
  return rerank.read(Buffer.from(JSON.stringify(body)), 'application/json');
}

function sent(form: string, body: object, model = 'up') {
  const unsupported = (field: string): never => {
    throw new Error(`unsupported ${field}`);
  };
  const encoded = rerank.forms[form]!.encode(request(body), { model, unsupported });
  return JSON.parse(Buffer.concat([...encoded.body]).toString());
}

function received(form: string, body: object, answer: object) {
  const converted = rerank.forms[form]!.convert(Buffer.from(JSON.stringify(answer)), request(body), {});
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

describe('what goes out', () => {
  test('to Cohere: documents are texts', () => {
    expect(sent('cohere', { ...asked, max_tokens_per_doc: 9, return_documents: false })).toEqual({
      model: 'up',
      query: 'q',
      documents: ['a', 'b'],
      top_n: 2,
      max_tokens_per_doc: 9,
    });
  });

  test('to Bedrock: the model stands in the path', () => {
    expect(sent('bedrock', asked, 'amazon.rerank-v1:0')).toEqual({
      query: 'q',
      documents: ['a', 'b'],
      top_n: 2,
    });
    expect(sent('bedrock', asked, 'cohere.rerank-v3-5:0')).toMatchObject({ api_version: 2 });
  });

  test.each([
    ['cohere', { ...asked, rank_fields: ['x'] }, 'rank_fields'],
    ['bedrock', { ...asked, max_tokens_per_doc: 5 }, 'max_tokens_per_doc'],
  ])('to %s: a field it has no words for is named', (form, body, field) => {
    expect(refusal(() => sent(form, body)).message).toBe(`unsupported ${field}`);
  });

  test.each([
    [{ ...asked, query: 1 }, 'query'],
    [{ ...asked, documents: [] }, 'documents'],
    [{ ...asked, documents: ['a', 2] }, 'documents[1]'],
  ])('%j is no request', (body, param) => {
    expect(refusal(() => sent('cohere', body))).toMatchObject({ code: 'invalid_request', param });
  });
});

describe('what comes back', () => {
  const results = [
    { index: 1, relevance_score: 0.9 },
    { index: 0, relevance_score: 0.1 },
  ];
  const meta = { billed_units: { search_units: 1 } };

  test('has the documents beside it where they were asked for', () => {
    const { body, report } = received(
      'cohere',
      { ...asked, return_documents: true },
      { id: 'r', results, meta },
    );
    expect(body).toEqual({
      id: 'r',
      model: 'public',
      results: [
        { index: 1, relevance_score: 0.9, document: { text: 'b' } },
        { index: 0, relevance_score: 0.1, document: { text: 'a' } },
      ],
      meta,
    });
    expect(report).toMatchObject({ id: 'r', usage: undefined, rawUsage: JSON.stringify(meta) });
  });

  test('without a word about what it used is counted here', () => {
    const many = { ...asked, documents: Array.from({ length: 101 }, () => 'x') };
    expect(received('bedrock', many, { results }).report.rawUsage).toBe(
      '{"counted":{"documents":101,"search_units":2}}',
    );
    expect(received('openai', asked, { results }).report.rawUsage).toBe(
      '{"counted":{"documents":2,"search_units":1}}',
    );
  });

  test('from a compatible host passes as it came, and its tokens are read', () => {
    const { report } = received('openai', asked, { id: 'r', results, usage: { total_tokens: 30 } });
    expect(report).toMatchObject({ id: 'r', usage: { input: 30 }, rawUsage: '{"total_tokens":30}' });
  });

  test.each([{}, { results: [{ index: 2, relevance_score: 1 }] }, { results: [{ index: 0 }] }])(
    'that cannot belong to the documents is an error: %j',
    (answer) => {
      expect(refusal(() => received('cohere', asked, answer)).code).toBe('upstream_invalid');
    },
  );
});
