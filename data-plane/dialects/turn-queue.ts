// What a reader has understood and not yet handed on: the events of one turn, in order. It knows how far the turn has come, numbers the
// blocks, and closes with the event that ends it, so that readers hold only what is their dialect's own. That blocks are closed and
// usage told before the end is theirs to see to.
import type { SignalboxError } from '#shared/errors.ts';
import type { BlockEvent, BlockHead, EndReason, Extras, TurnEvent } from '../turn/events.ts';
import type { FoundUsage } from '../turn/usage.ts';

type TurnStart = Extract<TurnEvent, { type: 'turn-start' }>;

export class TurnQueue {
  #state: 'waiting' | 'open' | 'closed' = 'waiting';
  #events: TurnEvent[] = [];
  #nextBlock = 0;

  get state(): 'waiting' | 'open' | 'closed' {
    return this.#state;
  }

  start(start: Omit<TurnStart, 'type'>): void {
    this.#state = 'open';
    this.#events.push({ type: 'turn-start', ...start });
  }

  /** Begins a block and returns its index. */
  open(block: BlockHead): number {
    const index = this.#nextBlock;
    this.#nextBlock += 1;
    this.#events.push({ type: 'block-start', index, block });
    return index;
  }

  push(event: BlockEvent): void {
    this.#events.push(event);
  }

  report(usage: FoundUsage | undefined): void {
    if (usage !== undefined) this.#events.push({ type: 'usage', ...usage });
  }

  end(reasons: readonly EndReason[], extras?: Extras): void {
    this.#events.push({ type: 'turn-end', reasons, ...(extras === undefined ? {} : { extras }) });
    this.#state = 'closed';
  }

  fail(error: SignalboxError): void {
    this.#events.push({ type: 'turn-error', error });
    this.#state = 'closed';
  }

  /** Hands on what has gathered. */
  flush(): TurnEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
