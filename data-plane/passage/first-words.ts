// When a stream begins to say something. Vendors open theirs with a role, a name or a sign of life as soon as they have a connection, and
// then think; that is no answer yet, neither for whoever measures how soon one comes nor for two that race for it. Events are read
// until there is something, which is mostly the first or the second, and passed unread from then on.
import type { Dialect } from '../dialects/dialect.ts';
import type { TurnEvent } from '../turn/events.ts';

/** Takes what comes and returns whether the stream has said something by now. */
export type Listen = (bytes: Buffer) => boolean;

export function listenFor(dialect: Dialect): Listen {
  const frames = dialect.framing.reader();
  const reader = dialect.reader();
  let hasSpoken = false;
  return (bytes) => {
    if (hasSpoken) return true;
    try {
      for (const frame of frames.push(bytes)) hasSpoken ||= reader.push(frame).some(says);
    } catch {
      // What cannot be read is something, too: whoever reads it in earnest says what is wrong with it.
      hasSpoken = true;
    }
    return hasSpoken;
  };
}

function says(event: TurnEvent): boolean {
  switch (event.type) {
    case 'block-start':
      return (
        event.block.kind === 'tool-call' || event.block.kind === 'private' || event.block.kind === 'image'
      );
    case 'block-delta':
      return event.text !== '';
    case 'block-end':
      return event.signature !== undefined;
    case 'turn-end':
    case 'turn-error':
      return true;
    default:
      return false;
  }
}
