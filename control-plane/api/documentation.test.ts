// The OpenAPI document: valid, complete, and true to what is served.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { openDatabase } from '../store/database.ts';
import { nodesApi } from './nodes.ts';
import { providerModelsApi } from './provider-models.ts';
import { healthApi } from './provider-status.ts';
import { configurationResources } from './resources.ts';
import { routeStatisticsApi } from './route-stats.ts';
import { routesExplainApi } from './routes-explain.ts';
import { type Api, createApi } from './server.ts';
import { usageApi } from './usage.ts';

interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly operationId?: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: object }[];
  readonly requestBody?: { content: Record<string, { schema: object }> };
  readonly responses: Record<string, { description?: string; content?: Record<string, { schema: object }> }>;
}
interface Document {
  readonly openapi: string;
  readonly info: { title: string; version: string };
  readonly tags: readonly { name: string }[];
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { schemas: Record<string, object>; securitySchemes: object };
}

// No request is made, so nothing behind the routes has to work.
const db = openDatabase('postgres://127.0.0.1:1/nothing', () => {});
const api: Api = await createApi({
  plugins: [
    ...configurationResources({ db, objects: {}, keys: {}, declared: {} } as never),
    providerModelsApi({} as never),
    routesExplainApi({} as never),
    nodesApi({ db, delivery: {} as never }),
    usageApi(db),
    routeStatisticsApi({ db } as never),
    healthApi({ objects: {}, health: {} } as never),
  ],
  adminKey: new Secret('admin-key-of-this-test'),
  health: () => ({ status: 'ready', revision: 1, database: 'up' }),
  metrics: new Metrics(),
  log: createLogger('silent'),
});
const document = JSON.parse(JSON.stringify(api.document())) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    id: `${method.toUpperCase()} ${path}`,
    path,
    operation,
  })),
);

test('is an OpenAPI 3.1 document with title, version, tags and a security scheme', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  expect(document.info).toMatchObject({
    title: 'Signalbox admin API',
    version: expect.stringMatching(/^\d+\./),
  });
  expect(document.components.securitySchemes).toEqual({ adminKey: { type: 'http', scheme: 'bearer' } });
});

test('documents every route below /api/v1, and no other', () => {
  const served = api
    .routes()
    .filter((route) => route.includes(' /api/v1') && !/^(HEAD|OPTIONS) /.test(route))
    .map((route) => route.replace(/:(\w+)/g, '{$1}'));
  expect(operations.map(({ id }) => id).toSorted()).toEqual(served.toSorted());
  expect(served.length).toBeGreaterThan(30);
});

test.each(operations)('$id says what it does, what it takes and what it answers', ({ path, operation }) => {
  expect(operation.summary).toBeTruthy();
  expect(document.tags.map((tag) => tag.name)).toContain(operation.tags?.[0]);
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const parameters = operation.parameters ?? [];
  expect(
    parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name),
  ).toEqual(inPath);
  for (const parameter of parameters) {
    if (parameter.in === 'path') expect(parameter.required, parameter.name).toBe(true);
    expect(parameter.schema).toBeTypeOf('object');
  }
  const statuses = Object.keys(operation.responses);
  expect(statuses.some((status) => /^2\d\d$/.test(status))).toBe(true);
  for (const response of Object.values(operation.responses))
    expect(response.description).toBeTypeOf('string');
  expect(operation.responses.default?.content).toHaveProperty('application/problem+json');
});

test('every reference leads to a schema, and every schema is used', () => {
  const text = JSON.stringify(document);
  const referred = new Set(
    [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]!),
  );
  expect([...referred].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted());
});

test('every operation has a name of its own', () => {
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(operations.length);
  expect(names).toContain('get_keys_id');
});

test('every schema is JSON Schema 2020-12 that can be read back, without leftovers of OpenAPI 3.0', () => {
  const schemas = [
    ...Object.values(document.components.schemas),
    ...operations.flatMap(({ operation }) => [
      ...(operation.parameters ?? []).map((parameter) => parameter.schema),
      ...Object.values(operation.requestBody?.content ?? {}).map((content) => content.schema),
    ]),
  ];
  expect(schemas.length).toBeGreaterThan(50);
  for (const schema of schemas) {
    expect(JSON.stringify(schema)).not.toMatch(/"nullable":/);
    const whole = { ...schema, $defs: document.components.schemas };
    const local = JSON.parse(JSON.stringify(whole).replaceAll('#/components/schemas/', '#/$defs/'));
    expect(() => z.fromJSONSchema(local)).not.toThrow();
  }
});
