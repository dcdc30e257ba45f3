// Events as clients of OpenAI's chat completions expect them, as chunks or as a whole body. Every choice opens with a role,
// tool calls get a dense index per choice, each choice ends with its own finish chunk, and usage comes last and only for
// those who asked.
import type { Frame } from '../../framing/frame.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { BlockHead, EndReason, Extras, TurnEvent } from '../../turn/events.ts';
import { completeArguments, type FoldedBlock, type FoldedChoice, foldTurn } from '../../turn/fold.ts';
import type { Signature } from '../../turn/signature.ts';
import type { Usage } from '../../turn/usage.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { renderStreamError } from '../openai-errors.ts';
import { writeUsage } from '../openai-usage.ts';
import { annotationOf, writeLogprobs } from './annotations.ts';
import { callSignatureField, reasoningDetail } from './reasoning-details.ts';
import { DIALECT, DONE, wireReasons } from './wire.ts';

export function writer(options: WriterOptions): Writer {
  return new ChatWriter(options);
}

/** What another dialect keeps to itself has no place here. */
type WrittenHead = Exclude<BlockHead, { kind: 'private' }>;

interface OpenBlock {
  readonly head: WrittenHead;
  /** The place among the tool calls of its choice. */
  readonly callIndex: number;
  /** No delta has been written. */
  isEmpty: boolean;
  hasText: boolean;
  /** Of reasoning, which is repeated with its signature, unless the provider has said that itself. */
  text: string;
  hasDetails: boolean;
}

type Delta = Extract<TurnEvent, { type: 'block-delta' }>;

class ChatWriter implements Writer {
  readonly #options: WriterOptions;
  readonly #blocks = new Map<number, OpenBlock>();
  /** How many tool calls each choice has so far; a choice is here once it has opened. */
  readonly #calls = new Map<number, number>();
  #base: JsonObject = {};
  #usage: Usage | undefined;
  #details = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  push(event: TurnEvent): Frame[] {
    switch (event.type) {
      case 'turn-start':
        this.#base = {
          id: event.id,
          object: 'chat.completion.chunk',
          created: seconds(event.createdAtMs),
          model: event.model,
          ...own(event.extras),
        };
        return [];
      case 'block-start':
        return this.#startBlock(event.index, event.block);
      case 'block-delta':
        return this.#delta(event);
      case 'block-end':
        return this.#endBlock(event.index, event.signature);
      case 'usage':
        this.#usage = event.usage;
        return [];
      case 'turn-end':
        return this.#end(event.reasons, own(event.extras));
      case 'turn-error':
        return renderStreamError(event.error);
    }
  }

  #startBlock(index: number, head: BlockHead): Frame[] {
    if (head.kind === 'private') return [];
    const frames = this.#openChoice(head.choice);
    const callIndex = this.#calls.get(head.choice) ?? 0;
    if (head.kind === 'tool-call') this.#calls.set(head.choice, callIndex + 1);
    this.#blocks.set(index, { head, callIndex, isEmpty: true, hasText: false, text: '', hasDetails: false });
    return frames;
  }

  #delta({ index, text, logprobs, citations = [], extras: given }: Delta): Frame[] {
    const block = this.#blocks.get(index);
    if (block === undefined) return [];
    const extras = own(given);
    const opening = block.isEmpty && block.head.kind === 'tool-call' ? this.#openCall(block, extras) : [];
    block.isEmpty = false;
    block.hasText ||= text !== '';
    if (block.head.kind === 'reasoning' || block.head.kind === 'image') block.text += text;
    // A picture has no halves.
    if (block.head.kind === 'image') return [];
    if (opening.length > 0 && text === '') return opening;
    const annotations = extras.delta === undefined ? citations.map(annotationOf) : [];
    const delta = {
      ...wireDelta(block, text, extras),
      ...(annotations.length === 0 ? {} : { annotations }),
      ...objectOf(extras.delta),
    };
    block.hasDetails ||= objectOf(extras.delta).reasoning_details !== undefined;
    const written = extras.logprobs ?? (logprobs === undefined ? null : writeLogprobs(logprobs));
    return [...opening, this.#chunk(block.head.choice, delta, { logprobs: written })];
  }

  /** A tool call opens with its name and no arguments, as OpenAI does it; some clients rely on that. */
  #openCall(block: OpenBlock, extras: JsonObject): Frame[] {
    return [this.#chunk(block.head.choice, wireDelta(block, '', extras), {})];
  }

  #endBlock(index: number, signature: Signature | undefined): Frame[] {
    const block = this.#blocks.get(index);
    this.#blocks.delete(index);
    if (block?.head.kind === 'reasoning') return this.#endReasoning(block, block.head, signature);
    if (block?.head.kind === 'image') {
      return [this.#chunk(block.head.choice, { images: [imageOf(block.head, block.text)] }, {})];
    }
    if (block?.head.kind !== 'tool-call' || block.hasText) return [];
    const opening = block.isEmpty ? this.#openCall(block, {}) : [];
    block.isEmpty = false;
    return [...opening, this.#chunk(block.head.choice, wireDelta(block, completeArguments(''), {}), {})];
  }

  #endReasoning(
    block: OpenBlock,
    { choice, isRedacted = false }: Extract<BlockHead, { kind: 'reasoning' }>,
    signature: Signature | undefined,
  ): Frame[] {
    const detail = reasoningDetail(block.text, signature, isRedacted, this.#details);
    if (detail === undefined || block.hasDetails) return [];
    this.#details += 1;
    return [this.#chunk(choice, { reasoning_details: [detail] }, {})];
  }

  #end(reasons: readonly EndReason[], extras: JsonObject): Frame[] {
    const late = objectOf(extras.top);
    this.#base = { ...this.#base, ...late };
    const frames = reasons.flatMap(({ choice, reason }) => [
      ...this.#openChoice(choice),
      this.#chunk(choice, {}, { finish_reason: wireReasons[reason], ...choiceFields(extras, choice) }),
    ]);
    if (this.#options.wantsUsage && this.#usage !== undefined) {
      frames.push(frameOf({ ...this.#base, choices: [], usage: writeUsage(this.#usage) }));
    }
    return [...frames, { data: DONE }];
  }

  #openChoice(choice: number): Frame[] {
    if (this.#calls.has(choice)) return [];
    this.#calls.set(choice, 0);
    return [this.#chunk(choice, { role: 'assistant', content: '', refusal: null }, {})];
  }

  #chunk(choice: number, delta: JsonObject, fields: JsonObject): Frame {
    return frameOf({
      ...this.#base,
      choices: [{ index: choice, delta, logprobs: null, finish_reason: null, ...fields }],
      ...(this.#options.wantsUsage ? { usage: null } : {}),
    });
  }
}

/** Throws the turn's error when it has one: half an answer is no body. */
export function render(events: readonly TurnEvent[]): Record<string, unknown> {
  const turn = foldTurn(events);
  if (turn.error !== undefined) throw turn.error;
  const end = own(turn.endExtras);
  return {
    id: turn.id,
    object: 'chat.completion',
    created: seconds(turn.createdAtMs),
    model: turn.model,
    ...own(turn.startExtras),
    ...objectOf(end.top),
    choices: turn.choices.map((choice) => renderChoice(choice, end)),
    ...(turn.usage === undefined ? {} : { usage: writeUsage(turn.usage) }),
  };
}

function renderChoice(choice: FoldedChoice, end: JsonObject): JsonObject {
  const extras = choice.blocks.flatMap((block) => block.extras.map(own));
  const logprobs = extras.map((fields) => fields.logprobs).filter(isObject);
  const hasOther = choice.toolCalls.length > 0 || choice.refusal !== '' || choice.blocks.some(isAudio);
  const calls = choice.blocks.flatMap(renderCall);
  const details = reasoningDetails(choice.blocks);
  const annotations = extras.some(({ delta }) => delta !== undefined)
    ? []
    : choice.blocks.flatMap(({ citations }) => citations.map(annotationOf));
  const tokens = choice.blocks.flatMap((block) => block.logprobs);
  const message = {
    role: 'assistant',
    content: choice.text === '' && hasOther ? null : choice.text,
    refusal: choice.refusal === '' ? null : choice.refusal,
    ...(choice.reasoning === '' ? {} : { reasoning_content: choice.reasoning }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(annotations.length === 0 ? {} : { annotations }),
    ...renderImages(choice.blocks),
    ...renderAudio(choice.blocks),
    ...extras.map((fields) => objectOf(fields.delta)).reduce(merge, {}),
  };
  return {
    index: choice.index,
    message,
    logprobs: logprobs.length > 0 ? logprobs.reduce(merge) : tokens.length > 0 ? writeLogprobs(tokens) : null,
    finish_reason: wireReasons[choice.reason ?? 'stop'],
    ...choiceFields(end, choice.index),
  };
}

function wireDelta({ head, callIndex, isEmpty }: OpenBlock, text: string, extras: JsonObject): JsonObject {
  switch (head.kind) {
    case 'text':
      return { content: text };
    case 'image':
      // Written as a whole when it ends.
      return {};
    case 'reasoning':
      return { reasoning_content: text };
    case 'refusal':
      return { refusal: text };
    case 'audio':
      return {
        audio: {
          ...(isEmpty ? { id: head.id } : {}),
          ...(text === '' ? {} : { data: text }),
          ...objectOf(extras.audio),
        },
      };
    case 'tool-call': {
      const call =
        extras.custom === true
          ? { custom: callBody(head.name, 'input', text, isEmpty) }
          : { function: callBody(head.name, 'arguments', text, isEmpty) };
      const type = extras.custom === true ? 'custom' : 'function';
      const opening = isEmpty ? { id: head.id, type, ...callSignatureField(head.signature) } : {};
      return { tool_calls: [{ index: callIndex, ...opening, ...objectOf(extras.call), ...call }] };
    }
  }
}

function callBody(name: string, field: 'arguments' | 'input', text: string, opens: boolean): JsonObject {
  return opens ? { name, [field]: text } : { [field]: text };
}

function renderCall(block: FoldedBlock): JsonObject[] {
  if (block.head.kind !== 'tool-call') return [];
  const { id, name } = block.head;
  const fields = block.extras.map(own);
  const isCustom = fields.some((extra) => extra.custom === true);
  const body = isCustom
    ? { type: 'custom', custom: { name, input: block.text } }
    : { type: 'function', function: { name, arguments: completeArguments(block.text) } };
  return [
    {
      id,
      ...callSignatureField(block.head.signature),
      ...fields.map((extra) => objectOf(extra.call)).reduce(merge, {}),
      ...body,
    },
  ];
}

function reasoningDetails(blocks: readonly FoldedBlock[]): readonly JsonObject[] {
  const details: JsonObject[] = [];
  for (const { head, text, signature } of blocks) {
    if (head.kind !== 'reasoning') continue;
    const detail = reasoningDetail(text, signature, head.isRedacted === true, details.length);
    if (detail !== undefined) details.push(detail);
  }
  return details;
}

/** A field that OpenRouter made customary: OpenAI's own chat models make no pictures. */
function renderImages(blocks: readonly FoldedBlock[]): JsonObject {
  const images = blocks.flatMap(({ head, text }) => (head.kind === 'image' ? [imageOf(head, text)] : []));
  return images.length === 0 ? {} : { images };
}

function imageOf({ mediaType }: { readonly mediaType: string }, data: string): JsonObject {
  return { type: 'image_url', image_url: { url: `data:${mediaType};base64,${data}` } };
}

function isAudio(block: FoldedBlock): boolean {
  return block.head.kind === 'audio';
}

function renderAudio(blocks: readonly FoldedBlock[]): JsonObject {
  const block = blocks.find(isAudio);
  if (block?.head.kind !== 'audio') return {};
  const fields = block.extras.map((extras) => objectOf(own(extras).audio));
  const transcript = fields.map((extra) => extra.transcript ?? '').join('');
  return {
    audio: { ...fields.reduce(merge, {}), id: block.head.id, data: joinBase64(block.deltas), transcript },
  };
}

/** Pieces that were each encoded by themselves may each end in padding, which must not stand inside the whole. */
function joinBase64(pieces: readonly string[]): string {
  if (!pieces.every((piece) => piece.length % 4 === 0)) return pieces.join('');
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64'))).toString('base64');
}

/** Deltas of unknown fields put together: lists grow, objects merge, anything else is replaced by what came last. */
function merge(before: JsonObject, after: JsonObject): JsonObject {
  const entries = Object.entries(after).map(([key, value]) => {
    const known = Object.hasOwn(before, key) ? before[key] : undefined;
    if (Array.isArray(known) && Array.isArray(value)) return [key, [...known, ...value]];
    if (isObject(known) && isObject(value)) return [key, merge(known, value)];
    if (key === 'arguments' && typeof known === 'string' && typeof value === 'string')
      return [key, known + value];
    return [key, value ?? known ?? null];
  });
  return { ...before, ...Object.fromEntries(entries) };
}

function choiceFields(endExtras: JsonObject, choice: number): JsonObject {
  return objectOf(objectOf(endExtras.choices)[String(choice)]);
}

function frameOf(chunk: JsonObject): Frame {
  return { data: JSON.stringify(chunk) };
}

/** Extras of another dialect mean nothing here. */
function own(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? extras.fields : {};
}

function seconds(createdAtMs: number | undefined): number {
  return Math.floor((createdAtMs ?? 0) / 1000);
}
