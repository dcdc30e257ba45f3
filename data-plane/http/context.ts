// What the handlers of this surface share: one object per gateway, made once.

import type { AttemptLimits, AttemptServices } from '../attempt/attempt-record.ts';
import type { BatchInputLimits } from '../files/batch-input.ts';
import type { SessionLimits } from '../realtime/session.ts';
import type { ResponseStore } from '../responses/store.ts';
import type { Gate } from '../routing/admission/gate.ts';
import type { Principal, Snapshot, SnapshotSource } from '../snapshot/snapshot.ts';
import type { HedgeOutcome } from './asking/hedge-outcome.ts';
import type { MirrorLimits, Mirrors } from './asking/mirrors.ts';
import type { BodyLimits } from './body.ts';
import type { Exchange, ExchangeLimits } from './exchange.ts';
import type { FilesRoom } from './files/place.ts';
import type { HealthSource } from './health-reading.ts';
import type { PathParameters } from './router.ts';
import type { RealtimeDoor } from './upgrade.ts';

export interface GatewayLimits
  extends AttemptLimits,
    BodyLimits,
    ExchangeLimits,
    SessionLimits,
    BatchInputLimits,
    MirrorLimits {
  readonly fileUploadBytesMax: number;
  readonly fileUploadsAtOnceMax: number;
  readonly realtimeSessionsMax: number;
  readonly realtimeMessageBytesMax: number;
  readonly realtimeHandshakeMs: number;
  readonly attemptsPerRequestMax: number;
  readonly upstreamTimeoutMs: number;
}

export interface GatewayContext {
  readonly snapshots: SnapshotSource;
  readonly attempts: AttemptServices;
  readonly limits: GatewayLimits;
  /** Who may be under way at once. */
  readonly gate: Gate;
  readonly mirrors: Mirrors;
  readonly region: string;
  readonly random: () => number;
  readonly realtime: RealtimeDoor;
  readonly files: FilesRoom;
  readonly responses: ResponseStore;
  readonly health: HealthSource;
  readonly renderMetrics: () => Promise<string>;
  readonly onHedged: (outcome: HedgeOutcome) => void;
}

/** A request whose key has been found good, and the configuration it is answered under. */
export interface Admitted {
  readonly snapshot: Snapshot;
  readonly principal: Principal;
}

export type OpenHandler = (context: GatewayContext, exchange: Exchange) => Promise<void> | void;
export type KeyHandler = (
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  parameters: PathParameters,
) => Promise<void> | void;
