// The blocks of a turn as the items of a response, with the events that tell of them. Every item gets one id for its life and the next
// place in the output; a message stays open for further text until something else begins, because some models cut what they say into
// many blocks and clients expect one message.
import { prefixedId } from '#shared/ids.ts';
import { isObject, type JsonObject, objectsIn } from '../../json/values.ts';
import type { BlockEvent, BlockHead, Extras, TurnEvent } from '../../turn/events.ts';
import { completeArguments } from '../../turn/fold.ts';
import type { Signature } from '../../turn/signature.ts';
import { annotationOf, writeLogprobs } from './annotations.ts';
import { type Belonging, writeSignature } from './signatures.ts';
import { DIALECT } from './wire.ts';

type Emit = (type: string, fields: JsonObject) => void;
type Delta = Extract<TurnEvent, { type: 'block-delta' }>;

interface Item {
  readonly id: string;
  readonly outputIndex: number;
  /** Of a message: its finished parts, by their places. */
  readonly parts: JsonObject[];
  openParts: number;
}

interface Block {
  readonly head: BlockHead;
  readonly item: Item;
  readonly partIndex: number;
  text: string;
  readonly annotations: JsonObject[];
  readonly logprobs: JsonObject[];
  /** Of a private item: as it was last told. */
  restored: JsonObject | undefined;
}

const prefixes: Readonly<Partial<Record<BlockHead['kind'], string>>> = {
  text: 'msg',
  refusal: 'msg',
  reasoning: 'rs',
  'tool-call': 'fc',
  image: 'ig',
  private: 'item',
};

export class OutputWriter {
  readonly #emit: Emit;
  readonly #output: JsonObject[] = [];
  readonly #blocks = new Map<number, Block>();
  /** The message that takes what is said next. */
  #message: Item | undefined;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  push(event: BlockEvent): void {
    if (event.type === 'block-start') {
      this.#start(event.index, event.block);
      return;
    }
    const block = this.#blocks.get(event.index);
    if (block === undefined) return;
    if (event.type === 'block-delta') this.#delta(block, event);
    else {
      this.#blocks.delete(event.index);
      this.#end(block, event.signature);
    }
  }

  /** Everything is over; what was being said last may not be whole. */
  end(isIncomplete: boolean): readonly JsonObject[] {
    this.#endMessage(isIncomplete ? 'incomplete' : 'completed');
    return this.#output;
  }

  #start(index: number, head: BlockHead): void {
    // There is one choice here, no sound, and nothing that only another dialect could restore.
    const restored = head.kind === 'private' ? ownItem(head.extras) : undefined;
    const isUnknown = head.kind === 'audio' || (head.kind === 'private' && restored === undefined);
    if (head.choice !== 0 || isUnknown) return;
    const isSpoken = head.kind === 'text' || head.kind === 'refusal';
    const item = isSpoken ? this.#messageItem() : this.#ownItem(head, restored);
    const partIndex = item.parts.length;
    this.#blocks.set(index, { head, item, partIndex, text: '', annotations: [], logprobs: [], restored });
    if (!isSpoken) return;
    item.openParts += 1;
    item.parts.push({});
    this.#tell('response.content_part.added', item, { content_index: partIndex, part: partOf(head, '') });
  }

  #messageItem(): Item {
    if (this.#message !== undefined && this.#message.openParts === 0) return this.#message;
    const item = this.#open('text', {
      type: 'message',
      status: 'in_progress',
      content: [],
      role: 'assistant',
    });
    this.#message = item;
    return item;
  }

  #ownItem(head: BlockHead, restored: JsonObject | undefined): Item {
    this.#endMessage('completed');
    if (head.kind === 'reasoning') return this.#open(head.kind, { type: 'reasoning', summary: [] });
    if (head.kind === 'tool-call') {
      if (head.signature !== undefined) this.#carry(head.signature, 'call');
      const { id: call_id, name } = head;
      return this.#open(head.kind, {
        type: 'function_call',
        status: 'in_progress',
        arguments: '',
        call_id,
        name,
      });
    }
    if (head.kind === 'image') {
      const fields = { type: 'image_generation_call', status: 'in_progress', result: null };
      return this.#open(head.kind, fields);
    }
    return this.#open(head.kind, restored ?? {});
  }

  #open(kind: BlockHead['kind'], fields: JsonObject): Item {
    const id = typeof fields.id === 'string' ? fields.id : prefixedId(prefixes[kind] ?? 'item');
    const item: Item = { id, outputIndex: this.#output.length, parts: [], openParts: 0 };
    this.#output.push({});
    this.#emit('response.output_item.added', { output_index: item.outputIndex, item: { id, ...fields } });
    return item;
  }

  #delta(block: Block, { text, logprobs = [], citations = [], extras }: Delta): void {
    const { head, item, partIndex } = block;
    const written = writeLogprobs(logprobs);
    const isFirst = block.text === '';
    block.text += text;
    block.logprobs.push(...written);
    const place = { content_index: partIndex };
    if (head.kind === 'private') block.restored = ownItem(extras) ?? block.restored;
    else if (text !== '') {
      if (head.kind === 'text') {
        this.#tell('response.output_text.delta', item, { ...place, delta: text, logprobs: written });
      } else if (head.kind === 'refusal') {
        this.#tell('response.refusal.delta', item, { ...place, delta: text });
      } else if (head.kind === 'tool-call') {
        this.#tell('response.function_call_arguments.delta', item, { delta: text });
      } else if (head.kind === 'reasoning') this.#think(item, text, isFirst);
    }
    if (head.kind !== 'text') return;
    const own = extras?.dialect === DIALECT ? objectsIn(extras.fields.annotations) : [];
    const spoken = [...block.text].length;
    const annotations = own.length > 0 ? own : citations.map((citation) => annotationOf(citation, spoken));
    for (const annotation of annotations) {
      const fields = { ...place, annotation_index: block.annotations.length, annotation };
      this.#tell('response.output_text.annotation.added', item, fields);
      block.annotations.push(annotation);
    }
  }

  #think(item: Item, delta: string, isFirst: boolean): void {
    const place = { summary_index: 0 };
    if (isFirst) {
      const part = { type: 'summary_text', text: '' };
      this.#tell('response.reasoning_summary_part.added', item, { ...place, part });
    }
    this.#tell('response.reasoning_summary_text.delta', item, { ...place, delta });
  }

  #end(block: Block, signature: Signature | undefined): void {
    switch (block.head.kind) {
      case 'text':
      case 'refusal':
        this.#endPart(block, signature);
        break;
      case 'tool-call':
        this.#endCall(block, block.head, signature);
        break;
      case 'reasoning':
        this.#endReasoning(block, signature, block.head.isRedacted === true ? 'redacted' : undefined);
        break;
      case 'image':
        this.#close(block.item, {
          type: 'image_generation_call',
          status: 'completed',
          output_format: block.head.mediaType.replace(/^image\//, ''),
          result: block.text,
        });
        break;
      default:
        this.#close(block.item, block.restored ?? {});
    }
  }

  #endPart({ head, item, partIndex, text, annotations, logprobs }: Block, signature?: Signature): void {
    const place = { content_index: partIndex };
    if (head.kind === 'text') {
      this.#tell('response.output_text.done', item, { ...place, text, logprobs });
    } else this.#tell('response.refusal.done', item, { ...place, refusal: text });
    const part = { ...partOf(head, text), ...(head.kind === 'text' ? { annotations, logprobs } : {}) };
    item.parts[partIndex] = part;
    item.openParts -= 1;
    this.#tell('response.content_part.done', item, { ...place, part });
    if (item !== this.#message && item.openParts === 0) this.#closeMessage(item, 'completed');
    if (signature === undefined) return;
    this.#endMessage('completed');
    this.#carry(signature, 'text');
  }

  #endCall(block: Block, head: Extract<BlockHead, { kind: 'tool-call' }>, signature?: Signature): void {
    const { item } = block;
    const written = completeArguments(block.text);
    const missing = block.text.trim() === '' ? written : '';
    if (missing !== '') this.#tell('response.function_call_arguments.delta', item, { delta: missing });
    this.#tell('response.function_call_arguments.done', item, { arguments: written });
    const fields = { arguments: written, call_id: head.id, name: head.name };
    this.#close(item, { type: 'function_call', status: 'completed', ...fields });
    if (signature !== undefined && head.signature === undefined) this.#carry(signature, 'call');
  }

  #endReasoning({ item, text }: Block, signature?: Signature, belonging?: Belonging): void {
    const place = { summary_index: 0 };
    const part = { type: 'summary_text', text };
    if (text !== '') {
      this.#tell('response.reasoning_summary_text.done', item, { ...place, text });
      this.#tell('response.reasoning_summary_part.done', item, { ...place, part });
    }
    this.#close(item, {
      type: 'reasoning',
      summary: text === '' ? [] : [part],
      ...(signature === undefined ? {} : { encrypted_content: writeSignature(signature, belonging) }),
    });
  }

  /** A reasoning item without words, for a signature that belongs to its neighbour. */
  #carry(signature: Signature, belonging: Belonging): void {
    const fields = { type: 'reasoning', summary: [] };
    const item = this.#open('reasoning', fields);
    this.#close(item, { ...fields, encrypted_content: writeSignature(signature, belonging) });
  }

  #endMessage(status: string): void {
    const message = this.#message;
    this.#message = undefined;
    // One that is still being spoken closes with its last part.
    if (message !== undefined && message.openParts === 0) this.#closeMessage(message, status);
  }

  #closeMessage(item: Item, status: string): void {
    this.#close(item, { type: 'message', status, content: item.parts, role: 'assistant' });
  }

  #close({ id, outputIndex }: Item, fields: JsonObject): void {
    const item = { id, ...fields };
    this.#output[outputIndex] = item;
    this.#emit('response.output_item.done', { output_index: outputIndex, item });
  }

  #tell(type: string, { id, outputIndex }: Item, fields: JsonObject): void {
    this.#emit(type, { item_id: id, output_index: outputIndex, ...fields });
  }
}

function partOf(head: BlockHead, text: string): JsonObject {
  if (head.kind === 'refusal') return { type: 'refusal', refusal: text };
  return { type: 'output_text', annotations: [], logprobs: [], text };
}

/** The item that this dialect's own reader put aside. */
function ownItem(extras: Extras | undefined): JsonObject | undefined {
  const item = extras?.dialect === DIALECT ? extras.fields.item : undefined;
  return isObject(item) ? item : undefined;
}
