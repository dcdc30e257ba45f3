// API keys over HTTP. The key itself is in the answer to POST and never in another one.
import { z } from 'zod';
import { limits } from '#shared/limits.ts';
import type { KeyService } from '../services/keys.ts';
import type { KeyStatus, StoredKey } from '../store/keys.ts';
import { ifMatchHeader, optionalIfMatchHeader, preconditionOf, sendWithETag } from './conditional.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const name = z.string().trim().min(1).max(limits.nameLengthMax).describe('What the key is for.');
const models = z
  .array(z.string().min(1).max(limits.nameLengthMax))
  .max(limits.keyModelsMax)
  .describe(
    'Models, routes and aliases this key may use, as names or patterns ending in *; empty means all.',
  );
const metadata = z
  .record(z.string().min(1).max(limits.nameLengthMax), z.string().max(limits.metadataValueLengthMax))
  .refine((entries) => Object.keys(entries).length <= limits.metadataEntriesMax, {
    error: `has more than ${limits.metadataEntriesMax} entries`,
  })
  .describe('Words of your own, shown with the key.');
const expiresAt = z.iso
  .datetime({ offset: true })
  .nullable()
  .describe('When the key stops working; null means never.');

const dropUnsupported = z
  .boolean()
  .describe(
    'Whether its requests go without what a provider cannot be asked, instead of being refused; a request may say otherwise.',
  );

const queuePriority = z
  .int()
  .min(0)
  .max(limits.queuePriorityMax)
  .describe(
    'How urgent its requests are where they have to wait for a place: 0 is the most urgent. A request may ask for less urgency, not for more.',
  );

const createBody = z.strictObject({
  name,
  models: models.default([]),
  metadata: metadata.default({}),
  drop_unsupported: dropUnsupported.default(false),
  queue_priority: queuePriority.default(limits.queuePriorityDefault),
  expires_at: expiresAt.default(null),
});
const updateBody = z.strictObject({
  name: name.optional(),
  models: models.optional(),
  metadata: metadata.optional(),
  drop_unsupported: dropUnsupported.optional(),
  queue_priority: queuePriority.optional(),
  expires_at: expiresAt.optional(),
});

const statuses = ['active', 'expired', 'revoked'] as const;
const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    visible: z.string().describe('The first characters of the key, to recognise it by.'),
    models: z.array(z.string()),
    metadata: z.record(z.string(), z.string()),
    drop_unsupported: z.boolean(),
    queue_priority: z.int().describe('0 is the most urgent.'),
    status: z.enum(statuses),
    expires_at: z.string().nullable(),
    revoked_at: z.string().nullable(),
    revision: z.int().describe('The revision that last changed it; also its ETag.'),
    created_by: z.string(),
    created_at: z.string(),
  })
  .meta({ id: 'ApiKey' });
const createdKeySchema = keySchema
  .extend({ key: z.string().describe('The key. It is shown here and never again.') })
  .meta({ id: 'CreatedApiKey' });

const filters = pageQuery.extend({
  status: z.enum(statuses).optional(),
  search: z.string().max(limits.nameLengthMax).optional().describe('Part of the name.'),
});
const byId = z.object({ id: z.string().max(limits.nameLengthMax) });
const cursorParts = [/^[0-9]{1,15}$/, /^[\w-]{1,64}$/];

export function keysApi(keys: KeyService): ApiPlugin {
  const show = (row: StoredKey) => showKey(row, keys.statusOf(row));
  return async function keyRoutes(app) {
    await app.register(readingRoutes(keys, show));
    await app.register(writingRoutes(keys, show));
  };
}

type Show = (row: StoredKey) => z.input<typeof keySchema>;

function readingRoutes(keys: KeyService, show: Show): ApiPlugin {
  return async function keyReadingRoutes(app) {
    app.get(
      '/keys',
      {
        schema: {
          ...describe('List keys, newest first'),
          querystring: filters,
          response: { 200: pageSchema(keySchema) },
        },
      },
      async ({ query }) => {
        const { limit, cursor, status, search } = query;
        const [createdAt, id] = decodeCursor(cursor, cursorParts) ?? [];
        const after = id === undefined ? undefined : { createdAt: new Date(Number(createdAt)), id };
        const rows = await keys.list({ status, search, after, limit: limit + 1 });
        return toPage(rows, limit, show, (row) => [String(row.created_at.getTime()), row.id]);
      },
    );

    app.get(
      '/keys/:id',
      { schema: { ...describe('Read a key'), params: byId, response: { 200: keySchema } } },
      async ({ params }, reply) => sendWithETag(reply, show(await keys.get(params.id))),
    );
  };
}

function writingRoutes(keys: KeyService, show: Show): ApiPlugin {
  return async function keyWritingRoutes(app) {
    app.post(
      '/keys',
      { schema: { ...describe('Create a key'), body: createBody, response: { 201: createdKeySchema } } },
      async ({ body, actor }, reply) => {
        const {
          expires_at,
          drop_unsupported: dropsUnsupported,
          queue_priority: queuePriority,
          ...input
        } = body;
        const { stored, key } = await keys.create(
          { ...input, dropsUnsupported, queuePriority, expiresAt: toDate(expires_at) },
          actor,
        );
        reply.code(201).header('location', `/api/v1/keys/${stored.id}`);
        return sendWithETag(reply, { ...show(stored), key });
      },
    );

    app.patch(
      '/keys/:id',
      {
        schema: {
          ...describe('Change a key'),
          params: byId,
          headers: ifMatchHeader,
          body: updateBody,
          response: { 200: keySchema },
        },
      },
      async (request, reply) => {
        const {
          expires_at,
          drop_unsupported: dropsUnsupported,
          queue_priority: queuePriority,
          ...input
        } = request.body;
        const expiry = expires_at === undefined ? {} : { expiresAt: toDate(expires_at) };
        const precondition = preconditionOf(request, 'required');
        const stored = await keys.update(
          request.params.id,
          { ...defined({ ...input, dropsUnsupported, queuePriority }), ...expiry },
          precondition,
          request.actor,
        );
        return sendWithETag(reply, show(stored));
      },
    );

    app.delete(
      '/keys/:id',
      {
        schema: {
          ...describe('Revoke a key'),
          description: 'Every data plane refuses it within a second. Revoking a revoked key succeeds.',
          params: byId,
          headers: optionalIfMatchHeader,
          response: { 204: z.undefined().describe('Revoked') },
        },
      },
      async (request, reply) => {
        await keys.revoke(request.params.id, preconditionOf(request, 'optional'), request.actor);
        return reply.code(204).send(undefined);
      },
    );
  };
}

function showKey(row: StoredKey, status: KeyStatus): z.input<typeof keySchema> {
  return {
    id: row.id,
    name: row.name,
    visible: row.visible,
    models: row.models,
    metadata: row.metadata,
    drop_unsupported: row.drop_unsupported,
    queue_priority: row.queue_priority,
    status,
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    revision: Number(row.revision),
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
  };
}

function describe(summary: string) {
  return { tags: ['Keys'], summary };
}

function toDate(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}

/** Without the members that are undefined: "leave it" and "set it to nothing" must not look alike. */
function defined<T extends object>(value: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never;
}
