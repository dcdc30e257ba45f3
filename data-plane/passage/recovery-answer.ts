// What a client reads of an answer that several may have a share in: one writer, one numbering of blocks, and what has been said so far.
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { ClientDialect, Writer } from '../dialects/dialect.ts';
import type { Frame } from '../framing/frame.ts';
import type { BlockHead, TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { Usage } from '../turn/usage.ts';
import { complete } from './complete.ts';

export interface ContinuedAnswerOptions {
  readonly dialect: ClientDialect;
  readonly clock: Clock;
  readonly wantsUsage: boolean;
  readonly request: TurnRequest;
}

/** What is known of one attempt while it answers. */
export interface Share {
  readonly isContinuing: boolean;
  /** Its blocks, and which of the client's they are; those the client is not told of are not here. */
  readonly places: Map<number, number>;
  /** Whether it speaks in the block that another has begun. */
  hasAdopted: boolean;
  /** Whether the space that it may begin with is there already. */
  skipsSpace: boolean;
  usage: Usage | undefined;
  rawUsage: string;
}

type BlockEnd = Extract<TurnEvent, { type: 'block-end' }>;

export class ContinuedAnswer {
  readonly #options: ContinuedAnswerOptions;
  readonly #writer: Writer;
  #isStarted = false;
  #text = '';
  #blocks = 0;
  /** By the numbers that the client sees. */
  #openText: number | undefined;
  readonly #openOthers = new Set<number>();
  /** The end of a text block is held back: a stream that breaks off behind it goes on in the same block. */
  #heldEnd: BlockEnd | undefined;
  /** Something has been sent that nobody else can go on from. */
  #isFinal = false;
  #usageBefore: Usage | undefined;

  constructor(options: ContinuedAnswerOptions) {
    this.#options = options;
    this.#writer = options.dialect.writer({ wantsUsage: options.wantsUsage, request: options.request });
  }

  get text(): string {
    return this.#text;
  }

  get mayContinue(): boolean {
    const isShort = this.#text.length <= limits.continuedTextLengthMax;
    return this.#isStarted && !this.#isFinal && this.#openOthers.size === 0 && isShort;
  }

  /** Whoever had this share says no more. */
  carryOver(share: Share): void {
    this.#usageBefore = sumOf(this.#usageBefore, share.usage);
    this.#heldEnd = undefined;
  }

  write(event: TurnEvent, share: Share): Buffer {
    const frames: Frame[] = [];
    for (const told of this.#toTell(event, share)) frames.push(...this.#writer.push(told));
    return this.#options.dialect.framing.write(frames);
  }

  /** What the client is told of an event, in its own numbers. */
  #toTell(event: TurnEvent, share: Share): TurnEvent[] {
    switch (event.type) {
      case 'turn-start':
        return this.#start(event);
      case 'block-start':
        return this.#startBlock(event.index, event.block, share);
      case 'block-delta':
        return this.#say(event, share);
      case 'block-end':
        return this.#endBlock(event, share);
      case 'usage':
      case 'turn-error':
        return [];
      case 'turn-end': {
        const usage = sumOf(this.#usageBefore, share.usage);
        const told: TurnEvent[] = usage ? [{ type: 'usage', usage, raw: share.rawUsage }] : [];
        return [...this.#closeText(), ...told, event];
      }
    }
  }

  #start(event: Extract<TurnEvent, { type: 'turn-start' }>): TurnEvent[] {
    if (this.#isStarted) return [];
    this.#isStarted = true;
    return [complete(event, this.#options.clock)];
  }

  #startBlock(index: number, block: BlockHead, share: Share): TurnEvent[] {
    const { isContinuing, places } = share;
    // What others thought before they went on is theirs: the client's answer has begun already.
    if (isContinuing && block.kind === 'reasoning') return [];
    if (isContinuing && block.kind === 'text' && this.#openText !== undefined && !share.hasAdopted) {
      share.hasAdopted = true;
      places.set(index, this.#openText);
      return [];
    }
    const isLeft = isContinuing && !share.hasAdopted;
    const closing = this.#heldEnd !== undefined || isLeft ? this.#closeText() : [];
    const place = this.#blocks;
    this.#blocks += 1;
    places.set(index, place);
    if (block.kind === 'text' && this.#openText === undefined) this.#openText = place;
    else {
      this.#openOthers.add(place);
      // Two texts at once have no one place to go on from.
      if (block.kind !== 'reasoning') this.#isFinal = true;
    }
    return [...closing, { type: 'block-start', index: place, block }];
  }

  #say(event: Extract<TurnEvent, { type: 'block-delta' }>, share: Share): TurnEvent[] {
    const place = share.places.get(event.index);
    if (place === undefined) return [];
    if (place !== this.#openText) return [{ ...event, index: place }];
    const text = share.skipsSpace ? event.text.trimStart() : event.text;
    if (text !== '') share.skipsSpace = false;
    else if (share.skipsSpace) return [];
    this.#text += text;
    return [{ ...event, text, index: place }];
  }

  #endBlock(event: BlockEnd, share: Share): TurnEvent[] {
    const place = share.places.get(event.index);
    if (place === undefined) return [];
    const told: BlockEnd = { ...event, index: place };
    if (place === this.#openText) {
      this.#heldEnd = told;
      return [];
    }
    this.#openOthers.delete(place);
    return [told];
  }

  #closeText(): TurnEvent[] {
    const place = this.#openText;
    if (place === undefined) return [];
    const end = this.#heldEnd ?? { type: 'block-end', index: place };
    this.#openText = undefined;
    this.#heldEnd = undefined;
    return [end];
  }
}

function sumOf(one: Usage | undefined, other: Usage | undefined): Usage | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return {
    input: one.input + other.input,
    inputCacheRead: one.inputCacheRead + other.inputCacheRead,
    inputCacheWrite: one.inputCacheWrite + other.inputCacheWrite,
    inputAudio: one.inputAudio + other.inputAudio,
    output: one.output + other.output,
    outputReasoning: one.outputReasoning + other.outputReasoning,
    outputAudio: one.outputAudio + other.outputAudio,
  };
}
