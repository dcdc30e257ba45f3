// What an upstream answers, as events. One machine reads streams and whole bodies: a whole body is a chunk in which every choice
// happens to be complete. The text of each choice is one block.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { EndReason, TurnEvent } from '../../turn/events.ts';
import { truncated } from '../../turn/truncated.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { Reader } from '../dialect.ts';
import { errorInAnswer } from '../openai-errors.ts';
import { findUsage } from '../openai-usage.ts';
import { errorInStream } from '../read-error.ts';
import { TurnQueue } from '../turn-queue.ts';
import { readLogprobs } from './logprobs.ts';
import { DONE, unreadable } from './wire.ts';

export function reader(): Reader {
  return new CompletionReader();
}

/** Throws `upstream_invalid` when the body is not an answer. */
export function unfold(body: Buffer): TurnEvent[] {
  return new CompletionReader().whole(body);
}

/** What vendors write. */
const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  stop: 'stop',
  eos: 'stop',
  length: 'length',
  content_filter: 'content-filter',
};

interface Choice {
  readonly index: number;
  block: number | undefined;
  finish: string | undefined;
}

class CompletionReader implements Reader {
  readonly #turn = new TurnQueue();
  readonly #choices = new Map<number, Choice>();
  #usage: FoundUsage | undefined;

  push(frame: Frame): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    try {
      this.#takeFrame(frame);
    } catch (thrown) {
      this.#fail(frame.unterminated ? truncated() : unreadable(thrown));
    }
    return this.#turn.flush();
  }

  end(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    if (this.#isFinished()) this.#endTurn();
    else this.#fail(truncated());
    return this.#turn.flush();
  }

  whole(body: Buffer): TurnEvent[] {
    try {
      const text = body.toString('utf8');
      this.#takeChunk(parseJson(text), text);
    } catch (thrown) {
      throw unreadable(thrown);
    }
    if (this.#choices.size === 0 && this.#turn.state !== 'closed') throw unreadable(undefined);
    if (this.#turn.state !== 'closed') this.#endTurn();
    return this.#turn.flush();
  }

  #takeFrame(frame: Frame): void {
    const data = frame.data.trim();
    if (data === DONE) {
      if (this.#turn.state === 'waiting') this.#fail(unreadable(undefined));
      else this.#endTurn();
      return;
    }
    if (data === '') return;
    const chunk = parseJson(data);
    if (frame.event === 'error') this.#fail(errorInStream(chunk));
    else this.#takeChunk(chunk, data);
  }

  #takeChunk(chunk: unknown, text: string): void {
    if (!isObject(chunk)) throw new TypeError('A chunk is an object.');
    this.#usage = findUsage(chunk, text) ?? this.#usage;
    const error = errorInAnswer(chunk);
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    const choices = objectsIn(chunk.choices);
    if (this.#turn.state === 'waiting' && (choices.length > 0 || textOf(chunk.id) !== '')) this.#start(chunk);
    for (const choice of choices) this.#takeChoice(choice);
  }

  #start(chunk: JsonObject): void {
    const created = chunk.created;
    this.#turn.start({
      id: textOf(chunk.id),
      model: textOf(chunk.model),
      ...(typeof created === 'number' ? { createdAtMs: created * 1000 } : {}),
    });
  }

  #takeChoice(wire: JsonObject): void {
    const choice = this.#choice(wire.index);
    if (choice.finish !== undefined) return;
    const text = textOf(wire.text);
    const logprobs = readLogprobs(wire.logprobs);
    if (text !== '' || logprobs.length > 0) {
      const index = this.#blockOf(choice);
      const more = logprobs.length === 0 ? {} : { logprobs };
      this.#turn.push({ type: 'block-delta', index, text, ...more });
    }
    const finish = textOf(wire.finish_reason);
    if (finish === '') return;
    choice.finish = finish;
    this.#close(choice);
  }

  #choice(index: unknown): Choice {
    const key = typeof index === 'number' && Number.isSafeInteger(index) && index >= 0 ? index : 0;
    const known = this.#choices.get(key);
    if (known !== undefined) return known;
    const choice: Choice = { index: key, block: undefined, finish: undefined };
    this.#choices.set(key, choice);
    return choice;
  }

  #blockOf(choice: Choice): number {
    choice.block ??= this.#turn.open({ kind: 'text', choice: choice.index });
    return choice.block;
  }

  #close(choice: Choice): void {
    if (choice.block !== undefined) this.#turn.push({ type: 'block-end', index: choice.block });
    choice.block = undefined;
  }

  #isFinished(): boolean {
    const choices = [...this.#choices.values()];
    return choices.length > 0 && choices.every(({ finish }) => finish !== undefined);
  }

  #endTurn(): void {
    const choices = [...this.#choices.values()].toSorted((a, b) => a.index - b.index);
    for (const choice of choices) this.#close(choice);
    this.#turn.report(this.#usage);
    this.#turn.end(
      choices.map(({ index, finish }) => ({ choice: index, reason: endReasons[finish ?? 'stop'] ?? 'stop' })),
    );
  }

  #fail(error: SignalboxError): void {
    if (this.#turn.state === 'open') {
      for (const choice of this.#choices.values()) this.#close(choice);
      this.#turn.report(this.#usage);
    }
    this.#turn.fail(error);
  }
}
