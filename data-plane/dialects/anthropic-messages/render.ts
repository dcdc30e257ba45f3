// Events as clients of Anthropic's messages expect them, as stream events or as a whole body. Blocks stand one after the other
// here: what comes for a second block while one is open (parallel tool calls of other dialects do that) waits until the first
// has ended. Usage is complete only at the end, so the last event repeats all of it.
import type { Frame } from '../../framing/frame.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { BlockEvent, BlockHead, Citation, EndReason, Extras, TurnEvent } from '../../turn/events.ts';
import { type FoldedBlock, foldTurn } from '../../turn/fold.ts';
import { type Signature, signatureText } from '../../turn/signature.ts';
import { noUsage, type Usage } from '../../turn/usage.ts';
import { argumentsWritten } from '../call-arguments.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { writeCitation } from './citations.ts';
import { renderStreamError } from './errors.ts';
import { writeUsage } from './usage.ts';
import { DIALECT, wireReasons } from './wire.ts';

export function writer(_options: WriterOptions): Writer {
  return new MessageWriter();
}

interface OpenBlock {
  readonly turnIndex: number;
  readonly head: BlockHead;
  hasText: boolean;
}

class MessageWriter implements Writer {
  #open: OpenBlock | undefined;
  #written = 0;
  /** What came for other blocks while one was open, in order. */
  #waiting: BlockEvent[] = [];
  #usage: Usage | undefined;
  #hadRefusal = false;

  push(event: TurnEvent): Frame[] {
    switch (event.type) {
      case 'turn-start':
        return [frame('message_start', { message: startOf(event.id, event.model, own(event.extras)) })];
      case 'usage':
        this.#usage = event.usage;
        return [];
      case 'turn-end':
        return this.#end(event.reasons, own(event.extras));
      case 'turn-error':
        return renderStreamError(event.error);
      default:
        return this.#takeBlockEvent(event);
    }
  }

  #takeBlockEvent(event: BlockEvent): Frame[] {
    if (this.#open !== undefined && this.#open.turnIndex !== event.index) {
      this.#waiting.push(event);
      return [];
    }
    const frames = this.#writeBlockEvent(event);
    if (event.type !== 'block-end' || this.#waiting.length === 0) return frames;
    const waiting = this.#waiting;
    this.#waiting = [];
    return [...frames, ...waiting.flatMap((next) => this.#takeBlockEvent(next))];
  }

  #writeBlockEvent(event: BlockEvent): Frame[] {
    if (event.type === 'block-start') return this.#startBlock(event.index, event.block);
    const block = this.#open;
    if (block === undefined) return [];
    const index = this.#written;
    if (event.type === 'block-delta') {
      const citations = citationsOf(event.extras, event.citations);
      block.hasText ||= event.text !== '';
      const deltas = [
        ...(event.text === '' ? [] : [deltaOf(block.head, event.text)]),
        ...citations.map((citation) => ({ type: 'citations_delta', citation })),
      ];
      return deltas.map((delta) => frame('content_block_delta', { index, delta }));
    }
    this.#open = undefined;
    this.#written += 1;
    if (isRedacted(block.head)) {
      const content_block = { ...openingOf(block.head), data: textOfSignature(event.signature) };
      return [frame('content_block_start', { index, content_block }), frame('content_block_stop', { index })];
    }
    const last = lastDelta(block, event.signature);
    return [
      ...last.map((delta) => frame('content_block_delta', { index, delta })),
      frame('content_block_stop', { index }),
    ];
  }

  #startBlock(turnIndex: number, head: BlockHead): Frame[] {
    const block = openingOf(head);
    // Sound and pictures have no place here, and nobody who speaks this dialect can have asked for them.
    if (block === undefined) return [];
    const carrier = this.#writeCarrier(head);
    this.#hadRefusal ||= head.kind === 'refusal';
    this.#open = { turnIndex, head, hasText: false };
    // What is redacted comes at once, and not before it is known.
    if (isRedacted(head)) return [];
    return [...carrier, frame('content_block_start', { index: this.#written, content_block: block })];
  }

  /** The signature of a call by another maker's model travels in an empty thought before it. */
  #writeCarrier(head: BlockHead): Frame[] {
    const thought = carrierOf(head);
    if (thought === undefined) return [];
    const index = this.#written;
    this.#written += 1;
    const { signature } = thought;
    return [
      frame('content_block_start', { index, content_block: { ...thought, signature: '' } }),
      frame('content_block_delta', { index, delta: { type: 'signature_delta', signature } }),
      frame('content_block_stop', { index }),
    ];
  }

  #end(reasons: readonly EndReason[], extras: JsonObject): Frame[] {
    const delta = endOf(reasons[0], this.#hadRefusal, extras);
    return [
      frame('message_delta', { delta, usage: writeUsage(this.#usage ?? noUsage) }),
      frame('message_stop', {}),
    ];
  }
}

/** Throws the turn's error when it has one: half an answer is no body. */
export function render(events: readonly TurnEvent[]): Record<string, unknown> {
  const turn = foldTurn(events);
  if (turn.error !== undefined) throw turn.error;
  const [choice] = turn.choices;
  return {
    ...startOf(turn.id, turn.model, own(turn.startExtras)),
    content: (choice?.blocks ?? []).flatMap(renderBlock),
    ...endOf(choice, choice !== undefined && choice.refusal !== '', own(turn.endExtras)),
    usage: writeUsage(turn.usage ?? noUsage),
  };
}

function renderBlock(block: FoldedBlock): JsonObject[] {
  const opening = openingOf(block.head);
  if (opening === undefined) return [];
  switch (block.head.kind) {
    case 'tool-call':
      return [...listOf(carrierOf(block.head)), { ...opening, input: argumentsWritten(block.text) }];
    case 'reasoning':
      if (block.head.isRedacted === true) return [{ ...opening, data: textOfSignature(block.signature) }];
      return [{ ...opening, thinking: block.text, signature: textOfSignature(block.signature) }];
    case 'private':
      return [block.text === '' ? opening : { ...opening, input: argumentsWritten(block.text) }];
    default: {
      const written = block.extras.flatMap((extras) => citationsIn(extras));
      const citations = written.length > 0 ? written : block.citations.map(writeCitation);
      return [{ ...opening, text: block.text, ...(citations.length === 0 ? {} : { citations }) }];
    }
  }
}

function startOf(id: string, model: string, extras: JsonObject): JsonObject {
  return {
    id,
    type: 'message',
    role: 'assistant',
    model,
    ...extras,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: writeUsage(noUsage),
  };
}

function openingOf(head: BlockHead): JsonObject | undefined {
  switch (head.kind) {
    case 'text':
    case 'refusal':
      return { type: 'text', text: '' };
    case 'reasoning':
      return head.isRedacted === true
        ? { type: 'redacted_thinking', data: '' }
        : { type: 'thinking', thinking: '', signature: '' };
    case 'tool-call':
      return { type: 'tool_use', id: head.id, name: head.name, input: {} };
    case 'private': {
      const { block } = own(head.extras);
      return isObject(block) ? block : undefined;
    }
    case 'audio':
    case 'image':
      return undefined;
  }
}

function deltaOf(head: BlockHead, text: string): JsonObject {
  if (head.kind === 'reasoning') return { type: 'thinking_delta', thinking: text };
  if (head.kind === 'text' || head.kind === 'refusal') return { type: 'text_delta', text };
  return { type: 'input_json_delta', partial_json: text };
}

/** A tool without arguments still gets a delta, and thinking ends with its signature. */
function lastDelta({ head, hasText }: OpenBlock, signature: Signature | undefined): readonly JsonObject[] {
  if (head.kind === 'tool-call' && !hasText) return [{ type: 'input_json_delta', partial_json: '' }];
  if (head.kind !== 'reasoning' || signature === undefined) return [];
  return [{ type: 'signature_delta', signature: textOfSignature(signature) }];
}

function textOfSignature(signature: Signature | undefined): string {
  return signature === undefined ? '' : signatureText(signature, 'anthropic');
}

function endOf(
  end:
    | { readonly reason?: EndReason['reason'] | undefined; readonly stopSequence?: string | undefined }
    | undefined,
  hadRefusal: boolean,
  extras: JsonObject,
): JsonObject {
  const reason = end?.reason ?? 'stop';
  const stopSequence = end?.stopSequence ?? null;
  const word = reason === 'stop' && stopSequence !== null ? 'stop_sequence' : wireReasons[reason];
  const said = reason === 'stop' && hadRefusal ? 'refusal' : word;
  return { stop_reason: said, stop_sequence: stopSequence, ...extras };
}

function frame(type: string, fields: JsonObject): Frame {
  return { event: type, data: JSON.stringify({ type, ...fields }) };
}

function listOf(value: JsonObject | undefined): JsonObject[] {
  return value === undefined ? [] : [value];
}

function isRedacted(head: BlockHead): boolean {
  return head.kind === 'reasoning' && head.isRedacted === true;
}

function carrierOf(head: BlockHead): JsonObject | undefined {
  if (head.kind !== 'tool-call' || head.signature === undefined) return undefined;
  return { type: 'thinking', thinking: '', signature: signatureText(head.signature, 'anthropic') };
}

function citationsIn(extras: Extras | undefined): readonly unknown[] {
  const { citations } = own(extras);
  return Array.isArray(citations) ? citations : [];
}

/** As they were read where this dialect read them. */
function citationsOf(extras: Extras | undefined, canonical: readonly Citation[] = []): readonly unknown[] {
  const written = citationsIn(extras);
  return written.length > 0 ? written : canonical.map(writeCitation);
}

/** Extras of another dialect mean nothing here. */
function own(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? objectOf(extras.fields) : {};
}
