// The fleet: every data plane with what it runs, how far behind it is and what it last refused, and the tokens with which
// new ones join. A node's row is written by the replica that holds its stream, about once a second.
import { z } from 'zod';
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Delivery } from '../delivery/server.ts';
import type { Db } from '../store/database.ts';
import { type JoinTokenRow, listJoinTokens, revokeJoinToken } from '../store/join-tokens.ts';
import { getNode, listNodes, type NodeNack, type NodeView } from '../store/nodes.ts';
import { readHead } from '../store/resources.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

/** Two writes missed after the time in which a dead stream is noticed: then its replica is gone as well. */
const ALIVE_MS = limits.syncDeadMs + 2 * limits.syncHeartbeatMs;
const JOIN_TOKEN_MS_DEFAULT = 24 * 60 * 60 * 1000;

const nackSchema = z.object({
  revision: z.int(),
  running_revision: z.int().describe('What the node kept running.'),
  build: z.string(),
  at: z.string(),
  errors: z.array(
    z.object({
      type: z.string(),
      name: z.string(),
      field: z.string(),
      code: z.string(),
      message: z.string(),
    }),
  ),
});

const nodeSchema = z
  .object({
    id: z.string(),
    region: z.string(),
    build: z.string(),
    address: z.string().describe('Where applications reach it, as the node says.'),
    connected: z.boolean(),
    replica: z.string().nullable().describe('The control plane that holds its stream.'),
    applied_revision: z.int(),
    applied_at: z.string().nullable(),
    apply_ms: z.number().nullable(),
    lag: z.object({
      revisions: z.int().describe('How many revisions it has not applied.'),
      seconds: z.number().describe('For how long the first of them has been waiting.'),
    }),
    last_nack: nackSchema.nullable().describe('The last configuration it refused, and why.'),
    requests_in_flight: z.int(),
    journal_bytes: z.int().describe('Usage that the ledger has not confirmed.'),
    last_seen_at: z.string(),
    created_at: z.string(),
  })
  .meta({ id: 'Node' });

const tokenStatuses = ['active', 'expired', 'revoked'] as const;
const joinTokenSchema = z
  .object({
    id: z.string(),
    label: z.string(),
    status: z.enum(tokenStatuses),
    expires_at: z.string(),
    revoked_at: z.string().nullable(),
    created_at: z.string(),
  })
  .meta({ id: 'JoinToken' });
const createdJoinTokenSchema = joinTokenSchema
  .extend({ token: z.string().describe('The token. It is shown here and never again.') })
  .meta({ id: 'CreatedJoinToken' });
const createTokenBody = z.strictObject({
  label: z.string().trim().max(limits.nameLengthMax).default('').describe('What the token is for.'),
  expires_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When nobody can join with it any more; a day from now when left out.'),
});

const filters = pageQuery.extend({
  region: z.string().max(limits.nameLengthMax).optional(),
  connected: z.enum(['true', 'false']).optional(),
});
const byId = z.object({ id: z.string().max(limits.nameLengthMax) });
const tokenCursorParts = [/^[0-9]{1,15}$/, /^[\w-]{1,64}$/];

export interface NodesApiOptions {
  readonly db: Db;
  readonly delivery: Pick<Delivery, 'issueJoinToken'>;
  readonly clock?: Clock;
}

export function nodesApi(options: NodesApiOptions): ApiPlugin {
  return async function nodeRoutes(app) {
    await app.register(fleetRoutes(options));
    await app.register(joinTokenRoutes(options));
  };
}

function fleetRoutes({ db, clock = systemClock }: NodesApiOptions): ApiPlugin {
  const describe = (summary: string) => ({ tags: ['Nodes'], summary });
  const aliveSince = () => new Date(clock.wallMs() - ALIVE_MS);
  const shower = async () => {
    const { revision } = await readHead(db);
    return (row: NodeView) => showNode(row, { revision, nowMs: clock.wallMs(), aliveSince: aliveSince() });
  };

  return async function routes(app) {
    app.get(
      '/nodes',
      {
        schema: {
          ...describe('List data planes by id'),
          querystring: filters,
          response: { 200: pageSchema(nodeSchema) },
        },
      },
      async ({ query: { limit, cursor, region, connected } }) => {
        const [after] = decodeCursor(cursor, [/^[\w.-]{1,128}$/]) ?? [];
        const rows = await listNodes(db, {
          region,
          connected: connected === undefined ? undefined : connected === 'true',
          after,
          limit: limit + 1,
          aliveSince: aliveSince(),
        });
        return toPage(rows, limit, await shower(), (row) => [row.id]);
      },
    );

    app.get(
      '/nodes/:id',
      { schema: { ...describe('Read a data plane'), params: byId, response: { 200: nodeSchema } } },
      async ({ params: { id } }) => {
        const row = await getNode(db, id);
        if (row === undefined) throw new SignalboxError('not_found', `There is no node "${id}".`);
        return (await shower())(row);
      },
    );
  };
}

function joinTokenRoutes({ db, delivery, clock = systemClock }: NodesApiOptions): ApiPlugin {
  const describe = (summary: string) => ({ tags: ['Nodes'], summary });
  const show = (row: JoinTokenRow) => showToken(row, clock.wallMs());

  return async function routes(app) {
    app.post(
      '/nodes/join-tokens',
      {
        schema: {
          ...describe('Create a join token'),
          description: 'Any number of data planes can join with it until it expires or is withdrawn.',
          body: createTokenBody,
          response: { 201: createdJoinTokenSchema },
        },
      },
      async ({ body: { label, expires_at }, actor }, reply) => {
        const ttlMs =
          expires_at === undefined ? JOIN_TOKEN_MS_DEFAULT : Date.parse(expires_at) - clock.wallMs();
        if (ttlMs <= 0) {
          throw new SignalboxError(
            'invalid_request',
            `expires_at must be in the future; got ${expires_at}.`,
            {
              param: 'expires_at',
            },
          );
        }
        const { token, row } = await delivery.issueJoinToken({ label, ttlMs, actor });
        return reply.code(201).send({ ...show(row), token });
      },
    );

    app.get(
      '/nodes/join-tokens',
      {
        schema: {
          ...describe('List join tokens, newest first'),
          querystring: pageQuery,
          response: { 200: pageSchema(joinTokenSchema) },
        },
      },
      async ({ query: { limit, cursor } }) => {
        const [createdAt, id] = decodeCursor(cursor, tokenCursorParts) ?? [];
        const after = id === undefined ? undefined : { createdAt: new Date(Number(createdAt)), id };
        const rows = await listJoinTokens(db, { after, limit: limit + 1 });
        return toPage(rows, limit, show, (row) => [String(row.created_at.getTime()), row.id]);
      },
    );

    app.delete(
      '/nodes/join-tokens/:id',
      {
        schema: {
          ...describe('Withdraw a join token'),
          description: 'Nobody joins with it any more; nodes that have joined keep their certificates.',
          params: byId,
          response: { 204: z.undefined().describe('Withdrawn') },
        },
      },
      async ({ params: { id }, actor }, reply) => {
        const known = await revokeJoinToken(db, id, new Date(clock.wallMs()), actor);
        if (!known) throw new SignalboxError('not_found', `There is no join token "${id}".`);
        return reply.code(204).send(undefined);
      },
    );
  };
}

function showNode(
  row: NodeView,
  at: { revision: bigint; nowMs: number; aliveSince: Date },
): z.input<typeof nodeSchema> {
  const behind = at.revision > row.applied_revision;
  const sinceMs = behind && row.behind_since !== null ? row.behind_since.getTime() : at.nowMs;
  return {
    id: row.id,
    region: row.region,
    build: row.build,
    address: row.address,
    connected: row.replica_id !== null && row.last_seen_at >= at.aliveSince,
    replica: row.replica_id,
    applied_revision: Number(row.applied_revision),
    applied_at: row.applied_at?.toISOString() ?? null,
    apply_ms: row.apply_ms,
    lag: {
      revisions: behind ? Number(at.revision - row.applied_revision) : 0,
      seconds: Math.max(0, at.nowMs - sinceMs) / 1000,
    },
    last_nack: row.last_nack && showNack(row.last_nack as unknown as NodeNack),
    requests_in_flight: row.load,
    journal_bytes: Number(row.spool_bytes),
    last_seen_at: row.last_seen_at.toISOString(),
    created_at: row.created_at.toISOString(),
  };
}

function showNack({ revision, running_revision, errors, ...nack }: NodeNack): z.input<typeof nackSchema> {
  return {
    ...nack,
    revision: Number(revision),
    running_revision: Number(running_revision),
    errors: errors.map((error) => ({ ...error })),
  };
}

function showToken(row: JoinTokenRow, nowMs: number): z.input<typeof joinTokenSchema> {
  const expired = row.expires_at.getTime() <= nowMs;
  return {
    id: row.id,
    label: row.label,
    status: row.revoked_at !== null ? 'revoked' : expired ? 'expired' : 'active',
    expires_at: row.expires_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
