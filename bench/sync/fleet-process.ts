// Starts a fleet of nodes as a process of its own, so that its CPU time and its stalls are not those of what is measured.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FleetAnswer, FleetQuestion } from './fleet.ts';

export interface Fleet {
  readonly pid: number;
  ask(question: FleetQuestion): Promise<FleetAnswer>;
  stop(): Promise<void>;
}

export function startFleet({ core }: { readonly core: number }): Fleet {
  const child = fork(fileURLToPath(new URL('./fleet.ts', import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  execFileSync('taskset', ['-acp', String(core), String(child.pid)], { stdio: 'ignore' });
  const ask = async (question: FleetQuestion): Promise<FleetAnswer> => {
    child.send(question);
    const [answer] = (await once(child, 'message')) as [FleetAnswer];
    return answer;
  };
  return {
    pid: child.pid!,
    ask,
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Comparable with the fleet's times. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
