// The grammar of a turn as a machine (see events.ts). Tests run every reader through it; code that consumes events may rely
// on what it demands. A breach is a programming error of the reader, hence no code of its own.
import type { TurnEvent } from './events.ts';

/** Throws on the first event that may not stand where it stands. */
export class TurnGrammar {
  #state: 'waiting' | 'blocks' | 'usage' | 'closed' = 'waiting';
  readonly #open = new Set<number>();
  readonly #used = new Set<number>();

  get closed(): boolean {
    return this.#state === 'closed';
  }

  check(event: TurnEvent): TurnEvent {
    this.#demand(this.#state !== 'closed', event, 'nothing may follow the end of a turn');
    switch (event.type) {
      case 'turn-start':
        this.#demand(this.#state === 'waiting', event, 'a turn starts once');
        this.#state = 'blocks';
        break;
      case 'block-start':
        this.#demand(this.#state === 'blocks', event, 'blocks stand between turn-start and usage');
        this.#demand(!this.#used.has(event.index), event, 'an index names one block');
        this.#used.add(event.index);
        this.#open.add(event.index);
        break;
      case 'block-delta':
        this.#demand(this.#open.has(event.index), event, 'the block has to be open');
        break;
      case 'block-end':
        this.#demand(this.#open.delete(event.index), event, 'the block has to be open');
        break;
      case 'usage':
        this.#demandStartedAndBlocksEnded(event);
        this.#state = 'usage';
        break;
      case 'turn-end':
        this.#demandStartedAndBlocksEnded(event);
        this.#state = 'closed';
        break;
      case 'turn-error':
        this.#state = 'closed';
        break;
    }
    return event;
  }

  #demandStartedAndBlocksEnded(event: TurnEvent): void {
    this.#demand(this.#state !== 'waiting', event, 'the turn has to have started');
    this.#demand(
      this.#open.size === 0,
      event,
      `every block has to have ended (open: ${[...this.#open].join(', ')})`,
    );
  }

  #demand(holds: boolean, event: TurnEvent, rule: string): void {
    if (!holds)
      throw new TypeError(`${event.type} breaks the grammar of a turn: ${rule} (state: ${this.#state})`);
  }
}

/** Checks a turn that is complete. */
export function checkTurn(events: readonly TurnEvent[]): readonly TurnEvent[] {
  const grammar = new TurnGrammar();
  for (const event of events) grammar.check(event);
  if (!grammar.closed) throw new TypeError('the turn has neither turn-end nor turn-error');
  return events;
}
