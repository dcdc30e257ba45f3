// Where a data plane's configuration comes from: the disk first, so that a node serves at once and even alone, then a
// control plane, for as long as the node lives. Ready means "has a configuration", not "is connected": a node that was
// ready stays ready whatever happens to its control planes.
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Secret } from '#shared/secret.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Explain } from './ask.ts';
import type { ProviderFor } from './compile.ts';
import { Credentials } from './credentials.ts';
import { Dialer } from './dialer.ts';
import { parseEndpoint } from './endpoint.ts';
import { NodeIdentity } from './identity.ts';
import { authorityFingerprint } from './join-token.ts';
import { type NodeReports, NodeState, type RefusedConfiguration } from './node-state.ts';
import type { SnapshotSource } from './snapshot.ts';

export interface SyncOptions extends NodeReports {
  /** Control planes, any of which will do: https://host:port, or http:// on loopback. */
  readonly urls: readonly string[];
  /** Needed until the node holds a certificate; on loopback it accompanies every stream. */
  readonly joinToken: Secret | undefined;
  readonly dataDirectory: string;
  /** Made up and remembered when undefined. */
  readonly nodeId: string | undefined;
  readonly providerFor: ProviderFor;
  /** Where providers are asked what people want to know; a node without it says that it answers no questions. */
  readonly upstream?: UpstreamClient;
  /** What says where requests would go; a node without it says that it cannot. */
  readonly explain?: Explain;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** Silence after which a control plane counts as frozen or gone. */
  readonly deadMs?: number;
}

export interface Sync extends SnapshotSource {
  readonly nodeId: string;
  /** Resolves when there is something to serve from. */
  ready(): Promise<void>;
  status(): SyncStatus;
  close(): Promise<void>;
}

export interface SyncStatus {
  readonly connected: boolean;
  /** Where the stream leads. */
  readonly url: string | undefined;
  /** In force; 0 for nothing. */
  readonly revision: bigint;
  /** Wall clock; undefined when no control plane has been heard since the start. */
  readonly lastHeardMs: number | undefined;
  readonly lastNack: RefusedConfiguration | undefined;
}

/** Throws only for what the operator has to mend: an address, a token, a directory. */
export async function startSync(options: SyncOptions): Promise<Sync> {
  const { log, metrics, joinToken, clock = systemClock, deadMs = limits.syncDeadMs } = options;
  if (options.urls.length === 0) {
    throw new SignalboxError(
      'invalid_configuration',
      'A data plane needs the URL of at least one control plane.',
    );
  }
  const endpoints = options.urls.map(parseEndpoint);
  if (joinToken !== undefined && endpoints.some((endpoint) => endpoint.secure))
    authorityFingerprint(joinToken);
  const { dataDirectory, nodeId, providerFor, upstream, explain } = options;
  const identity = await NodeIdentity.open({ dataDirectory, nodeId, clock, log });
  const reports = options;
  const state = new NodeState({ identity, reports, providerFor, upstream, explain, clock, log, metrics });
  await state.restore();

  let connected = false;
  const connectedGauge = metrics.gauge('signalbox_sync_connected');
  connectedGauge.set(0);
  const dialer = new Dialer({
    endpoints,
    credentials: new Credentials({ identity, joinToken, deadMs, clock, log }),
    node: state,
    deadMs,
    random: Math.random,
    clock,
    log,
    onConnected(now) {
      connected = now;
      connectedGauge.set(now ? 1 : 0);
    },
  });
  state.onDrain = (drain) => dialer.drain(drain);
  return {
    nodeId: identity.nodeId,
    current: () => state.snapshot,
    ready: () => state.ready,
    status: () => ({
      connected,
      url: dialer.url,
      revision: state.running().revision,
      lastHeardMs: state.lastHeardMs,
      lastNack: state.lastNack,
    }),
    async close() {
      await dialer.close();
      await state.close();
    },
  };
}
