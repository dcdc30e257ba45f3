// Many nodes in one process: each is the real node side of Sync with an identity, a certificate and a disk of its own. Started
// by fleet-process.ts and told what to do over IPC; times are milliseconds of the system clock, with fractions.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createProviders } from '#data-plane/providers/registry.ts';
import { type Sync, startSync } from '#data-plane/snapshot/sync.ts';
import { createUpstreamClient } from '#data-plane/upstream/client.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';

export interface FleetStart {
  readonly kind: 'start';
  readonly urls: readonly string[];
  readonly joinToken: string;
  /** Added to the nodes that are there. */
  readonly count: number;
  readonly directory: string;
}

export type FleetQuestion =
  | FleetStart
  /** Answered when every node runs at least this revision. */
  | { readonly kind: 'applied'; readonly revision: number }
  /** Answered when no node, or every node, is connected. */
  | { readonly kind: 'connected'; readonly all: boolean }
  | { readonly kind: 'stop' };

export interface FleetAnswer {
  /** When each node got there. */
  readonly timesMs: readonly number[];
  /** The longest stall of this process's event loop since the last answer. */
  readonly stallMsMax: number;
}

const LOOK_EVERY_MS = 2;
const loopDelay = monitorEventLoopDelay({ resolution: 1 });
const nodes: Sync[] = [];

process.on('message', (question: FleetQuestion) => {
  void respond(question);
});

async function respond(question: FleetQuestion): Promise<void> {
  const timesMs = await handle(question);
  const answer: FleetAnswer = { timesMs, stallMsMax: loopDelay.max / 1e6 };
  loopDelay.reset();
  process.send!(answer);
  if (question.kind === 'stop') process.disconnect();
}

async function handle(question: FleetQuestion): Promise<readonly number[]> {
  switch (question.kind) {
    case 'start':
      return start(question);
    case 'applied':
      return everyNode((node) => (node.current()?.revision ?? 0n) >= BigInt(question.revision));
    case 'connected':
      return everyNode((node) => node.status().connected === question.all);
    case 'stop':
      await Promise.all(nodes.map((node) => node.close()));
      return [];
  }
}

async function start({ urls, joinToken, count, directory }: FleetStart): Promise<readonly number[]> {
  const log = createLogger('silent');
  const first = nodes.length;
  const added = await Promise.all(
    Array.from({ length: count }, (_, position) => {
      const index = first + position;
      const dataDirectory = join(directory, `node-${index}`);
      mkdirSync(dataDirectory, { recursive: true });
      return startSync({
        urls,
        joinToken: new Secret(joinToken),
        dataDirectory,
        nodeId: `bench-${index}`,
        region: 'bench',
        advertisedAddress: '',
        providerFor: createProviders({
          upstream: createUpstreamClient(),
          clock: systemClock,
          environment: {},
        }),
        load: () => 0,
        spoolBytes: () => 0,
        journalEpochs: () => [],
        onWatermark: () => {},
        log,
        metrics: new Metrics(),
      });
    }),
  );
  nodes.push(...added);
  loopDelay.enable();
  return everyNode((node) => node.current() !== undefined);
}

function everyNode(arrived: (node: Sync) => boolean): Promise<readonly number[]> {
  const waiting = new Set(nodes);
  const timesMs: number[] = [];
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = performance.timeOrigin + performance.now();
      for (const node of waiting) {
        if (!arrived(node)) continue;
        waiting.delete(node);
        timesMs.push(now);
      }
      if (waiting.size > 0) return;
      clearInterval(timer);
      resolve(timesMs);
    }, LOOK_EVERY_MS);
  });
}
