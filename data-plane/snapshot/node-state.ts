// The node as its streams see it: what is in force, what was refused, and how the next configuration takes the place of
// this one. Two streams may be open while one replaces the other, so transfers are applied one at a time, each checked
// against what is in force when its turn comes.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Ask,
  Drain,
  HeartbeatSchema,
  HelloSchema,
  Watermark,
  Welcome,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { build, schemaRange } from '#shared/build.ts';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { type AnswerContent, answerAsk, type Explain } from './ask.ts';
import { CacheWriter } from './cache-writer.ts';
import type { ProviderFor } from './compile.ts';
import { type ApplyResult, applyTransfer, type Configuration } from './configuration.ts';
import type { Node } from './connection.ts';
import { DiskCache } from './disk-cache.ts';
import type { NodeIdentity } from './identity.ts';
import type { RefusalReason, Transfer } from './receiver.ts';
import type { Snapshot } from './snapshot.ts';

export interface NodeReports {
  readonly region: string;
  readonly advertisedAddress: string;
  /** Requests in flight. */
  readonly load: () => number;
  readonly spoolBytes: () => number;
  readonly journalEpochs: () => readonly string[];
  /** Everything up to `sequence` of that journal is in the ledger. */
  onWatermark(epoch: string, sequence: bigint): void;
}

export interface NodeStateOptions {
  readonly identity: NodeIdentity;
  readonly reports: NodeReports;
  readonly providerFor: ProviderFor;
  /** Where providers are asked what people want to know; without it, nothing is answered. */
  readonly upstream: UpstreamClient | undefined;
  readonly explain: Explain | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface RefusedConfiguration {
  readonly revision: bigint;
  readonly reasons: readonly RefusalReason[];
  readonly atMs: number;
}

const nothing = { historyId: '', revision: 0n, digest: new Uint8Array() } as const;

export class NodeState implements Node {
  /** Resolves when there is something to serve from. */
  readonly ready: Promise<void>;
  readonly #options: NodeStateOptions;
  readonly #cache: DiskCache;
  readonly #writer: CacheWriter;
  readonly #markReady: () => void;
  #configuration: Configuration | undefined;
  #applying: Promise<unknown> = Promise.resolve();
  #onDrain: (drain: Drain) => void = () => {};
  #questions = 0;
  lastNack: RefusedConfiguration | undefined;
  /** When a control plane was last heard, on the wall clock. */
  lastHeardMs: number | undefined;

  constructor(options: NodeStateOptions) {
    const { identity, clock, log, metrics } = options;
    this.#options = options;
    this.#cache = new DiskCache({ identity, clock, log });
    this.#writer = new CacheWriter({ store: (one) => this.#cache.store(one), clock, log });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#markReady = resolve;
    const startedMs = clock.wallMs();
    metrics.gauge('signalbox_sync_lag_seconds', (gauge) => {
      gauge.set(Math.max(0, clock.wallMs() - (this.lastHeardMs ?? startedMs)) / 1000);
    });
  }

  get snapshot(): Snapshot | undefined {
    return this.#configuration?.compilation.snapshot;
  }

  /** Whom a request to leave is passed on to. */
  set onDrain(callback: (drain: Drain) => void) {
    this.#onDrain = callback;
  }

  /** Starts from the disk where it can. Never throws: a node without a cache waits for a control plane. */
  async restore(): Promise<void> {
    const { log } = this.#options;
    for await (const { generation, transfer } of this.#cache.load()) {
      const result = await this.#applyTo(undefined, transfer);
      const about = { generation, revision: transfer.toRevision.toString() };
      if (result.type === 'applied') {
        this.#adopt(result.configuration);
        log.info(about, 'serving from the configuration on disk');
        return;
      }
      log.warn({ ...about, reasons: result.reasons }, 'the configuration on disk cannot be used');
    }
  }

  /** Writes down what has not been written yet. */
  async close(): Promise<void> {
    await this.#writer.flush();
  }

  running(): { historyId: string; revision: bigint; digest: Uint8Array } {
    return this.#configuration ?? nothing;
  }

  highWater(historyId: string): bigint {
    return this.#options.identity.highWater.of(historyId);
  }

  hello(): MessageInitShape<typeof HelloSchema> {
    const { identity, reports } = this.#options;
    const { historyId, revision, digest } = this.running();
    return {
      nodeId: identity.nodeId,
      bootEpoch: identity.bootEpoch,
      region: reports.region,
      build,
      schemaMin: schemaRange.min,
      schemaMax: schemaRange.max,
      haveRevision: revision,
      haveDigest: digest,
      historyId,
      sealingKey: identity.sealingPublicKey,
      advertisedAddress: reports.advertisedAddress,
      answersQuestions: this.#options.upstream !== undefined,
      explainsRequests: this.#options.explain !== undefined,
    };
  }

  heartbeat(): MessageInitShape<typeof HeartbeatSchema> {
    const { reports } = this.#options;
    const { revision, digest } = this.running();
    const spoolBytes = BigInt(Math.round(reports.spoolBytes()));
    return {
      revision,
      digest,
      load: reports.load(),
      spoolBytes,
      journalEpochs: [...reports.journalEpochs()],
    };
  }

  async welcome({ schema, signingKey, replicaId }: Welcome): Promise<void> {
    const { identity, log } = this.#options;
    if (schema < schemaRange.min || schema > schemaRange.max) {
      throw new SignalboxError(
        'invalid_configuration',
        `Control plane ${replicaId} speaks schema ${schema}; this build understands ${schemaRange.min} to ${schemaRange.max}. Upgrade the older of the two.`,
      );
    }
    if (identity.signingKey === undefined) {
      await identity.pinSigningKey(signingKey);
      log.info(
        { replica: replicaId },
        'from now on only configurations signed by this control plane are accepted',
      );
    } else if (!identity.signingKey.equals(signingKey)) {
      throw new SignalboxError(
        'invalid_configuration',
        `Control plane ${replicaId} signs with another key than the one this node trusts. If its database was replaced on purpose, stop the node, delete ${identity.directory}/signing-key and start it again.`,
      );
    }
  }

  async apply(transfer: Transfer): Promise<readonly RefusalReason[] | undefined> {
    const turn = this.#applying.then(() => this.#applyInTurn(transfer));
    this.#applying = turn;
    return await turn;
  }

  refused(revision: bigint, reasons: readonly RefusalReason[]): void {
    const { clock, log, metrics } = this.#options;
    this.lastNack = Object.freeze({ revision, reasons, atMs: clock.wallMs() });
    metrics.counter('signalbox_sync_nacks_total').inc();
    const running = this.running().revision.toString();
    log.error(
      { revision: revision.toString(), running, reasons },
      'a configuration was refused; the one in force stays',
    );
  }

  watermarks(watermarks: readonly Watermark[]): void {
    for (const { journalEpoch, sequence } of watermarks)
      this.#options.reports.onWatermark(journalEpoch, sequence);
  }

  drain(drain: Drain): void {
    this.#onDrain(drain);
  }

  async answer(ask: Ask): Promise<AnswerContent> {
    const { upstream, explain, clock } = this.#options;
    // The control plane keeps to the same limit; this holds it to that.
    if (upstream === undefined || this.#questions >= limits.asksPerNodeMax) {
      const message = `This data plane answers ${limits.asksPerNodeMax} questions at once. Try again in a moment.`;
      return { id: ask.id, error: { code: 'overloaded', message } };
    }
    this.#questions += 1;
    try {
      return await answerAsk(ask, this.snapshot, { upstream, explain, clock });
    } finally {
      this.#questions -= 1;
    }
  }

  heard(): void {
    this.lastHeardMs = this.#options.clock.wallMs();
  }

  async #applyInTurn(transfer: Transfer): Promise<readonly RefusalReason[] | undefined> {
    const { clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    const result = await this.#applyTo(this.#configuration, transfer);
    if (result.type === 'refused') return result.reasons;
    this.#adopt(result.configuration);
    this.#writer.offer(result.configuration);
    metrics.histogram('signalbox_sync_apply_seconds').observe((clock.monotonicMs() - startedMs) / 1000);
    return undefined;
  }

  async #applyTo(running: Configuration | undefined, transfer: Transfer): Promise<ApplyResult> {
    const { identity, providerFor, clock, log } = this.#options;
    try {
      return await applyTransfer({
        transfer,
        running,
        sealingKey: identity.keys.sealing,
        signingKey: identity.signingKey,
        providerFor,
        clock,
      });
    } catch (error) {
      log.error({ err: error }, 'applying a configuration failed');
      const message = 'This node failed to apply the configuration; its log has the details.';
      return { type: 'refused', reasons: [{ code: 'internal', message }] };
    }
  }

  /** The one assignment that puts a configuration in force. */
  #adopt(configuration: Configuration): void {
    this.#configuration = configuration;
    this.#options.metrics.gauge('signalbox_sync_revision').set(Number(configuration.revision));
    this.#markReady();
  }
}
