// Events as clients of Gemini's API expect them, as chunks or as a whole body. A call is written when it is whole, because here it has
// no pieces. Every chunk has a part, and be it an empty text: Google's SDK forgets a conversation in which one chunk had none.
import type { Frame } from '../../framing/frame.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { BlockHead, Citation, EndReason, TokenLogprob, TurnEvent } from '../../turn/events.ts';
import { type FoldedBlock, type FoldedChoice, foldTurn } from '../../turn/fold.ts';
import { type Signature, signatureText } from '../../turn/signature.ts';
import { argumentsWritten } from '../call-arguments.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { writeCitations } from './citations.ts';
import { renderStreamError } from './errors.ts';
import { writeLogprobs } from './logprobs.ts';
import { writeUsage } from './usage.ts';
import { own, wireReasons } from './wire.ts';

export function writer(_options: WriterOptions): Writer {
  return new GeminiWriter();
}

interface OpenBlock {
  readonly head: BlockHead;
  text: string;
  readonly citations: Citation[];
}

type Delta = Extract<TurnEvent, { type: 'block-delta' }>;

const emptyText: JsonObject = Object.freeze({ text: '' });
/** What OpenAI streams where nothing else is said. */
const SOUND_TYPE = 'audio/pcm;rate=24000';

class GeminiWriter implements Writer {
  readonly #blocks = new Map<number, OpenBlock>();
  /** Texts that said where they were taken from, by choice. */
  readonly #cited = new Map<number, OpenBlock[]>();
  readonly #refused = new Set<number>();
  #base: JsonObject = {};
  #usage: JsonObject = {};

  push(event: TurnEvent): Frame[] {
    switch (event.type) {
      case 'turn-start':
        this.#base = { modelVersion: event.model, responseId: event.id, ...own(event.extras) };
        return [];
      case 'block-start':
        return this.#startBlock(event.index, event.block);
      case 'block-delta':
        return this.#delta(event);
      case 'block-end':
        return this.#endBlock(event.index, event.signature);
      case 'usage':
        this.#usage = { usageMetadata: writeUsage(event.usage) };
        return [];
      case 'turn-end':
        return this.#end(event.reasons, own(event.extras));
      case 'turn-error':
        return renderStreamError(event.error);
    }
  }

  #startBlock(index: number, head: BlockHead): Frame[] {
    this.#blocks.set(index, { head, text: '', citations: [] });
    if (head.kind === 'refusal') this.#refused.add(head.choice);
    const { part } = head.kind === 'private' ? own(head.extras) : {};
    return isObject(part) ? [this.#part(head.choice, part)] : [];
  }

  #delta({ index, text, logprobs = [], citations = [], extras }: Delta): Frame[] {
    const block = this.#blocks.get(index);
    if (block === undefined) return [];
    const { head } = block;
    block.text += text;
    block.citations.push(...citations);
    if (head.kind === 'audio') {
      const data = { mimeType: own(extras).mimeType ?? SOUND_TYPE, data: text };
      return text === '' ? [] : [this.#part(head.choice, { inlineData: data })];
    }
    const isText = head.kind === 'text' || head.kind === 'refusal' || head.kind === 'reasoning';
    if (!isText || (text === '' && logprobs.length === 0)) return [];
    const part = head.kind === 'reasoning' ? { text, thought: true } : { text };
    return [this.#part(head.choice, part, likelihoods(logprobs))];
  }

  #endBlock(index: number, signature: Signature | undefined): Frame[] {
    const block = this.#blocks.get(index);
    this.#blocks.delete(index);
    if (block === undefined) return [];
    const { head } = block;
    if (head.kind === 'text' && block.citations.length > 0) {
      this.#cited.set(head.choice, [...(this.#cited.get(head.choice) ?? []), block]);
    }
    if (head.kind === 'tool-call' || head.kind === 'image') {
      return wholeParts(head, block.text, undefined).map((part) => this.#part(head.choice, part));
    }
    if (signature === undefined || (head.kind !== 'text' && head.kind !== 'reasoning')) return [];
    return wholeParts(head, '', signature).map((part) => this.#part(head.choice, part));
  }

  #end(reasons: readonly EndReason[], extras: JsonObject): Frame[] {
    const { promptFeedback } = extras;
    if (isObject(promptFeedback) && extras.candidates === undefined) {
      return [frameOf({ promptFeedback, ...this.#usage, ...this.#base })];
    }
    return reasons.map(({ choice, reason }, index) => {
      const fields = {
        ...finishOf(reason, this.#refused.has(choice)),
        ...sourcesOf(this.#cited.get(choice) ?? []),
        ...objectOf(objectOf(extras.candidates)[String(choice)]),
      };
      const usage = index === reasons.length - 1 ? this.#usage : {};
      return this.#part(choice, emptyText, fields, usage);
    });
  }

  #part(choice: number, part: JsonObject, fields: JsonObject = {}, beside: JsonObject = {}): Frame {
    const candidate = { content: { parts: [part], role: 'model' }, ...fields, index: choice };
    return frameOf({ candidates: [candidate], ...beside, ...this.#base });
  }
}

/** Throws the turn's error when it has one: half an answer is no body. */
export function render(events: readonly TurnEvent[]): Record<string, unknown> {
  const turn = foldTurn(events);
  if (turn.error !== undefined) throw turn.error;
  const end = own(turn.endExtras);
  const isBlocked = isObject(end.promptFeedback) && end.candidates === undefined;
  return {
    ...(isBlocked ? {} : { candidates: turn.choices.map((choice) => renderChoice(choice, end)) }),
    ...(end.promptFeedback === undefined ? {} : { promptFeedback: end.promptFeedback }),
    ...(turn.usage === undefined ? {} : { usageMetadata: writeUsage(turn.usage) }),
    modelVersion: turn.model,
    responseId: turn.id,
    ...own(turn.startExtras),
  };
}

function renderChoice(choice: FoldedChoice, end: JsonObject): JsonObject {
  const parts = choice.blocks.flatMap(renderBlock);
  return {
    content: { parts: parts.length === 0 ? [emptyText] : parts, role: 'model' },
    ...finishOf(choice.reason ?? 'stop', choice.refusal !== ''),
    ...sourcesOf(choice.blocks.filter(({ head }) => head.kind === 'text')),
    ...likelihoods(choice.blocks.flatMap(({ logprobs }) => logprobs)),
    ...objectOf(objectOf(end.candidates)[String(choice.index)]),
    index: choice.index,
  };
}

function renderBlock({ head, text, extras, signature }: FoldedBlock): readonly JsonObject[] {
  if (head.kind !== 'audio') return wholeParts(head, text, signature);
  const mimeType = extras.map((fields) => own(fields).mimeType).find((type) => type !== undefined);
  return [{ inlineData: { mimeType: mimeType ?? SOUND_TYPE, data: text } }];
}

/** A block of which everything is known. What another dialect keeps to itself has no place here. */
function wholeParts(head: BlockHead, text: string, signature: Signature | undefined): readonly JsonObject[] {
  switch (head.kind) {
    case 'text':
      return text === '' && signature === undefined ? [] : [{ text, ...signed(signature) }];
    case 'refusal':
      return text === '' ? [] : [{ text }];
    case 'reasoning':
      if (head.isRedacted === true)
        return signature === undefined ? [] : [{ thought: true, ...signed(signature) }];
      return text === '' && signature === undefined ? [] : [{ text, thought: true, ...signed(signature) }];
    case 'tool-call': {
      const call = { id: head.id, name: head.name, args: argumentsWritten(text) };
      return [{ functionCall: call, ...signed(head.signature) }];
    }
    case 'image':
      return [{ inlineData: { mimeType: head.mediaType, data: text } }];
    case 'private': {
      const { part } = own(head.extras);
      return isObject(part) ? [part] : [];
    }
    case 'audio':
      return [];
  }
}

function signed(signature: Signature | undefined): { readonly thoughtSignature?: string } {
  return signature === undefined ? {} : { thoughtSignature: signatureText(signature, 'google') };
}

function finishOf(reason: EndReason['reason'], isRefused: boolean): JsonObject {
  return {
    finishReason: reason === 'stop' && isRefused ? wireReasons['content-filter'] : wireReasons[reason],
  };
}

function sourcesOf(blocks: readonly { text: string; citations: readonly Citation[] }[]): JsonObject {
  const groundingMetadata = writeCitations(blocks);
  return groundingMetadata === undefined ? {} : { groundingMetadata };
}

function likelihoods(tokens: readonly TokenLogprob[]): JsonObject {
  return tokens.length === 0 ? {} : { logprobsResult: writeLogprobs(tokens) };
}

function frameOf(chunk: JsonObject): Frame {
  return { data: JSON.stringify(chunk) };
}
