// What is counted per request. Labels are resolved once per value and kept, because looking a label set up costs more
// than counting.
import type { Metrics } from '#shared/metrics.ts';
import type { Outcome } from '../meter/ledger.ts';
import type { Usage } from '../turn/usage.ts';
import type { HedgeOutcome } from './asking/hedge-outcome.ts';
import type { CopyOutcome } from './asking/mirrors.ts';
import type { Exchange } from './exchange.ts';

interface Count {
  inc(amount?: number): void;
}

interface Distribution {
  observe(value: number): void;
}

/** The usage vector's parts, as the metric names them. */
const meters: readonly (readonly [part: keyof Usage, meter: string])[] = [
  ['input', 'input'],
  ['inputCacheRead', 'input_cache_read'],
  ['inputCacheWrite', 'input_cache_write'],
  ['inputAudio', 'input_audio'],
  ['output', 'output'],
  ['outputReasoning', 'output_reasoning'],
  ['outputAudio', 'output_audio'],
];

const MS_PER_SECOND = 1000;

export class GatewayMetrics {
  readonly #requests: (operation: string, status: string) => Count;
  readonly #requestSeconds: (operation: string) => Distribution;
  readonly #firstByteSeconds: (operation: string) => Distribution;
  readonly #overheadSeconds: (operation: string) => Distribution;
  readonly #attempts: (provider: string, outcome: string) => Count;
  readonly #tokens: (provider: string, meter: string) => Count;
  readonly #mirrors: (outcome: CopyOutcome) => Count;
  readonly #hedges: (outcome: string) => Count;

  constructor(metrics: Metrics, inFlight: () => number) {
    metrics.gauge('signalbox_requests_in_flight', (gauge) => gauge.set(inFlight()));
    const requests = metrics.counter('signalbox_requests_total');
    const requestSeconds = metrics.histogram('signalbox_request_seconds');
    const firstByteSeconds = metrics.histogram('signalbox_first_byte_seconds');
    const overheadSeconds = metrics.histogram('signalbox_overhead_seconds');
    const attempts = metrics.counter('signalbox_attempts_total');
    const tokens = metrics.counter('signalbox_tokens_total');
    const mirrors = metrics.counter('signalbox_mirrors_total');
    this.#requests = remember((operation, status) => requests.labels(operation, status));
    this.#requestSeconds = remember((operation) => requestSeconds.labels(operation));
    this.#firstByteSeconds = remember((operation) => firstByteSeconds.labels(operation));
    this.#overheadSeconds = remember((operation) => overheadSeconds.labels(operation));
    this.#attempts = remember((provider, outcome) => attempts.labels(provider, outcome));
    this.#tokens = remember((provider, meter) => tokens.labels(provider, meter));
    this.#mirrors = remember((outcome) => mirrors.labels(outcome));
    const hedges = metrics.counter('signalbox_hedges_total');
    this.#hedges = remember((outcome) => hedges.labels(outcome));
  }

  requestClosed(exchange: Exchange): void {
    const { operation, status, firstByteMs, overheadMs } = exchange;
    this.#requests(operation, String(status)).inc();
    this.#requestSeconds(operation).observe(exchange.elapsedMs() / MS_PER_SECOND);
    if (firstByteMs !== undefined) this.#firstByteSeconds(operation).observe(firstByteMs / MS_PER_SECOND);
    if (overheadMs !== undefined) this.#overheadSeconds(operation).observe(overheadMs / MS_PER_SECOND);
  }

  copyEnded(outcome: CopyOutcome): void {
    this.#mirrors(outcome).inc();
  }

  hedged(outcome: HedgeOutcome): void {
    this.#hedges(outcome).inc();
  }

  attemptSettled(provider: string, outcome: Outcome, usage: Usage | undefined): void {
    this.#attempts(provider, outcome).inc();
    if (!usage) return;
    for (const [part, meter] of meters) {
      if (usage[part] > 0) this.#tokens(provider, meter).inc(usage[part]);
    }
  }
}

/** Keeps what was made for each pair of labels. Labels have few values by construction, so this stays small. */
function remember<Made>(
  make: (first: string, second: string) => Made,
): (first: string, second?: string) => Made {
  const byFirst = new Map<string, Map<string, Made>>();
  return (first, second = '') => {
    let bySecond = byFirst.get(first);
    if (!bySecond) {
      bySecond = new Map();
      byFirst.set(first, bySecond);
    }
    let made = bySecond.get(second);
    if (made === undefined) {
      made = make(first, second);
      bySecond.set(second, made);
    }
    return made;
  };
}
