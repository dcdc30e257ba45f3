// Events as clients of text completions expect them, as chunks or as a whole body. Only text has a place here: what a model
// reasoned is left out, and a refusal is text like any other.
import type { Frame } from '../../framing/frame.ts';
import type { JsonObject } from '../../json/values.ts';
import type { BlockHead, EndReason, TokenLogprob, TurnEvent } from '../../turn/events.ts';
import { type FoldedChoice, foldTurn } from '../../turn/fold.ts';
import type { Usage } from '../../turn/usage.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { renderStreamError } from '../openai-errors.ts';
import { writeUsage } from '../openai-usage.ts';
import { writeLogprobs } from './logprobs.ts';
import { DONE, wireReasons } from './wire.ts';

export function writer(options: WriterOptions): Writer {
  return new CompletionWriter(options);
}

const written: readonly BlockHead['kind'][] = ['text', 'refusal'];

class CompletionWriter implements Writer {
  readonly #options: WriterOptions;
  /** The choices of the open blocks that are written. */
  readonly #choices = new Map<number, number>();
  /** How long the text of each choice is by now. */
  readonly #lengths = new Map<number, number>();
  #base: JsonObject = {};
  #usage: Usage | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  push(event: TurnEvent): Frame[] {
    switch (event.type) {
      case 'turn-start':
        this.#base = baseOf(event.id, event.model, event.createdAtMs);
        return [];
      case 'block-start':
        if (written.includes(event.block.kind)) this.#choices.set(event.index, event.block.choice);
        return [];
      case 'block-delta':
        return this.#delta(event.index, event.text, event.logprobs);
      case 'block-end':
        this.#choices.delete(event.index);
        return [];
      case 'usage':
        this.#usage = event.usage;
        return [];
      case 'turn-end':
        return this.#end(event.reasons);
      case 'turn-error':
        return renderStreamError(event.error);
    }
  }

  #delta(index: number, text: string, tokens: readonly TokenLogprob[] | undefined): Frame[] {
    const choice = this.#choices.get(index);
    if (choice === undefined || (text === '' && tokens === undefined)) return [];
    const offset = this.#lengths.get(choice) ?? 0;
    this.#lengths.set(choice, offset + text.length);
    const logprobs = tokens === undefined ? null : writeLogprobs(tokens, offset);
    return [this.#chunk([{ text, index: choice, logprobs, finish_reason: null }])];
  }

  #end(reasons: readonly EndReason[]): Frame[] {
    const frames = reasons.map(({ choice, reason }) =>
      this.#chunk([{ text: '', index: choice, logprobs: null, finish_reason: wireReasons[reason] }]),
    );
    if (this.#options.wantsUsage && this.#usage !== undefined) {
      frames.push(this.#chunk([], { usage: writeUsage(this.#usage) }));
    }
    return [...frames, { data: DONE }];
  }

  #chunk(choices: readonly JsonObject[], more: JsonObject = this.#noUsageYet()): Frame {
    return { data: JSON.stringify({ ...this.#base, choices, ...more }) };
  }

  #noUsageYet(): JsonObject {
    return this.#options.wantsUsage ? { usage: null } : {};
  }
}

/** Throws the error of a turn that broke off. */
export function render(events: readonly TurnEvent[]): Record<string, unknown> {
  const turn = foldTurn(events);
  if (turn.error !== undefined) throw turn.error;
  return {
    ...baseOf(turn.id, turn.model, turn.createdAtMs),
    choices: turn.choices.map(renderChoice),
    ...(turn.usage === undefined ? {} : { usage: writeUsage(turn.usage) }),
  };
}

function renderChoice({ index, blocks, reason }: FoldedChoice): JsonObject {
  const own = blocks.filter(({ head }) => written.includes(head.kind));
  const tokens = own.flatMap(({ logprobs }) => logprobs);
  return {
    text: own.map(({ text }) => text).join(''),
    index,
    logprobs: tokens.length === 0 ? null : writeLogprobs(tokens, 0),
    finish_reason: wireReasons[reason ?? 'stop'],
  };
}

function baseOf(id: string, model: string, createdAtMs: number | undefined): JsonObject {
  return { id, object: 'text_completion', created: Math.floor((createdAtMs ?? 0) / 1000), model };
}
