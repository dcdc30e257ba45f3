// The numbered history of the configuration: one revision per change that changed something.
import { z } from 'zod';
import type { Db } from '../store/database.ts';
import { listRevisions, type Revision } from '../store/revisions.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const revisionSchema = z
  .object({
    revision: z.int(),
    actor: z.string(),
    summary: z.string().describe('What changed, in a few words.'),
    created_at: z.string(),
  })
  .meta({ id: 'Revision' });

export function revisionsApi(db: Db): ApiPlugin {
  return async function revisionRoutes(app) {
    app.get(
      '/revisions',
      {
        schema: {
          tags: ['Configuration'],
          summary: 'List revisions, newest first',
          querystring: pageQuery,
          response: { 200: pageSchema(revisionSchema) },
        },
      },
      async ({ query }) => {
        const [before] = decodeCursor(query.cursor, [/^[0-9]{1,18}$/]) ?? [];
        const rows = await listRevisions(db, {
          before: before === undefined ? undefined : BigInt(before),
          limit: query.limit + 1,
        });
        return toPage(rows, query.limit, show, (row) => [String(row.revision)]);
      },
    );
  };
}

function show(row: Revision): z.input<typeof revisionSchema> {
  return {
    revision: Number(row.revision),
    actor: row.actor,
    summary: row.summary,
    created_at: row.created_at.toISOString(),
  };
}
