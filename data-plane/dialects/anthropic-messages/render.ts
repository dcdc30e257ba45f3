// Events as clients of Anthropic's messages expect them, as stream events or as a whole body. Blocks stand one after the other
// here: what comes for a second block while one is open (parallel tool calls of other dialects do that) waits until the first
// has ended. Usage is complete only at the end, so the last event repeats all of it.
import type { Frame } from '../../framing/frame.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { BlockHead, EndReason, Extras, TurnEvent } from '../../turn/events.ts';
import { completeArguments, type FoldedBlock, foldTurn } from '../../turn/fold.ts';
import { type Signature, signatureText } from '../../turn/signature.ts';
import { noUsage, type Usage } from '../../turn/usage.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { renderStreamError } from './errors.ts';
import { writeUsage } from './usage.ts';
import { DIALECT, wireReasons } from './wire.ts';

export function writer(_options: WriterOptions): Writer {
  return new MessageWriter();
}

type BlockEvent = Extract<TurnEvent, { type: 'block-start' | 'block-delta' | 'block-end' }>;

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
      const citations = listOf(own(event.extras).citations);
      block.hasText ||= event.text !== '';
      const deltas = [
        ...(event.text === '' ? [] : [deltaOf(block.head, event.text)]),
        ...citations.map((citation) => ({ type: 'citations_delta', citation })),
      ];
      return deltas.map((delta) => frame('content_block_delta', { index, delta }));
    }
    this.#open = undefined;
    this.#written += 1;
    const last = lastDelta(block, event.signature);
    return [
      ...last.map((delta) => frame('content_block_delta', { index, delta })),
      frame('content_block_stop', { index }),
    ];
  }

  #startBlock(turnIndex: number, head: BlockHead): Frame[] {
    const block = openingOf(head);
    // Sound has no place here, and nobody who speaks this dialect can have asked for it.
    if (block === undefined) return [];
    this.#hadRefusal ||= head.kind === 'refusal';
    this.#open = { turnIndex, head, hasText: false };
    return [frame('content_block_start', { index: this.#written, content_block: block })];
  }

  #end(reasons: readonly EndReason[], extras: JsonObject): Frame[] {
    const reason = reasons[0]?.reason ?? 'stop';
    const delta = endOf(reason, this.#hadRefusal, extras);
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
    ...endOf(choice?.reason ?? 'stop', choice !== undefined && choice.refusal !== '', own(turn.endExtras)),
    usage: writeUsage(turn.usage ?? noUsage),
  };
}

function renderBlock(block: FoldedBlock): JsonObject[] {
  const opening = openingOf(block.head);
  if (opening === undefined) return [];
  switch (block.head.kind) {
    case 'tool-call':
      return [{ ...opening, input: argumentsOf(block.text) }];
    case 'reasoning':
      return [{ ...opening, thinking: block.text, signature: textOfSignature(block.signature) }];
    case 'private':
      return [block.text === '' ? opening : { ...opening, input: argumentsOf(block.text) }];
    default: {
      const citations = block.extras.flatMap((extras) => listOf(own(extras).citations));
      return [{ ...opening, text: block.text, ...(citations.length === 0 ? {} : { citations }) }];
    }
  }
}

/** A model may write what is no JSON; the client is to see what it wrote. */
function argumentsOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(completeArguments(text));
    return isObject(value) ? value : { arguments: value };
  } catch {
    return { arguments: text };
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
      return { type: 'thinking', thinking: '', signature: '' };
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

function endOf(reason: EndReason['reason'], hadRefusal: boolean, extras: JsonObject): JsonObject {
  const word = reason === 'stop' && hadRefusal ? 'refusal' : wireReasons[reason];
  return { stop_reason: word, stop_sequence: null, ...extras };
}

function frame(type: string, fields: JsonObject): Frame {
  return { event: type, data: JSON.stringify({ type, ...fields }) };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Extras of another dialect mean nothing here. */
function own(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? objectOf(extras.fields) : {};
}
