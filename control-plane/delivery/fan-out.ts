// All open streams of this replica: who is let in, who is told what when. A new head is offered to every session in slices;
// each session asks for the transfer it needs, and transfers come from the catalogue, packed once. There is no timer
// between a change and its push: sessions that are busy catch up when they are done, however often the head moves.
import { randomInt } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { LRUCache } from 'lru-cache';
import type { Hello } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { schemaRange } from '#shared/build.ts';
import type { Clock } from '#shared/clock.ts';
import { type SealedKeyParts, sealKeyTo } from '#shared/crypto/sealed-key.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { NodeState } from '../store/nodes.ts';
import { Slots, StreamGate } from './admission.ts';
import { askNode, type NodeAnswer, type NodeQuestion } from './ask.ts';
import { isNodeId } from './authority.ts';
import type { Catalogue } from './catalogue.ts';
import { Connection, type ConnectionHost, type NodeRecord, type Peer } from './connection.ts';
import { throttle, welcome } from './messages.ts';
import type { NodeBook } from './node-book.ts';
import { isGhost, type Refusals, Session, type SessionTimes, type Step } from './session.ts';
import { SliceQueue } from './slice-queue.ts';
import type { Watermarks } from './watermarks.ts';

/** A push to so many nodes takes a few milliseconds, then acks and heartbeats get their turn. */
const SESSIONS_PER_TURN = 50;

export interface FanOutTimes extends SessionTimes {
  readonly heartbeatMs: number;
  readonly tickMs: number;
  /** A stream is asked to move on at a random age between the two. */
  readonly ageMsMin: number;
  readonly ageMsMax: number;
}

export interface FanOutOptions {
  readonly replicaId: string;
  readonly catalogue: Catalogue;
  /** Looks for a newer head now; resolves to whether the database answered. */
  readonly refresh: () => Promise<boolean>;
  readonly book: NodeBook;
  readonly watermarks: Watermarks;
  readonly fleetKey: { readonly id: string; readonly key: Uint8Array };
  readonly signingPublicKey: Uint8Array;
  readonly times: FanOutTimes;
  readonly newStreamsPerSecond: number;
  readonly fullTransfersMax: number;
  readonly drainHosts: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Nodes come and go under new names; one that is forgotten is merely sent once more what it refused. */
const REFUSALS_MAX = 10_000;

interface LastRefusal {
  readonly build: string;
  readonly historyId: string;
  readonly revision: bigint;
}

const unusableSealingKey = {
  code: Code.InvalidArgument,
  message: 'sealing_key is not a usable X25519 key of 32 bytes.',
};

export class FanOut implements ConnectionHost {
  readonly drainHosts: readonly string[];
  readonly #options: FanOutOptions;
  readonly #connections = new Set<Connection>();
  readonly #byNode = new Map<string, Connection>();
  readonly #refusals = new LRUCache<string, LastRefusal>({ max: REFUSALS_MAX });
  readonly #queue = new SliceQueue(SESSIONS_PER_TURN);
  readonly #gate: StreamGate;
  readonly #slots: Slots;
  readonly #ticker: NodeJS.Timeout;
  #drainingMs: number | undefined;

  constructor(options: FanOutOptions) {
    this.#options = options;
    this.drainHosts = options.drainHosts;
    this.#gate = new StreamGate({ perSecond: options.newStreamsPerSecond });
    this.#slots = new Slots(options.fullTransfersMax);
    this.#ticker = setInterval(() => this.#tick(), options.times.tickMs);
    options.metrics.gauge('signalbox_nodes_connected', (gauge) => gauge.set(this.connectedNodes));
  }

  get connectedNodes(): number {
    return this.#byNode.size;
  }

  nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  wallMs(): number {
    return this.#options.clock.wallMs();
  }

  /** A new stream. Its first message is on its way before the node has said anything. */
  open(peer: Peer): Connection {
    const { times, catalogue, replicaId, signingPublicKey } = this.#options;
    const ageMs = randomInt(times.ageMsMin, times.ageMsMax + 1);
    const session = new Session({ times, history: catalogue, nowMs: this.nowMs(), ageMs });
    const connection = new Connection(this, session, peer);
    this.#connections.add(connection);
    connection.outbox.push(
      welcome({
        replicaId,
        historyId: catalogue.head?.historyId ?? '',
        heartbeatIntervalMs: times.heartbeatMs,
        signingKey: signingPublicKey,
        schema: schemaRange.max,
      }),
    );
    return connection;
  }

  /** The head moved. */
  publish(): void {
    for (const connection of this.#connections) {
      if (connection.offerQueued) continue;
      connection.offerQueued = true;
      this.#queue.add(() => connection.offer(this.#options.catalogue.head!));
    }
  }

  greet(connection: Connection, hello: Hello): void {
    const sealedKey = this.#seal(hello);
    const problem = this.#problemWith(connection, hello);
    if (problem !== undefined || sealedKey === undefined) {
      const { code, message } = problem ?? unusableSealingKey;
      connection.endWith(code, message);
      return;
    }
    const admission = this.#gate.ask(hello.nodeId, this.nowMs());
    if (!admission.admitted) {
      connection.outbox.push(throttle(admission.retryAfterMs));
      connection.close();
      return;
    }
    this.#byNode.get(hello.nodeId)?.endWith(Code.Aborted, 'The node has opened another stream.');
    this.#byNode.set(hello.nodeId, connection);
    this.#enter(connection, hello);
    void this.#acceptWhenKnown(connection, hello, sealedKey);
  }

  prepare(connection: Connection, step: Extract<Step, { kind: 'request' }>): void {
    if (!step.full) {
      void this.#fetch(connection, step);
      return;
    }
    this.#slots.acquire((release) => {
      if (connection.isOpen) void this.#fetch(connection, step, release);
      else release();
    });
  }

  watermarks(connection: Connection, journalEpochs: readonly string[]): ReadonlyMap<string, bigint> {
    return this.#options.watermarks.of(connection.nodeId, journalEpochs, this.nowMs(), (news) =>
      connection.tellWatermarks(news),
    );
  }

  record(connection: Connection, record: NodeRecord): void {
    const lastSeenAtMs = this.wallMs();
    const { nodeId } = connection;
    this.#options.book.update(nodeId, { lastSeenAtMs, ...changeOf(record, lastSeenAtMs) });
    if (record.kind !== 'refused') return;
    this.#options.metrics.counter('signalbox_config_nacks_total').inc();
    this.#options.log.warn(
      { node: nodeId, nack: record.nack },
      'a node refused a configuration and keeps the one it runs',
    );
  }

  left(connection: Connection): void {
    this.#connections.delete(connection);
    const { nodeId } = connection;
    if (this.#byNode.get(nodeId) !== connection) return;
    this.#byNode.delete(nodeId);
    this.#options.watermarks.forget(nodeId);
    this.#options.book.update(nodeId, { connected: false });
  }

  ask(question: NodeQuestion): Promise<NodeAnswer> {
    return askNode(() => this.#byNode.values(), question);
  }

  /** Asks every node to go elsewhere and waits, for so long, until they have. */
  async drain(withinMs: number): Promise<void> {
    this.#drainingMs = withinMs;
    for (const connection of this.#connections) this.#queue.add(() => connection.drain(withinMs));
    const deadlineMs = this.nowMs() + withinMs;
    while (this.#connections.size > 0 && this.nowMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(50, withinMs)));
    }
  }

  close(): void {
    clearInterval(this.#ticker);
    for (const connection of [...this.#connections]) {
      connection.endWith(Code.Unavailable, 'This control plane is stopping. Connect to another one.');
    }
  }

  #problemWith(connection: Connection, hello: Hello): { code: Code; message: string } | undefined {
    const { nodeId, schemaMin, schemaMax, bootEpoch } = hello;
    if (!isNodeId(nodeId)) {
      return { code: Code.InvalidArgument, message: `node_id "${nodeId.slice(0, 200)}" is not valid.` };
    }
    if (connection.peer.nodeId !== undefined && connection.peer.nodeId !== nodeId) {
      const message = `node_id is "${nodeId}", but the certificate is for "${connection.peer.nodeId}".`;
      return { code: Code.PermissionDenied, message };
    }
    if (schemaMax < schemaRange.min || schemaMin > schemaRange.max) {
      const message = `The node reads schemas ${schemaMin} to ${schemaMax}; this control plane writes ${schemaRange.min} to ${schemaRange.max}. Upgrade the older one.`;
      return { code: Code.FailedPrecondition, message };
    }
    const open = this.#byNode.get(nodeId)?.hello;
    if (open !== undefined && isGhost(bootEpoch, open.bootEpoch)) {
      const message = `A later boot of node "${nodeId}" is connected (epoch ${open.bootEpoch}); this one is a ghost.`;
      return { code: Code.FailedPrecondition, message };
    }
    return undefined;
  }

  /** Undefined for a key nothing can be sealed to: of the wrong length, or a point of small order. */
  #seal({ sealingKey }: Hello): SealedKeyParts | undefined {
    const { key, id } = this.#options.fleetKey;
    try {
      return sealKeyTo(sealingKey, key, id);
    } catch {
      return undefined;
    }
  }

  #enter(connection: Connection, hello: Hello): void {
    this.#options.book.enter({
      id: hello.nodeId,
      region: hello.region,
      build: hello.build,
      address: hello.advertisedAddress || connection.peer.address,
      bootEpoch: hello.bootEpoch,
      connected: true,
      appliedRevision: hello.haveRevision,
      appliedAtMs: null,
      applyMs: null,
      lastNack: null,
      load: 0,
      spoolBytes: 0n,
      lastSeenAtMs: this.wallMs(),
    });
  }

  /**
   * A node may know a revision that this replica has not seen yet. Then the database decides whether that revision is
   * real; while it cannot be asked the node keeps what it runs, which is newer than anything here.
   */
  async #acceptWhenKnown(connection: Connection, hello: Hello, sealedKey: SealedKeyParts): Promise<void> {
    const { catalogue, refresh, times } = this.#options;
    const isAhead = () =>
      catalogue.head === undefined ||
      (catalogue.head.historyId === hello.historyId && catalogue.head.revision < hello.haveRevision);
    while (connection.isOpen && isAhead() && !(await refresh())) {
      await new Promise((resolve) => setTimeout(resolve, times.tickMs));
    }
    const { head } = catalogue;
    if (!connection.isOpen || head === undefined) return;
    this.#queue.add(() => {
      connection.accept(head, sealedKey, this.#refusalsOf(hello));
      if (this.#drainingMs !== undefined) connection.drain(this.#drainingMs);
    });
  }

  async #fetch(
    connection: Connection,
    { full, from }: Extract<Step, { kind: 'request' }>,
    release?: () => void,
  ): Promise<void> {
    const { catalogue, metrics, log } = this.#options;
    try {
      const transfer = await (full ? catalogue.full() : catalogue.delta(from));
      this.#queue.add(() => {
        metrics.counter('signalbox_config_pushes_total').inc({ kind: full ? 'full' : 'delta' });
        connection.begin(transfer, release);
      });
    } catch (error) {
      release?.();
      log.error({ node: connection.nodeId, err: error }, 'a transfer cannot be packed');
      connection.endWith(
        Code.Internal,
        'The configuration cannot be packed. The log of the control plane has the reason.',
      );
    }
  }

  #refusalsOf({ nodeId, build }: Hello): Refusals {
    const refusals = this.#refusals;
    return {
      has(historyId, revision) {
        const last = refusals.get(nodeId);
        return last?.build === build && last.historyId === historyId && last.revision === revision;
      },
      add: (historyId, revision) => void refusals.set(nodeId, { build, historyId, revision }),
      clear: () => void refusals.delete(nodeId),
    };
  }

  #tick(): void {
    for (const connection of this.#connections) this.#queue.add(() => connection.tick());
  }
}

function changeOf(record: NodeRecord, nowMs: number): Partial<NodeState> {
  switch (record.kind) {
    case 'heartbeat':
      return { load: record.heartbeat.load, spoolBytes: record.heartbeat.spoolBytes };
    case 'applied':
      return { appliedRevision: record.revision, applyMs: record.applyMs, appliedAtMs: nowMs };
    case 'refused':
      return { lastNack: record.nack };
  }
}
