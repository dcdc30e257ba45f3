// Embeddings and rankings against exchanges that real vendors had: each recorded request means what it says, each answer reads with
// the usage it was recorded with. The recordings are not part of this project: point RECORDINGS_DIR at a folder with
// `<provider>/<api>/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { embeddings, geminiEmbeddings } from '#data-plane/services/embeddings/index.ts';
import { rerank } from '#data-plane/services/rerank/index.ts';
import type { Service, ServiceRequest } from '#data-plane/services/service.ts';
import { answers, areMissing, load, type Recording } from './recordings.ts';

const unsupported = (field: string): never => {
  throw new Error(`unsupported ${field}`);
};

function ask(service: Service, body: object, model = ''): ServiceRequest {
  return service.read(Buffer.from(JSON.stringify(body)), 'application/json', { model, stream: false });
}

function encoded(service: Service, form: string, request: ServiceRequest, model: string): unknown {
  const { body } = service.forms[form]!.encode(request, { model, unsupported });
  return JSON.parse(Buffer.concat([...body]).toString());
}

const own = ['openai/embeddings', 'azure/embeddings', 'mistral/embeddings'].flatMap(load);
const refused = (list: readonly Recording[]) => list.filter(({ status }) => status !== 200);

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(answers(own).length).toBeGreaterThan(5);
    expect(refused(own).length).toBeGreaterThan(2);
  });

  test.each(answers(own))(
    '$name passes with only the model changed, and is metered',
    ({ request, bytes }) => {
      const read = ask(embeddings, request);
      expect(encoded(embeddings, 'openai', read, 'other')).toEqual({ ...request, model: 'other' });
      const { body, report } = embeddings.forms.openai!.convert(bytes, read, {
        'content-type': 'application/json',
      });
      expect(body).toBe(bytes);
      const { usage } = JSON.parse(bytes.toString());
      expect(report).toMatchObject({ error: undefined, usage: { input: usage.prompt_tokens } });
      expect(JSON.parse(report.rawUsage)).toEqual(usage);
    },
  );

  test.each(answers(own))('$name reads for a client of Gemini', ({ bytes, request }) => {
    const texts = [request.input].flat();
    const asked = ask(geminiEmbeddings, {
      requests: texts.map((text) => ({ content: { parts: [{ text }] } })),
    });
    const { body } = geminiEmbeddings.forms.openai!.convert(bytes, asked, {});
    const [first] = JSON.parse(body.toString()).embeddings;
    expect(first.values.every((value: unknown) => typeof value === 'number')).toBe(true);
    expect(first.values.length).toBeGreaterThanOrEqual(512);
  });

  test.each(refused(own))('the refusal of $name is understood', ({ status, headers, bytes }) => {
    const expected: Readonly<Record<number, string>> = {
      401: 'upstream_unauthorized',
      404: 'upstream_model_missing',
    };
    expect(embeddings.forms.openai!.readError(status, headers, bytes).code).toBe(expected[status]);
  });

  test.each(load('cohere/v2_embed'))(
    '$name is asked for and read in OpenAI’s words',
    ({ request, bytes }) => {
      const { texts, model, input_type: purpose } = request;
      const asked = ask(embeddings, { model, input: texts, input_type: purpose });
      const sent = encoded(embeddings, 'cohere', asked, String(model));
      expect(sent).toMatchObject({ model, texts, input_type: purpose, embedding_types: ['float'] });
      const { body, report } = embeddings.forms.cohere!.convert(bytes, asked, {});
      const recorded = JSON.parse(bytes.toString());
      const answer = JSON.parse(body.toString());
      expect(answer.data.map(({ embedding }: { embedding: number[] }) => embedding)).toEqual(
        recorded.embeddings.float,
      );
      const tokens = recorded.meta.billed_units.input_tokens;
      expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
      expect(report.usage?.input).toBe(tokens);
    },
  );

  test.each(load('cohere/v1_embed'))(
    '$name, in small numbers that were not asked for, is no answer',
    (recording) => {
      const asked = ask(embeddings, { model: 'm', input: recording.request.texts });
      expect(() => embeddings.forms.cohere!.convert(recording.bytes, asked, {})).toThrow(
        expect.objectContaining({ code: 'upstream_invalid' }),
      );
    },
  );

  test.each(load('cohere/rerank'))('$name is asked for and read', ({ request, bytes }) => {
    const asked = ask(rerank, request);
    const { max_tokens_per_doc: _, ...meant } = request;
    expect(encoded(rerank, 'cohere', asked, String(request.model))).toEqual(meant);
    const recorded = JSON.parse(bytes.toString());
    const { body, report } = rerank.forms.cohere!.convert(bytes, asked, {});
    expect(JSON.parse(body.toString()).results).toEqual(recorded.results);
    expect(JSON.parse(report.rawUsage)).toEqual(recorded.meta);
  });

  test.each(load('gemini/batchEmbedContents'))(
    '$name passes, and reads for a client of OpenAI',
    (recording) => {
      const { bytes, url } = recording;
      const model = /models\/([^:]+):/.exec(url)![1]!;
      const requests = recording.request.requests as {
        content: { parts: { text: string }[] };
        outputDimensionality: number;
      }[];
      expect(encoded(geminiEmbeddings, 'gemini', ask(geminiEmbeddings, recording.request), model)).toEqual(
        recording.request,
      );
      const asked = ask(embeddings, {
        model: 'public',
        input: requests.map(({ content }) => content.parts[0]!.text),
        dimensions: requests[0]!.outputDimensionality,
      });
      expect(encoded(embeddings, 'gemini', asked, model)).toEqual(recording.request);
      const { body, report } = embeddings.forms.gemini!.convert(bytes, asked, {});
      const recorded = JSON.parse(bytes.toString());
      const vectors = JSON.parse(body.toString()).data.map(
        ({ embedding }: { embedding: number[] }) => embedding,
      );
      expect(vectors).toEqual(recorded.embeddings.map(({ values }: { values: number[] }) => values));
      expect(report.usage?.input).toBe(recorded.usageMetadata?.promptTokenCount);
      const passed = geminiEmbeddings.forms.gemini!.convert(bytes, asked, {});
      expect(passed.body).toBe(bytes);
      expect(passed.report.usage?.input).toBe(recorded.usageMetadata?.promptTokenCount);
    },
  );
});
