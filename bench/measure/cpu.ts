// CPU time of a process, its threads and its children, as the operating system accounts it. On a shared machine this is
// the figure that means something: wall-clock rates swing with the neighbours.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User plus system seconds of these processes and everything they have started. */
export function cpuSeconds(pids: readonly number[]): number {
  return withDescendants(pids).reduce((sum, pid) => sum + ownCpuSeconds(pid), 0);
}

/** Resident memory now, in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function ownCpuSeconds(pid: number): number {
  const fields = statFields(pid);
  // Counted from the field after the command: state is 0, utime 11, stime 12 (proc(5) counts from 1 and from the pid).
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // the process has ended
  }
}

function withDescendants(pids: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? Number(statFields(Number(name))?.[1]) : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const all = new Set<number>();
  const waiting = [...pids];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    all.add(pid);
    waiting.push(...(children.get(pid) ?? []).filter((child) => !all.has(child)));
  }
  return [...all];
}
