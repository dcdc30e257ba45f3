// The items of an answer as blocks of a turn. An item may hold several blocks (each part of a message is one), and a block may be
// known before anything is said in it or only when it is over: what has been said already is counted, so that a finished item
// adds exactly what was missing.
import { isObject, type JsonObject, objectsIn, rowFor, textOf } from '../../json/values.ts';
import type { BlockEvent, BlockHead, TokenLogprob } from '../../turn/events.ts';
import type { Signature } from '../../turn/signature.ts';
import { citationOf, readLogprobs } from './annotations.ts';
import { readSignature } from './signatures.ts';
import { DIALECT, PART_BREAK } from './wire.ts';

interface Block {
  readonly index: number;
  text: string;
  citations: number;
  logprobs: number;
}

interface Item {
  readonly type: string;
  /** By what they are within their item. */
  readonly blocks: Map<string, Block>;
  /** The part of the summary that was last spoken of. */
  part: number;
  isDone: boolean;
}

/** Everything but a message has one block. */
const WHOLE = 'whole';

export class ItemReader {
  hadCalls = false;
  readonly #emit: (event: BlockEvent) => void;
  readonly #items = new Map<number, Item>();
  #nextBlock = 0;

  constructor(emit: (event: BlockEvent) => void) {
    this.#emit = emit;
  }

  take(type: string, event: JsonObject): void {
    const index = event.output_index;
    if (typeof index !== 'number') return;
    const item = objectOfEvent(event.item);
    switch (type) {
      case 'response.output_item.added':
        if (item !== undefined) this.#open(index, item);
        break;
      case 'response.output_item.done':
        if (item !== undefined) this.complete(index, item);
        break;
      default:
        this.#takeDelta(type, index, event);
    }
  }

  /** Adds what of a finished item has not been said yet, and ends it. */
  complete(index: number, wire: JsonObject): void {
    const item = this.#open(index, wire);
    if (item.isDone) return;
    if (item.type === 'message') this.#completeMessage(item, wire);
    else if (item.type === 'reasoning') this.#completeReasoning(item, wire);
    else if (item.type === 'function_call') this.#say(this.#block(item, WHOLE), textOf(wire.arguments), true);
    else this.#completePrivate(item, wire);
    this.#close(item, item.type === 'reasoning' ? readSignature(wire)?.signature : undefined);
  }

  /** Takes a finished output as far as the stream had left it open, or all of it where nothing was streamed. */
  completeAll(output: readonly JsonObject[]): void {
    const isNew = this.#items.size === 0;
    for (const [index, wire] of output.entries()) {
      if (isNew || this.#items.get(index)?.type === wire.type) this.complete(index, wire);
    }
    this.closeAll();
  }

  closeAll(): void {
    for (const item of this.#items.values()) if (!item.isDone) this.#close(item, undefined);
  }

  #open(index: number, wire: JsonObject): Item {
    const known = this.#items.get(index);
    if (known !== undefined) return known;
    const type = textOf(wire.type);
    const item: Item = { type, blocks: new Map(), part: 0, isDone: false };
    this.#items.set(index, item);
    if (type !== 'message') this.#openBlock(item, WHOLE, headOf(type, wire));
    if (type === 'function_call') this.hadCalls = true;
    return item;
  }

  #takeDelta(type: string, index: number, event: JsonObject): void {
    const row = rowFor(deltas, type);
    if (row === undefined) return;
    // A host that does not say what begins still says what goes on.
    const item = this.#items.get(index) ?? this.#open(index, { type: row.item });
    if (item.isDone || item.type !== row.item) return;
    const key = row.part === undefined ? WHOLE : `${row.part} ${numberOf(event.content_index)}`;
    const head: BlockHead = { kind: row.part === 'refusal' ? 'refusal' : 'text', choice: 0 };
    const block = item.blocks.get(key) ?? this.#openBlock(item, key, head);
    if (row.field === 'annotation') {
      this.#cite(block, objectsIn([event.annotation]));
      return;
    }
    const said = textOf(event[row.field]);
    const logprobs = readLogprobs(event.logprobs);
    if (row.isWhole) this.#say(block, said, true);
    else this.#say(block, breakBefore(item, block, numberOf(event.summary_index)) + said, false, logprobs);
  }

  #completeMessage(item: Item, wire: JsonObject): void {
    for (const [index, part] of objectsIn(wire.content).entries()) {
      const kind = part.type === 'refusal' ? 'refusal' : 'text';
      const key = `${kind} ${index}`;
      const block = item.blocks.get(key) ?? this.#openBlock(item, key, { kind, choice: 0 });
      const logprobs = readLogprobs(part.logprobs).slice(block.logprobs);
      this.#say(block, textOf(part[kind]), true, logprobs);
      this.#cite(block, objectsIn(part.annotations).slice(block.citations));
    }
  }

  #completeReasoning(item: Item, wire: JsonObject): void {
    const pieces = [...objectsIn(wire.summary), ...objectsIn(wire.content)].map(({ text }) => textOf(text));
    const text = pieces.filter((piece) => piece !== '').join(PART_BREAK);
    this.#say(this.#block(item, WHOLE), text, true);
  }

  #completePrivate(item: Item, wire: JsonObject): void {
    const { index } = this.#block(item, WHOLE);
    this.#emit({
      type: 'block-delta',
      index,
      text: '',
      extras: { dialect: DIALECT, fields: { item: wire } },
    });
  }

  #block(item: Item, key: string): Block {
    return item.blocks.get(key)!;
  }

  #openBlock(item: Item, key: string, head: BlockHead): Block {
    const block: Block = { index: this.#nextBlock, text: '', citations: 0, logprobs: 0 };
    this.#nextBlock += 1;
    item.blocks.set(key, block);
    this.#emit({ type: 'block-start', index: block.index, block: head });
    return block;
  }

  /** A whole text adds what it has beyond what was said; one that is not a continuation of that adds nothing. */
  #say(block: Block, text: string, isWhole: boolean, logprobs: readonly TokenLogprob[] = []): void {
    const isContinued = isWhole && text.startsWith(block.text);
    const added = isWhole ? (isContinued ? text.slice(block.text.length) : '') : text;
    if (added === '' && logprobs.length === 0) return;
    block.text += added;
    block.logprobs += logprobs.length;
    const likelihoods = logprobs.length === 0 ? {} : { logprobs };
    this.#emit({ type: 'block-delta', index: block.index, text: added, ...likelihoods });
  }

  #cite(block: Block, annotations: readonly JsonObject[]): void {
    if (annotations.length === 0) return;
    block.citations += annotations.length;
    const citations = annotations.map(citationOf).filter((citation) => citation !== undefined);
    this.#emit({
      type: 'block-delta',
      index: block.index,
      text: '',
      ...(citations.length === 0 ? {} : { citations }),
      extras: { dialect: DIALECT, fields: { annotations } },
    });
  }

  #close(item: Item, signature: Signature | undefined): void {
    item.isDone = true;
    for (const { index } of item.blocks.values()) {
      this.#emit({ type: 'block-end', index, ...(signature === undefined ? {} : { signature }) });
    }
  }
}

interface DeltaRow {
  readonly item: string;
  /** The kind of part it is of; undefined where the item has but one block. */
  readonly part?: 'text' | 'refusal';
  readonly field: string;
  /** Whether the field repeats everything, and not only what is new. */
  readonly isWhole: boolean;
}

const message = (part: 'text' | 'refusal', field: string, isWhole: boolean): DeltaRow => ({
  item: 'message',
  part,
  field,
  isWhole,
});

const deltas: Readonly<Record<string, DeltaRow>> = {
  'response.output_text.delta': message('text', 'delta', false),
  'response.output_text.done': message('text', 'text', true),
  'response.output_text.annotation.added': message('text', 'annotation', false),
  'response.refusal.delta': message('refusal', 'delta', false),
  'response.refusal.done': message('refusal', 'refusal', true),
  'response.function_call_arguments.delta': { item: 'function_call', field: 'delta', isWhole: false },
  'response.function_call_arguments.done': { item: 'function_call', field: 'arguments', isWhole: true },
  'response.reasoning_summary_text.delta': { item: 'reasoning', field: 'delta', isWhole: false },
  'response.reasoning_text.delta': { item: 'reasoning', field: 'delta', isWhole: false },
};

/** The parts of a summary become one text. */
function breakBefore(item: Item, block: Block, part: number): string {
  const isNext = item.type === 'reasoning' && part > item.part;
  item.part = Math.max(item.part, part);
  return isNext && block.text !== '' ? PART_BREAK : '';
}

function headOf(type: string, wire: JsonObject): BlockHead {
  const choice = 0;
  if (type === 'reasoning') return { kind: 'reasoning', choice };
  if (type !== 'function_call') {
    return { kind: 'private', choice, extras: { dialect: DIALECT, fields: { item: wire } } };
  }
  return { kind: 'tool-call', choice, id: textOf(wire.call_id) || textOf(wire.id), name: textOf(wire.name) };
}

function objectOfEvent(item: unknown): JsonObject | undefined {
  return isObject(item) ? item : undefined;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
