// One call to one target, from the journaled intent to the settlement. Whatever happens (an answer, a refusal, a
// silence, a cut, the client leaving, this instance stopping) ends in exactly one result, and whoever called decides
// from it whether another target is tried.
import type { AttemptResult, AttemptServices, Target, Turn } from './attempt-record.ts';
import { LocalAttempt } from './local-attempt.ts';
import type { Passage } from './passage.ts';
import type { ClientAnswer } from './relay.ts';
import { UpstreamAttempt } from './upstream-attempt.ts';

/** Throws when the intent cannot be journaled: then nothing has been called. */
export function runAttempt(
  services: AttemptServices,
  turn: Turn,
  target: Target,
  passage: Passage,
  client: ClientAnswer,
): Promise<AttemptResult> {
  const { answer } = target.deployment.provider.kind;
  return answer
    ? new LocalAttempt(services, turn, target, client).run(answer)
    : new UpstreamAttempt(services, turn, target, passage, client).run();
}
