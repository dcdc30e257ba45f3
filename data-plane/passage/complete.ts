// What some dialects leave out of an answer and others have to say: when it was made, and a name for it.
import type { Clock } from '#shared/clock.ts';
import { prefixedId } from '#shared/ids.ts';
import type { TurnEvent } from '../turn/events.ts';

type TurnStart = Extract<TurnEvent, { type: 'turn-start' }>;

export function complete(start: TurnStart, clock: Clock): TurnStart {
  return {
    ...start,
    id: start.id === '' ? prefixedId('turn') : start.id,
    createdAtMs: start.createdAtMs ?? clock.wallMs(),
  };
}
