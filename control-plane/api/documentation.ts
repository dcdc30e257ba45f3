// What the API says about itself: the OpenAPI 3.1 document, built from the very schemas that validate requests; Swagger UI
// over it, from local files; and two plain pages for people without patience: every operation, and every error code.
import swagger, { type SwaggerTransformObject } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { version } from '#shared/build.ts';
import { type OpenApiDocument, renderErrorPage, renderIndexPage } from './pages.ts';
import { apiTags } from './plugin.ts';
import { problemMediaType } from './problem.ts';

const description = `Providers, models, aliases, routes and keys of a Signalbox installation.

Send the admin key as \`Authorization: Bearer <key>\`. Errors are problem details (RFC 9457). Lists are read page by page
with \`limit\` and \`cursor\`. To change an existing object, send its ETag in \`If-Match\`.`;

export async function addDocumentation(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Signalbox admin API', version, description },
      tags: apiTags.map((tag) => ({ ...tag })),
      components: { securitySchemes: { adminKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ adminKey: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: completed,
  });
  await app.register(publicPages);
}

/** Says once, for every operation, what an error looks like, and gives each a name for generated clients. */
const completed: SwaggerTransformObject = (input) => {
  const document = jsonSchemaTransformObject(input) as OpenApiDocument;
  const content = { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } };
  for (const [path, operations] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(operations)) {
      operation.operationId = operationName(method, path);
      operation.responses = { ...operation.responses, default: { description: 'What went wrong', content } };
    }
  }
  return withUsedSchemas(document) as ReturnType<SwaggerTransformObject>;
};

/** `GET /api/v1/keys/{id}` as `get_keys_id`. */
function operationName(method: string, path: string): string {
  const words = path.replace('/api/v1/', '').match(/\w+/g) ?? [];
  return [method, ...words].join('_');
}

/** Every schema comes in an input and an output variant, of which most are never referred to. */
function withUsedSchemas(document: OpenApiDocument): OpenApiDocument {
  const all = document.components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name!)) continue;
      used.add(name!);
      visit(all[name!]);
    }
  };
  visit(document.paths);
  const schemas = Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
  return { ...document, components: { ...document.components, schemas } };
}

async function publicPages(app: FastifyInstance): Promise<void> {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, public: true };
    route.schema = { ...route.schema, hide: true };
  });
  await app.register(swaggerUi, {
    routePrefix: '/swagger',
    staticCSP: true,
    uiConfig: { persistAuthorization: true, displayRequestDuration: true },
  });
  app.get('/api/openapi.json', () => app.swagger());
  app.get('/docs', (_request, reply) => {
    return reply.type('text/html; charset=utf-8').send(renderIndexPage(app.swagger() as OpenApiDocument));
  });
  app.get('/docs/errors', (_request, reply) =>
    reply.type('text/html; charset=utf-8').send(renderErrorPage()),
  );
}
