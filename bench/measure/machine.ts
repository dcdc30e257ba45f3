// What a report must say about where it was made.
import { cpus, release, totalmem } from 'node:os';

export function describeMachine(): string {
  const processors = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${memory}, Linux ${release()}, Node ${process.versions.node}`;
}
