// One run: a fleet of nodes with one strategy, a model with several members, a scenario, a seed. Everything is drawn from the seed and
// nothing from the machine, so that a run can be repeated to the last figure.
import { deploymentOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import { SimulatedClock } from './clock.ts';
import { MODEL, Node, type Trace } from './node.ts';
import type { Phases, Scenario } from './scenarios.ts';
import { Server, type ServerSketch } from './server.ts';
import { shareHealth } from './sharing.ts';
import { drawTraffic } from './traffic.ts';

export interface World {
  readonly nodes: number;
  readonly servers: readonly ServerSketch[];
  readonly requestsPerSecond: number;
  readonly timeoutMs: number;
  /** How long what a node tells takes to the others; undefined when each knows only what it has seen itself. */
  readonly newsMs: number | undefined;
  readonly phases: Phases;
}

export interface RunOptions {
  readonly world: World;
  readonly scenario: Scenario;
  readonly strategy: string;
  readonly seed: number;
}

const SECOND = 1000;
const KEYS = 2;

/** Five members, the slowest takes three times as long as the fastest, each could carry a third of the traffic or more; three nodes. */
export const usualWorld: World = {
  nodes: 3,
  servers: [300, 400, 500, 650, 800].map((firstByteMs, index) => ({
    name: `member-${index + 1}`,
    firstByteMs,
    tokenMs: firstByteMs / 40,
    price: 100 + 50 * index,
    concurrencyMax: 40,
    queueMax: 40,
  })),
  requestsPerSecond: 40,
  timeoutMs: 20 * SECOND,
  newsMs: undefined,
  phases: { faultFromMs: 40 * SECOND, faultUntilMs: 130 * SECOND, untilMs: 200 * SECOND },
};

export function simulate({ world, scenario, strategy, seed }: RunOptions): readonly Trace[] {
  const clock = new SimulatedClock();
  const deployments = world.servers.map(({ name, price }, index) => {
    const keys = Array.from({ length: KEYS }, (_, key) => providerKeyOf(`${name}-key-${key + 1}`));
    return deploymentOf(MODEL, providerOf(name, { keys }), {
      id: name,
      priority: index + 1,
      price: { input: price, inputCacheRead: price / 10, output: 4 * price },
      timeoutMs: world.timeoutMs,
    });
  });
  const snapshot = snapshotOf({ deployments, modelStrategies: { [MODEL]: strategy } });
  const servers = world.servers.map((sketch, index) => new Server(clock, sketch, index));
  const byDeployment = new Map(deployments.map(({ id }, index) => [id, servers[index]!]));
  const nodes = Array.from({ length: world.nodes }, (_, index) => {
    const random = seededRandom(seed * 1000 + index);
    return new Node({ clock, snapshot, servers: byDeployment, random });
  });
  for (const { atMs, server, fault } of scenario.changes(world.phases, servers.length)) {
    clock.after(atMs, () => servers[server]!.change(fault));
  }
  const traces: Trace[] = [];
  const requests = drawTraffic({
    ...world,
    seed,
    servers: servers.length,
    untilMs: world.phases.untilMs,
  });
  for (const request of requests) {
    clock.after(request.arrivesMs, () => traces.push(nodes[request.node]!.answer(request)));
  }
  if (world.newsMs !== undefined)
    shareHealth(clock, nodes, { newsMs: world.newsMs, untilMs: world.phases.untilMs });
  clock.run();
  return traces;
}
