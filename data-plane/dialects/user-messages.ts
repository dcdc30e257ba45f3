// What a user says, for dialects in which it may hold results of tools beside words. Canonically a result is a message of its own, so
// what was one message becomes one for each result and for each run of words between them, in the same order.
import type { Message, Part } from '../turn/request.ts';

/** `extras` stand in each of them, so that what was one message can be found again. */
export function userMessages(
  parts: readonly Part[],
  extras: NonNullable<Message['extras']>,
): readonly Message[] {
  const runs: Part[][] = [];
  for (const part of parts) {
    const last = runs.at(-1);
    const joins = part.kind !== 'tool-result' && last !== undefined && last[0]!.kind !== 'tool-result';
    if (joins) last.push(part);
    else runs.push([part]);
  }
  return runs.map((run) => ({ role: run[0]!.kind === 'tool-result' ? 'tool' : 'user', parts: run, extras }));
}
