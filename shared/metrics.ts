// Every metric of both planes, in one table: name, kind, labels, help. docs/metrics.md lists the same rows and a test
// compares them. Labels have few values by construction: never a key, never a client-chosen string.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { version } from './build.ts';

interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels?: readonly string[];
  readonly buckets?: readonly number[];
}

const latencySeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const overheadSeconds = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1];

export const metricTable = {
  signalbox_build_info: {
    kind: 'gauge',
    help: 'Always 1; the label says which build runs.',
    labels: ['version'],
  },
  signalbox_requests_total: {
    kind: 'counter',
    help: 'Requests answered, by operation and HTTP status.',
    labels: ['operation', 'status'],
  },
  signalbox_requests_in_flight: { kind: 'gauge', help: 'Requests being answered now.' },
  signalbox_request_seconds: {
    kind: 'histogram',
    help: 'From the request head to the last answer byte.',
    labels: ['operation'],
    buckets: latencySeconds,
  },
  signalbox_first_byte_seconds: {
    kind: 'histogram',
    help: 'From the request head to the first answer byte.',
    labels: ['operation'],
    buckets: latencySeconds,
  },
  signalbox_overhead_seconds: {
    kind: 'histogram',
    help: 'Time the gateway itself added before calling the upstream.',
    labels: ['operation'],
    buckets: overheadSeconds,
  },
  signalbox_attempts_total: {
    kind: 'counter',
    help: 'Upstream attempts, by provider and outcome.',
    labels: ['provider', 'outcome'],
  },
  signalbox_tokens_total: {
    kind: 'counter',
    help: 'Tokens metered, by provider and meter.',
    labels: ['provider', 'meter'],
  },
  signalbox_mirrors_total: {
    kind: 'counter',
    help: 'Copies of requests: answered, failed, cancelled, or not sent: dropped, impossible.',
    labels: ['outcome'],
  },
  signalbox_hedges_total: {
    kind: 'counter',
    help: 'Second attempts beside a slow first: won, lost, failed, no_budget, no_target.',
    labels: ['outcome'],
  },
  signalbox_sync_revision: { kind: 'gauge', help: 'The configuration revision in force here.' },
  signalbox_sync_connected: { kind: 'gauge', help: '1 while the stream to a control plane is up.' },
  signalbox_sync_lag_seconds: { kind: 'gauge', help: 'How long ago the control plane was last heard.' },
  signalbox_sync_nacks_total: { kind: 'counter', help: 'Configurations this node refused.' },
  signalbox_sync_apply_seconds: {
    kind: 'histogram',
    help: 'Time to validate and apply a configuration.',
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
  },
  signalbox_journal_bytes: { kind: 'gauge', help: 'Journal bytes the ledger has not confirmed.' },
  signalbox_journal_records_total: { kind: 'counter', help: 'Attempts settled in the journal.' },
  signalbox_bus_connected: { kind: 'gauge', help: '1 while the usage bus is connected.' },
  signalbox_bus_publish_failures_total: {
    kind: 'counter',
    help: 'Usage batches the bus did not take; they are sent again.',
  },
  signalbox_breaker_state: {
    kind: 'gauge',
    help: 'Whether a provider is asked: 0 closed (it is), 1 half open, 2 open (it is not).',
    labels: ['provider'],
  },
  signalbox_breakers: {
    kind: 'gauge',
    help: 'Keys, deployments and providers that are shut off or on trial.',
    labels: ['kind', 'state'],
  },
  signalbox_provider_probes_total: {
    kind: 'counter',
    help: 'Free probes of providers, by what they found.',
    labels: ['provider', 'finding'],
  },
  signalbox_health_digests_total: {
    kind: 'counter',
    help: 'Health digests between data planes: sent, unsent, taken, known (over another bus already), refused.',
    labels: ['outcome'],
  },
  signalbox_event_loop_stall_seconds: {
    kind: 'gauge',
    help: 'Longest event-loop stall since the last scrape.',
  },
  signalbox_nodes_connected: { kind: 'gauge', help: 'Data planes with a stream to this control plane.' },
  signalbox_health_nodes: {
    kind: 'gauge',
    help: 'Data planes whose health digests have been heard within three seconds.',
  },
  signalbox_config_revision: {
    kind: 'gauge',
    help: 'The newest configuration revision this control plane has built.',
  },
  signalbox_config_pushes_total: {
    kind: 'counter',
    help: 'Configuration transfers started, full or delta.',
    labels: ['kind'],
  },
  signalbox_config_nacks_total: { kind: 'counter', help: 'Configuration transfers that nodes refused.' },
  signalbox_ledger_attempts_total: { kind: 'counter', help: 'Attempts committed to the ledger.' },
  signalbox_ledger_duplicates_total: { kind: 'counter', help: 'Attempts delivered again and dropped.' },
  signalbox_ledger_poison_total: {
    kind: 'counter',
    help: 'Usage messages that cannot be read and were parked.',
  },
  signalbox_ledger_failures_total: {
    kind: 'counter',
    help: 'Ingestion transactions that failed and will be retried.',
  },
  signalbox_database_up: { kind: 'gauge', help: '1 while the database answers.' },
  signalbox_api_requests_total: {
    kind: 'counter',
    help: 'Admin API requests, by route and status.',
    labels: ['route', 'status'],
  },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricTable;
type NameOf<Kind extends MetricRow['kind']> = {
  [Name in MetricName]: (typeof metricTable)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];

/** The metrics of one process. Parts ask for theirs by name; a name that is not in the table does not compile. */
export class Metrics {
  readonly registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.gauge('signalbox_build_info').set({ version }, 1);
  }

  counter(name: NameOf<'counter'>): Counter {
    return this.#once(name, (row) => new Counter({ ...row, registers: [this.registry] })) as Counter;
  }

  gauge(name: NameOf<'gauge'>, collect?: (gauge: Gauge) => void): Gauge {
    const make = (row: { name: string; help: string; labelNames: string[] }) =>
      new Gauge({
        ...row,
        registers: [this.registry],
        ...(collect && {
          collect() {
            collect(this);
          },
        }),
      });
    return this.#once(name, make) as Gauge;
  }

  histogram(name: NameOf<'histogram'>): Histogram {
    const make = (row: { name: string; help: string; labelNames: string[] }) =>
      new Histogram({ ...row, buckets: [...metricTable[name].buckets], registers: [this.registry] });
    return this.#once(name, make) as Histogram;
  }

  render(): Promise<string> {
    return this.registry.metrics();
  }

  #once(
    name: MetricName,
    make: (row: { name: string; help: string; labelNames: string[] }) => unknown,
  ): unknown {
    const row: MetricRow = metricTable[name];
    return (
      this.registry.getSingleMetric(name) ??
      make({ name, help: row.help, labelNames: [...(row.labels ?? [])] })
    );
  }
}
