// One call to one target, from the journaled intent to the settlement. Whatever happens (an answer, a refusal, a
// silence, a cut, the client leaving, this instance stopping) ends in exactly one result, and whoever called decides
// from it whether another target is tried.
import type { Passage, Task } from '../passage/task.ts';
import type { AttemptResult, AttemptServices, Target } from './attempt-record.ts';
import { LocalAttempt } from './local-attempt.ts';
import type { ClientAnswer } from './relay.ts';
import { UpstreamAttempt } from './upstream-attempt.ts';

/** Throws when the intent cannot be journaled: then nothing has been called. */
export function runAttempt(
  services: AttemptServices,
  task: Task,
  target: Target,
  passage: Passage,
  client: ClientAnswer,
): Promise<AttemptResult> {
  return passage.kind === 'local'
    ? new LocalAttempt(services, task, target, passage, client).run()
    : new UpstreamAttempt(services, task, target, passage, client).run();
}
