// The entry of a batch in the ledger. A batch is asked about many times, at any instance, and its results may be fetched as often as
// anybody likes; whoever learns what it used enters it. All of them write the same entry, under an id that follows from the
// batch, so the ledger, which takes each id once, has one.
import { uuidV7For } from '#shared/ids.ts';
import type { AttemptServices } from '../attempt/attempt-record.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { Usage } from '../turn/usage.ts';
import type { BatchPlace } from './sealed-id.ts';

export interface BatchEntry {
  readonly place: BatchPlace;
  readonly keyId: string;
  /** Of whoever asked. */
  readonly requestId: string;
  /** Undefined where requests of several models are in it, or where the model has gone from the configuration. */
  readonly deployment: Deployment | undefined;
  readonly usage: Usage;
}

const OK = 200;
/** Not the first attempt of a request: that was the one that created the batch. */
const ATTEMPT_NUMBER = 2;
const MS_PER_SECOND = 1000;

export class BatchAccounts {
  readonly #rememberedMax: number;
  /** Entered by this instance, oldest first: the ledger needs no reminding. */
  readonly #entered = new Set<string>();

  constructor(rememberedMax: number) {
    this.#rememberedMax = rememberedMax;
  }

  /** Throws `ledger_unavailable`; then nothing is lost, as the next to ask enters it. */
  enter(services: AttemptServices, { place, keyId, requestId, deployment, usage }: BatchEntry): void {
    const startedAtMs = place.createdAt * MS_PER_SECOND;
    const attemptId = uuidV7For(startedAtMs, `batch|${place.provider}|${place.id}|${keyId}`);
    if (this.#entered.has(attemptId)) return;
    const open = services.ledger.open({
      attemptId,
      requestId,
      attemptNumber: ATTEMPT_NUMBER,
      startedAtMs,
      keyId,
      requestedModel: place.models.join(' '),
      route: '',
      model: deployment?.model ?? '',
      deployment: deployment?.id ?? '',
      provider: place.provider,
      providerKey: place.providerKey,
      upstreamModel: deployment?.upstreamModel ?? '',
      operation: 'batches',
      streamed: false,
      tags: [...(deployment?.tags ?? []), 'batch'],
      metadata: {},
      trail: '',
      shadow: false,
    });
    open.settle({
      outcome: 'completed',
      upstreamStatus: OK,
      errorCode: '',
      durationMs: 0,
      firstByteMs: 0,
      usage,
      // The same whether the provider told the sum or the lines were added up.
      rawUsage: '',
      upstreamId: place.id,
    });
    this.#remember(attemptId);
    services.onSettled(place.provider, 'completed', usage);
  }

  #remember(attemptId: string): void {
    this.#entered.add(attemptId);
    if (this.#entered.size <= this.#rememberedMax) return;
    for (const oldest of this.#entered) {
      this.#entered.delete(oldest);
      return;
    }
  }
}
