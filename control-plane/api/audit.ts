// Who changed what, when, from where, with the state before and after. Secrets are in neither.
import { z } from 'zod';
import { limits } from '#shared/limits.ts';
import { listAudit, type StoredAuditEntry } from '../store/audit.ts';
import type { Db } from '../store/database.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const text = z.string().max(limits.nameLengthMax).optional();
const state = z.record(z.string(), z.unknown()).nullable();

const auditEntrySchema = z
  .object({
    id: z.string(),
    revision: z.int().nullable(),
    actor: z.string(),
    action: z.string(),
    kind: z.string(),
    name: z.string(),
    before: state,
    after: state,
    request_id: z.string().describe('Empty for changes that no request made.'),
    address: z.string(),
    created_at: z.string(),
  })
  .meta({ id: 'AuditEntry' });

const filters = pageQuery.extend({
  kind: text.describe('provider, model, alias, route, key or secret'),
  name: text,
  actor: text,
  action: text.describe('create, update, delete or revoke'),
  revision: z.coerce.number().int().positive().optional(),
});

export function auditApi(db: Db): ApiPlugin {
  return async function auditRoutes(app) {
    app.get(
      '/audit',
      {
        schema: {
          tags: ['Configuration'],
          summary: 'List changes, newest first',
          querystring: filters,
          response: { 200: pageSchema(auditEntrySchema) },
        },
      },
      async ({ query: { limit, cursor, revision, ...filter } }) => {
        const [before] = decodeCursor(cursor, [/^[0-9]{1,18}$/]) ?? [];
        const rows = await listAudit(db, {
          ...filter,
          revision: revision === undefined ? undefined : BigInt(revision),
          before: before === undefined ? undefined : BigInt(before),
          limit: limit + 1,
        });
        return toPage(rows, limit, show, (row) => [String(row.id)]);
      },
    );
  };
}

function show(row: StoredAuditEntry): z.input<typeof auditEntrySchema> {
  return {
    ...row,
    id: String(row.id),
    revision: row.revision === null ? null : Number(row.revision),
    created_at: row.created_at.toISOString(),
  };
}
