// What clients ask for, drawn once from a seed and then the same for every strategy: when each request arrives, at which node, how much it
// asks for and how lucky it would be with each server. What differs between two runs is then the routing and nothing else.
import { seededRandom } from '#test/harness/vitals.ts';

export interface SimulatedRequest {
  readonly index: number;
  readonly arrivesMs: number;
  readonly node: number;
  readonly isStream: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly conversation: string;
  /** For each server, a standard normal number: how much slower than usual it would be this time. */
  readonly luck: readonly number[];
}

export interface TrafficOptions {
  readonly seed: number;
  readonly requestsPerSecond: number;
  readonly untilMs: number;
  readonly nodes: number;
  readonly servers: number;
}

const STREAM_SHARE = 0.5;
const OUTPUT_TOKENS_MEDIAN = 120;
const OUTPUT_SPREAD = 0.5;
const INPUT_TOKENS_MEDIAN = 1000;
const INPUT_SPREAD = 0.8;
/** Conversations under way at the same time, each with so many requests in the end. */
const CONVERSATIONS = 200;

export function drawTraffic(options: TrafficOptions): readonly SimulatedRequest[] {
  const random = seededRandom(options.seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const requests: SimulatedRequest[] = [];
  const gapMs = 1000 / options.requestsPerSecond;
  for (let atMs = waitFor(gapMs, random); atMs < options.untilMs; atMs += waitFor(gapMs, random)) {
    requests.push({
      index: requests.length,
      arrivesMs: atMs,
      node: Math.floor(random() * options.nodes),
      isStream: random() < STREAM_SHARE,
      inputTokens: Math.round(INPUT_TOKENS_MEDIAN * Math.exp(INPUT_SPREAD * normal())),
      outputTokens: Math.round(OUTPUT_TOKENS_MEDIAN * Math.exp(OUTPUT_SPREAD * normal())),
      conversation: `conversation ${Math.floor(random() * CONVERSATIONS)}`,
      luck: Array.from({ length: options.servers }, normal),
    });
  }
  return requests;
}

/** Poisson arrivals: the time between two of them is exponential. */
function waitFor(meanMs: number, random: () => number): number {
  return -Math.log(1 - random()) * meanMs;
}
