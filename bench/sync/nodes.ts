// How fast a change reaches 500 nodes, what each of them costs a control plane, and how a fleet returns after the control plane
// has been killed. The control plane has one core, the fleet the other.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Cluster } from '#test/harness/cluster.ts';
import { cpuSeconds, residentBytes } from '../measure/cpu.ts';
import { median, percentile } from '../measure/statistics.ts';
import { nowMs, startFleet } from './fleet-process.ts';

const NODES = 500;
const CHANGES = 20;

export async function measureNodes(): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const cluster = await Cluster.start({ dataPlanes: 0 });
  stack.defer(() => cluster.stop());
  const controlPlane = cluster.controlPlanes[0]!;
  execFileSync('taskset', ['-acp', '0', String(controlPlane.program!.pid)], { stdio: 'ignore' });
  const fleet = startFleet({ core: 1 });
  stack.defer(() => fleet.stop());

  await cluster.must('POST', '/api/v1/keys', { name: 'first' });
  const access = await cluster.syncAccess();
  const directory = join(cluster.directory, 'fleet');
  const joining = nowMs();
  const joinedFirst = await fleet.ask({ kind: 'start', ...access, count: NODES / 2, directory });
  // The slope from half the fleet to all of it: what a stream costs beyond what the first of them warmed up.
  const half = await settledBytes(controlPlane.program!.pid);
  const joinRest = nowMs();
  const joined = await fleet.ask({ kind: 'start', ...access, count: NODES / 2, directory });
  const whole = await settledBytes(controlPlane.program!.pid);
  const joinSeconds =
    (Math.max(...joinedFirst.timesMs) - joining + Math.max(...joined.timesMs) - joinRest) / 1000;

  const latencies: number[] = [];
  const cpuBefore = cpuSeconds([controlPlane.program!.pid]);
  for (let index = 0; index < CHANGES; index++) {
    const { revision } = await cluster.must<{ revision: number }>('POST', '/api/v1/keys', {
      name: `change-${index}`,
    });
    const committed = nowMs();
    const { timesMs } = await fleet.ask({ kind: 'applied', revision });
    latencies.push(...timesMs.map((time) => Math.max(0, time - committed)));
  }
  const cpuPerPush = ((cpuSeconds([controlPlane.program!.pid]) - cpuBefore) / (CHANGES * NODES)) * 1e6;

  await controlPlane.stop('SIGKILL');
  await fleet.ask({ kind: 'connected', all: false });
  const restarted = nowMs();
  await controlPlane.start();
  const back = await fleet.ask({ kind: 'connected', all: true });
  const resume = back.timesMs.map((time) => (time - restarted) / 1000);

  return [
    `## ${NODES} nodes over mutual TLS on one control plane`,
    '',
    '| figure | value |',
    '|---|---|',
    `| all joined and configured | ${joinSeconds.toFixed(1)} s |`,
    `| change committed to applied, p50 / p99 / max of ${CHANGES} changes | ${median(latencies).toFixed(0)} / ${percentile(latencies, 0.99).toFixed(0)} / ${Math.max(...latencies).toFixed(0)} ms |`,
    `| control plane CPU per node and change | ${cpuPerPush.toFixed(0)} µs |`,
    `| control plane memory per stream | ${((whole - half) / (NODES / 2) / 1024).toFixed(0)} KiB |`,
    `| after kill -9 and restart, half / all nodes back | ${median(resume).toFixed(1)} / ${Math.max(...resume).toFixed(1)} s |`,
    '',
  ].join('\n');
}

const SETTLE_MS = 8_000;

/** Resident memory once garbage of the joins has had time to go. */
async function settledBytes(pid: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return residentBytes(pid);
}
