// Providers, models, aliases and routes over HTTP: the same routes for each kind, from the table of kinds.
import { z } from 'zod';
import { limits } from '#shared/limits.ts';
import { type Kind, kinds, type Spec } from '../domain/kinds.ts';
import type { ObjectService, WriteOptions } from '../services/objects.ts';
import type { StoredObject } from '../store/objects.ts';
import { ifMatchHeader, optionalIfMatchHeader, preconditionOf, sendWithETag } from './conditional.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const sources = ['api', 'file', 'environment', 'built-in'] as const;
const common = z.object({
  source: z.enum(sources).describe('Who manages it.').meta({ readOnly: true }),
  revision: z.int().describe('The revision that last changed it; also its ETag.').meta({ readOnly: true }),
  created_at: z.string().meta({ readOnly: true }),
  updated_at: z.string().meta({ readOnly: true }),
});
/** Sent back unchanged by whoever reads an object, changes a field and writes it; they cannot be set. */
const readOnlyFields = Object.keys(common.shape);

const filters = pageQuery.extend({
  source: z.enum(sources).optional(),
  search: z.string().max(limits.nameLengthMax).optional().describe('Part of the name.'),
});
const writeQuery = z.object({
  take_over: z
    .enum(['true', 'false'])
    .default('false')
    .describe('Whether an object that is managed elsewhere becomes managed through the API.'),
});
const NAME_LENGTH_MAX = 1024;
const byName = z.object({ name: z.string().min(1).max(NAME_LENGTH_MAX) });
const patchBody = z
  .record(z.string(), z.unknown())
  .describe('A JSON merge patch: fields replace, null removes, lists are replaced whole.');

export function objectsApi(objects: ObjectService): ApiPlugin {
  return async function objectRoutes(app) {
    for (const kind of Object.values(kinds)) await app.register(routesOf(kind, objects));
  };
}

/** What the routes of one kind share. */
interface Resource {
  readonly row: Kind;
  readonly path: string;
  readonly shown: z.ZodObject;
  readonly objects: ObjectService;
  readonly describe: (summary: string) => { tags: string[]; summary: string };
}

function routesOf(row: Kind, objects: ObjectService): ApiPlugin {
  const { collection, title, tag } = row;
  const id = title.charAt(0).toUpperCase() + title.slice(1);
  const resource: Resource = {
    row,
    objects,
    path: `/${collection}`,
    shown: row.output.extend(common.shape).meta({ id }),
    describe: (summary) => ({ tags: [tag], summary }),
  };
  return async function objectKindRoutes(app) {
    app.addHook('preValidation', async (request) => {
      const body = withoutReadOnly(request.body);
      request.body = row.alternative ? row.alternative.translate(body) : body;
    });
    await app.register(readingRoutes(resource));
    await app.register(writingRoutes(resource));
    await app.register(changingRoutes(resource));
  };
}

function readingRoutes({ row, path, shown, objects, describe }: Resource): ApiPlugin {
  const { kind, collection, title } = row;
  return async function objectReadingRoutes(app) {
    app.get(
      path,
      {
        schema: {
          ...describe(`List ${collection} by name`),
          querystring: filters,
          response: { 200: pageSchema(shown) },
        },
      },
      async ({ query: { limit, cursor, source, search } }) => {
        const [after] = decodeCursor(cursor, [/^.{1,1024}$/s]) ?? [];
        const rows = await objects.list({ kind, source, search, after, limit: limit + 1 });
        return toPage(rows, limit, show, (object) => [object.name]);
      },
    );

    app.get(
      `${path}/:name`,
      { schema: { ...describe(`Read ${article(title)}`), params: byName, response: { 200: shown } } },
      async ({ params }, reply) => sendWithETag(reply, show(await objects.get({ kind, name: params.name }))),
    );
  };
}

function writingRoutes({ row, path, shown, objects, describe }: Resource): ApiPlugin {
  const { kind, title, input, alternative } = row;
  return async function objectWritingRoutes(app) {
    app.post(
      path,
      {
        schema: {
          ...describe(`Create ${article(title)}`),
          querystring: writeQuery,
          body: alternative ? z.union([input, alternative.form]) : input,
          response: { 201: shown },
        },
      },
      async (request, reply) => {
        const options = { ...writeOptions(request), precondition: 'none' as const };
        const object = await objects.create(kind, request.body, options);
        reply.code(201).header('location', `/api/v1${path}/${encodeURIComponent(object.name)}`);
        return sendWithETag(reply, show(object));
      },
    );

    app.put(
      `${path}/:name`,
      {
        schema: {
          ...describe(`Create or replace ${article(title)}`),
          params: byName,
          querystring: writeQuery,
          headers: ifMatchHeader,
          body: withOptionalName(row),
          response: { 200: shown, 201: shown },
        },
      },
      async (request, reply) => {
        const options = { ...writeOptions(request), precondition: preconditionOf(request, 'required') };
        const target = { kind, name: request.params.name };
        const { object, created } = await objects.replace(target, request.body as Spec, options);
        reply.code(created ? 201 : 200);
        return sendWithETag(reply, show(object));
      },
    );
  };
}

function changingRoutes({ row, path, shown, objects, describe }: Resource): ApiPlugin {
  const { kind, title } = row;
  return async function objectChangingRoutes(app) {
    app.patch(
      `${path}/:name`,
      {
        schema: {
          ...describe(`Change some fields of ${article(title)}`),
          params: byName,
          querystring: writeQuery,
          headers: ifMatchHeader,
          body: patchBody,
          response: { 200: shown },
        },
      },
      async (request, reply) => {
        const options = { ...writeOptions(request), precondition: preconditionOf(request, 'required') };
        const target = { kind, name: request.params.name };
        return sendWithETag(reply, show(await objects.patch(target, request.body, options)));
      },
    );

    app.delete(
      `${path}/:name`,
      {
        schema: {
          ...describe(`Delete ${article(title)}`),
          params: byName,
          querystring: writeQuery,
          headers: optionalIfMatchHeader,
          response: { 204: z.undefined().describe('Deleted') },
        },
      },
      async (request, reply) => {
        const options = { ...writeOptions(request), precondition: preconditionOf(request, 'optional') };
        await objects.remove({ kind, name: request.params.name }, options);
        return reply.code(204).send(undefined);
      },
    );
  };
}

function show({ spec, source, revision, created_at, updated_at }: StoredObject) {
  return {
    ...spec,
    source,
    revision: Number(revision),
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

function writeOptions(request: {
  actor: WriteOptions['actor'];
  query: z.output<typeof writeQuery>;
}): Pick<WriteOptions, 'actor' | 'takeOver'> {
  return { actor: request.actor, takeOver: request.query.take_over === 'true' };
}

/** The path names the object, so the body need not. */
function withOptionalName({ input, nameField }: Kind): z.ZodObject {
  return input.partial({ [nameField]: true } as never);
}

function withoutReadOnly(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !readOnlyFields.includes(name)));
}

function article(title: string): string {
  return `${/^[aeiou]/.test(title) ? 'an' : 'a'} ${title}`;
}
