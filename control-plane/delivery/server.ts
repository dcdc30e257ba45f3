// Configuration delivery of one control-plane replica, put together: what nodes connect to. It listens from the start and
// serves as soon as the configuration has been read once; from then on it does not need the database to serve.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { Health } from '#proto/grpc/health/v1/health_pb.ts';
import { type SyncRequest, type SyncResponse, SyncService } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { newKey } from '#shared/crypto/box.ts';
import { rawPublicKey } from '#shared/crypto/sealed-key.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { FleetSecrets } from '../secrets/fleet.ts';
import type { Db } from '../store/database.ts';
import { markAllAway } from '../store/nodes.ts';
import type { NodeAnswer, NodeQuestion } from './ask.ts';
import { type Authority, openAuthority } from './authority.ts';
import { Catalogue, type CatalogueHead } from './catalogue.ts';
import type { Connection } from './connection.ts';
import { Enrolment, type IssuedJoinToken, type JoinTokenInput } from './enrolment.ts';
import { FanOut, type FanOutTimes } from './fan-out.ts';
import { Feed } from './feed.ts';
import { HealthState } from './health.ts';
import { type Caller, callerKey, type Listener, listen } from './listener.ts';
import { NodeBook } from './node-book.ts';
import { type ReadWatermarks, Watermarks } from './watermarks.ts';

export interface DeliveryOptions {
  readonly db: Db;
  /** For the connection that listens for new revisions. */
  readonly databaseUrl: string;
  readonly fleetSecrets: FleetSecrets;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** False only for a loopback host. */
  readonly tls: boolean;
  readonly replicaId: string;
  readonly watermarks: ReadWatermarks;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** Where nodes are sent when this replica drains; without any they choose among those they know. */
  readonly drainHosts?: readonly string[];
  readonly times?: Partial<FanOutTimes>;
  readonly newStreamsPerSecond?: number;
  readonly fullTransfersMax?: number;
}

export interface Delivery {
  /** What a node on this machine connects to. */
  readonly url: string;
  readonly port: number;
  /** Whether the configuration has been read and nodes are served. */
  ready(): boolean;
  connectedNodes(): number;
  /** The newest revision that nodes are given; 0 before the first load. */
  revision(): bigint;
  issueJoinToken(given: JoinTokenInput): Promise<IssuedJoinToken>;
  /** Has a connected node find something out. Rejects with `no_data_plane` or `overloaded`. */
  ask(question: NodeQuestion): Promise<NodeAnswer>;
  /** Asks nodes to leave, waits a while for them, and stops. */
  close(given?: { drainMs?: number }): Promise<void>;
}

const DEFAULT_DRAIN_MS = 2_000;
const SERVER_CERTIFICATE_MS = 24 * 60 * 60 * 1000;

const defaultTimes: FanOutTimes = {
  heartbeatMs: limits.syncHeartbeatMs,
  deadMs: limits.syncDeadMs,
  ackMs: limits.syncAckMsMax,
  drainMs: 30_000,
  tickMs: 1_000,
  ageMsMin: limits.syncStreamAgeMsMin,
  ageMsMax: limits.syncStreamAgeMsMax,
};

export async function startDelivery(options: DeliveryOptions): Promise<Delivery> {
  const { db, fleetSecrets, replicaId, log, metrics, clock = systemClock } = options;
  const times = { ...defaultTimes, ...options.times };
  const authority = await openAuthority(fleetSecrets, clock);
  const signingKey = await openSigningKey(fleetSecrets);
  await markAllAway(db, replicaId);
  const enrolment = new Enrolment({ db, authority, clock, log });
  await enrolment.loadTokens();

  const health = new HealthState();
  const catalogue = new Catalogue((head) => signHead(signingKey, head));
  const book = new NodeBook({ db, replicaId, log });
  const fanOut = new FanOut({
    replicaId,
    catalogue,
    refresh: () => feed.refresh(),
    book,
    watermarks: new Watermarks(options.watermarks, log),
    fleetKey: await openFleetKey(fleetSecrets),
    signingPublicKey: rawPublicKey(createPublicKey(signingKey)),
    times,
    newStreamsPerSecond: options.newStreamsPerSecond ?? limits.syncNewStreamsPerSecond,
    fullTransfersMax: options.fullTransfersMax ?? limits.syncFullTransfersMax,
    drainHosts: options.drainHosts ?? [],
    clock,
    log,
    metrics,
  });
  const onPublished = () => {
    health.set(true);
    fanOut.publish();
  };
  const feed = new Feed({ db, databaseUrl: options.databaseUrl, catalogue, onPublished, log, metrics });
  const { listener, stopRenewing } = await openListener(options, {
    authority,
    times,
    routes: (router) => {
      router.service(SyncService, syncService({ fanOut, enrolment, tls: options.tls, log }));
      router.service(Health, health.implementation());
    },
  }).catch(async (error: unknown) => {
    fanOut.close();
    await feed.close();
    throw error;
  });

  return {
    url: listener.url,
    port: listener.port,
    ready: () => catalogue.head !== undefined,
    connectedNodes: () => fanOut.connectedNodes,
    revision: () => catalogue.head?.revision ?? 0n,
    issueJoinToken: (given) => enrolment.issue(given),
    ask: (question) => fanOut.ask(question),
    async close({ drainMs = DEFAULT_DRAIN_MS } = {}) {
      health.set(false);
      stopRenewing();
      await fanOut.drain(drainMs);
      fanOut.close();
      await listener.close();
      await feed.close();
      await book.close();
    },
  };
}

async function openListener(
  { host, port, tls, log }: DeliveryOptions,
  given: { authority: Authority; times: FanOutTimes; routes: (router: ConnectRouter) => void },
): Promise<{ listener: Listener; stopRenewing: () => void }> {
  const { authority, times, routes } = given;
  const { certificatePem: authorityPem } = authority;
  const listener = await listen({
    host,
    port,
    tls: tls ? { identity: await authority.issueServer(), authorityPem } : undefined,
    routes,
    pingMs: times.heartbeatMs,
    deadMs: times.deadMs,
    log,
  });
  const timer = setInterval(() => {
    authority.issueServer().then(
      (identity) => listener.setIdentity(identity),
      (error: unknown) => log.error({ err: error }, 'the server certificate cannot be renewed'),
    );
  }, SERVER_CERTIFICATE_MS);
  return { listener, stopRenewing: () => clearInterval(timer) };
}

interface ServiceParts {
  readonly fanOut: FanOut;
  readonly enrolment: Enrolment;
  readonly tls: boolean;
  readonly log: Logger;
}

function syncService({ fanOut, enrolment, tls, log }: ServiceParts) {
  return {
    join: (request: Parameters<Enrolment['join']>[0]) => enrolment.join(request),
    renew: (request: Parameters<Enrolment['renew']>[1], context: HandlerContext) =>
      enrolment.renew(requireNode(context.values.get(callerKey)), request),
    async *sync(requests: AsyncIterable<SyncRequest>, context: HandlerContext): AsyncGenerator<SyncResponse> {
      const caller = context.values.get(callerKey);
      if (tls) requireNode(caller);
      else await enrolment.requireBearer(context.requestHeader.get('authorization'));
      const connection = fanOut.open(caller);
      context.signal.addEventListener('abort', () => connection.close(), { once: true });
      void receiveAll(connection, requests, log);
      try {
        yield* connection.outbox;
      } finally {
        connection.close();
      }
    },
  };
}

async function receiveAll(
  connection: Connection,
  requests: AsyncIterable<SyncRequest>,
  log: Logger,
): Promise<void> {
  try {
    for await (const request of requests) connection.receive(request);
  } catch (error) {
    log.debug({ node: connection.nodeId, err: error }, 'a stream broke off');
  }
  connection.close();
}

function requireNode({ nodeId }: Caller): string {
  if (nodeId !== undefined) return nodeId;
  throw new ConnectError(
    'A valid node certificate of this fleet is required. Join with a join token to get one.',
    Code.Unauthenticated,
  );
}

async function openSigningKey(fleetSecrets: FleetSecrets): Promise<KeyObject> {
  const der = await fleetSecrets.loadOrCreate('signing-key', () =>
    generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }),
  );
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function signHead(key: KeyObject, { historyId, revision, digest }: CatalogueHead): Buffer {
  const text = `signalbox-config|${historyId}|${revision}|${Buffer.from(digest).toString('hex')}`;
  return sign(null, Buffer.from(text), key);
}

async function openFleetKey(fleetSecrets: FleetSecrets): Promise<{ id: string; key: Buffer }> {
  const key = await fleetSecrets.loadOrCreate('fleet-key', newKey);
  return { id: createHash('sha256').update(key).digest('hex').slice(0, 16), key };
}
