// What the parts of an instance say of themselves, for health answers to be made from.
import type { BusState } from '#shared/bus/bus.ts';

export interface HealthSource {
  read(): HealthReading;
}

/** What the parts of this instance say of themselves. */
export interface HealthReading {
  readonly nodeId: string;
  readonly region: string;
  /** Undefined until the first configuration is in force. */
  readonly revision: bigint | undefined;
  readonly draining: boolean;
  readonly inFlight: number;
  readonly syncConnected: boolean;
  readonly bus: BusState;
  readonly journal: JournalHealth;
}

export interface JournalHealth {
  readonly writable: boolean;
  /** What the ledger has not confirmed yet. */
  readonly bytes: number;
}
