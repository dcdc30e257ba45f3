// A request for a turn as a task.
import type { Task } from './task.ts';
import { type TurnAsked, turnPassage } from './turn-passage.ts';

export type TaskIdentity = Pick<
  Task,
  'requestId' | 'keyId' | 'requestedModel' | 'route' | 'metadata' | 'tags'
>;

export function turnTask(identity: TaskIdentity, asked: TurnAsked): Task {
  const { dialect, head } = asked;
  return {
    ...identity,
    operation: dialect.name,
    isStreamed: head.stream,
    passageTo: (deployment) => turnPassage(asked, deployment),
    streamError: (error) => dialect.framing.write(dialect.renderStreamError(error)),
    copy: () => ({
      ...turnTask(identity, { ...asked, dropsUnsupported: true, recovery: undefined }),
      isShadow: true,
    }),
  };
}
