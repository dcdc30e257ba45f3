// The cost of a governed request. nginx as a plain proxy and the data plane take turns on core 0; the upstream, the load and
// everything else of Signalbox live on core 1. The data plane does all its work: key, route, journal, metering, publishing
// to NATS, ledger in Postgres. What is compared is CPU per request, because wall-clock rates swing with the neighbours.
import { execFileSync } from 'node:child_process';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { findProgram } from '#test/harness/debian.ts';
import { freePort } from '#test/harness/process.ts';
import { complete } from '#test/harness/traffic.ts';
import { cpuSeconds, residentBytes } from './measure/cpu.ts';
import { generateLoad } from './measure/load.ts';
import { median } from './measure/statistics.ts';
import { startNginxProxy, startNginxUpstream } from './peers/nginx.ts';

const MEASURED_CORE = 0;
const OTHER_CORE = 1;
const ROUNDS = 5;
const ROUND_SECONDS = 6;
const CONNECTIONS = 64;

interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
}

interface Round {
  readonly cpuMicros: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
}

interface Latency {
  readonly p50Micros: number;
  readonly p99Micros: number;
}

export async function measureEcho(): Promise<string> {
  const [nginx, wrk] = await Promise.all([findProgram('nginx'), findProgram('wrk')]);
  await using stack = new AsyncDisposableStack();
  const upstreamPort = await freePort();
  const upstream = await startNginxUpstream({
    program: nginx,
    port: upstreamPort,
    core: OTHER_CORE,
    completion,
  });
  stack.defer(() => upstream.stop());
  const proxy = await startNginxProxy({
    program: nginx,
    port: await freePort(),
    core: MEASURED_CORE,
    upstreamPort,
  });
  stack.defer(() => proxy.stop());
  const { contestant, key } = await startSignalbox(`${upstream.url}/v1`, stack);

  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const contestants = [{ name: 'nginx, plain proxy', url: proxy.url, pid: proxy.pid }, contestant];
  const throughput = new Map<string, Round[]>(contestants.map(({ name }) => [name, []]));
  const latency = new Map<string, Latency[]>(contestants.map(({ name }) => [name, []]));
  const load = (url: string, connections: number, seconds: number) =>
    generateLoad(wrk, {
      url: `${url}/v1/chat/completions`,
      connections,
      seconds,
      headers,
      body: requestBody,
      core: OTHER_CORE,
    });

  for (const { url } of contestants) await load(url, CONNECTIONS, 5); // compile and fill pools
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, url, pid } of contestants) {
      throughput.get(name)!.push(await measureRound(pid, () => load(url, CONNECTIONS, ROUND_SECONDS)));
      const single = await load(url, 1, 3);
      latency.get(name)!.push({ p50Micros: single.latencyMicrosP50, p99Micros: single.latencyMicrosP99 });
    }
  }
  return report(contestants, throughput, latency, residentBytes(contestant.pid));
}

async function startSignalbox(
  providerUrl: string,
  stack: AsyncDisposableStack,
): Promise<{ contestant: Contestant; key: string }> {
  const cluster = await Cluster.start();
  stack.defer(() => cluster.stop());
  const { key } = await cluster.offer(providerUrl, ['gpt-4o-mini']);
  const node = cluster.dataPlanes[0]!;
  await waitFor(
    'the data plane to serve',
    async () => (await complete(node.url, key, JSON.parse(requestBody))).status === 200,
  );
  const others = [cluster.controlPlanes[0]!.program!.pid, cluster.nats.pid, cluster.postgres.pid];
  for (const pid of others) pin(pid, OTHER_CORE);
  pin(node.program!.pid, MEASURED_CORE);
  return { contestant: { name: 'Signalbox data plane', url: node.url, pid: node.program!.pid }, key };
}

/** Every thread of the process; children that Postgres forks later inherit it. */
function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' });
}

async function measureRound(pid: number, load: () => ReturnType<typeof generateLoad>): Promise<Round> {
  const before = cpuSeconds([pid]);
  const { requests, requestsPerSecond, errors } = await load();
  return { cpuMicros: ((cpuSeconds([pid]) - before) / requests) * 1e6, requestsPerSecond, errors };
}

function report(
  contestants: readonly Contestant[],
  throughput: ReadonlyMap<string, readonly Round[]>,
  latency: ReadonlyMap<string, readonly Latency[]>,
  resident: number,
): string {
  const floor = contestants[0]!.name;
  const middle = (name: string, pick: (round: Round) => number) => median(throughput.get(name)!.map(pick));
  const delay = (name: string, pick: (sample: Latency) => number) => median(latency.get(name)!.map(pick));
  const rows = contestants.map(({ name }) => {
    const cpu = middle(name, (round) => round.cpuMicros);
    const ratio = cpu / middle(floor, (round) => round.cpuMicros);
    const p50 = delay(name, (sample) => sample.p50Micros);
    const p99 = delay(name, (sample) => sample.p99Micros);
    const rate = middle(name, (round) => round.requestsPerSecond);
    const errors = throughput.get(name)!.reduce((sum, round) => sum + round.errors, 0);
    return `| ${name} | ${cpu.toFixed(1)} | ${ratio.toFixed(2)} | ${rate.toFixed(0)} | ${p50} | ${p99} | ${(p50 / delay(floor, (sample) => sample.p50Micros)).toFixed(2)} | ${errors} |`;
  });
  return [
    `${ROUNDS} alternating rounds of ${ROUND_SECONDS} s, ${CONNECTIONS} connections; then concurrency 1 for 3 s. Medians.`,
    '',
    '| | CPU µs/request | × nginx | requests/s | p50 µs at 1 | p99 µs at 1 | p50 × nginx | errors |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    `Data plane resident memory after the run: ${(resident / 2 ** 20).toFixed(0)} MiB. Absent from this run: other gateways.`,
    '',
  ].join('\n');
}

const requestBody = JSON.stringify({
  model: 'gpt-4o-mini',
  messages: [
    { role: 'system', content: 'You are a helpful assistant. '.repeat(12) },
    {
      role: 'user',
      content: 'Tell me about signal boxes and why they were built beside the tracks. '.repeat(8),
    },
  ],
  temperature: 0.2,
});

const completion = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'gpt-4o-mini-2024-07-18',
  choices: [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: 'A signal box let one person see and set the points of a whole station. '.repeat(5),
        refusal: null,
      },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: {
    prompt_tokens: 231,
    completion_tokens: 84,
    total_tokens: 315,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  },
  service_tier: 'default',
  system_fingerprint: 'fp_bench',
});
