// What an upstream answers, as events. One machine reads streams and whole bodies: a whole message is a delta that happens
// to be complete. It is keyed by choice and by tool-call index, takes a choice as ended by whatever finish chunk comes
// first, and reports usage once, at the end, with the last value seen, because vendors send it on one chunk, on several or on
// all of them.
import type { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, objectsIn, rest, textOf } from '../../json/values.ts';
import type { BlockHead, EndReason, Extras, TurnEvent } from '../../turn/events.ts';
import type { Signature } from '../../turn/signature.ts';
import { truncated } from '../../turn/truncated.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { Reader } from '../dialect.ts';
import { errorInAnswer } from '../openai-errors.ts';
import { findUsage } from '../openai-usage.ts';
import { errorInStream } from '../read-error.ts';
import { TurnQueue } from '../turn-queue.ts';
import { citationsIn, readLogprobs } from './annotations.ts';
import { argumentsText, changedFields, contentPieces, deltaExtras, withoutNulls } from './delta.ts';
import { callSignature, detailsSignature } from './reasoning-details.ts';
import { DIALECT, DONE, unreadable, wireReasons } from './wire.ts';

export function reader(): Reader {
  return new ChatReader();
}

/** Throws `upstream_invalid` when the body is not an answer. */
export function unfold(body: Buffer): TurnEvent[] {
  const machine = new ChatReader();
  return [...machine.take(body), ...machine.finish()];
}

/** What vendors write where OpenAI has four words. */
const finishReasons: Readonly<Record<string, EndReason['reason']>> = {
  stop: 'stop',
  eos: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  length: 'length',
  max_tokens: 'length',
  model_length: 'length',
  tool_calls: 'tool-calls',
  tool_use: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
  safety: 'content-filter',
};

const chunkFields = ['id', 'object', 'created', 'model', 'choices', 'usage', 'error'];
/** Padding against traffic analysis, of no use to anyone once read. */
const paddingFields = ['obfuscation', 'p'];
const choiceFields = ['index', 'delta', 'message', 'finish_reason', 'logprobs', 'error'];

type FlowKind = 'text' | 'reasoning' | 'refusal' | 'audio';

interface Choice {
  readonly index: number;
  /** Text-like blocks follow one another; a change of kind closes the one before. */
  flow: { readonly kind: FlowKind; readonly index: number } | undefined;
  readonly calls: Call[];
  /** Of the reasoning under way. */
  signature: Signature | undefined;
  hadCalls: boolean;
  finish: string | undefined;
  extras: JsonObject;
}

type Delta = Extract<TurnEvent, { type: 'block-delta' }>;

interface Call {
  readonly id: string;
  /** The wire's index, by which later deltas name it. */
  readonly wireIndex: number | undefined;
  readonly block: number;
  looksComplete: boolean;
}

class ChatReader implements Reader {
  readonly #turn = new TurnQueue();
  #sawChunk = false;
  readonly #choices = new Map<number, Choice>();
  #startFields: JsonObject = {};
  #lateFields: JsonObject = {};
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
    const choices = [...this.#choices.values()];
    if (choices.length > 0 && choices.every((choice) => choice.finish !== undefined)) this.#endTurn();
    else this.#fail(truncated());
    return this.#turn.flush();
  }

  /** A whole body. */
  take(body: Buffer): TurnEvent[] {
    try {
      const text = body.toString('utf8');
      this.#takeChunk(parseJson(text), text);
    } catch (thrown) {
      throw unreadable(thrown);
    }
    if (this.#choices.size === 0 && this.#turn.state !== 'closed') throw unreadable(undefined);
    return this.#turn.flush();
  }

  finish(): TurnEvent[] {
    if (this.#turn.state !== 'closed') this.#endTurn();
    return this.#turn.flush();
  }

  #takeFrame(frame: Frame): void {
    const data = frame.data.trim();
    if (data === DONE) {
      if (this.#sawChunk) this.#endTurn();
      else this.#fail(unreadable(undefined));
      return;
    }
    if (data === '' && frame.event !== 'error') return;
    const chunk = parseJson(data);
    if (frame.event === 'error') this.#fail(errorInStream(chunk));
    else this.#takeChunk(chunk, data);
  }

  #takeChunk(chunk: unknown, text: string): void {
    if (!isObject(chunk)) throw new TypeError('A chunk is an object.');
    this.#sawChunk = true;
    this.#usage = findUsage(chunk, text) ?? this.#usage;
    const error = errorInAnswer(chunk);
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    const choices = objectsIn(chunk.choices);
    const extras = rest(chunk, [...chunkFields, ...paddingFields]) ?? {};
    if (this.#turn.state === 'open')
      this.#lateFields = { ...this.#lateFields, ...changedFields(extras, this.#startFields) };
    else this.#startFields = { ...this.#startFields, ...extras };
    // Azure opens with a chunk that has neither choices nor an id.
    if (this.#turn.state === 'waiting' && (choices.length > 0 || textOf(chunk.id) !== '')) this.#start(chunk);
    for (const choice of choices) this.#takeChoice(choice);
  }

  #start(chunk: JsonObject): void {
    const created = chunk.created;
    this.#turn.start({
      id: textOf(chunk.id),
      model: textOf(chunk.model),
      ...(typeof created === 'number' ? { createdAtMs: created * 1000 } : {}),
      ...(Object.keys(this.#startFields).length === 0 ? {} : { extras: extrasOf(this.#startFields) }),
    });
  }

  #takeChoice(wire: JsonObject): void {
    const choice = this.#choice(wire.index);
    const delta = [wire.delta, wire.message].find(isObject) ?? {};
    const extras = deltaExtras(wire, delta);
    choice.extras = { ...choice.extras, ...withoutNulls(rest(wire, choiceFields)) };

    choice.signature = detailsSignature(delta.reasoning_details) ?? choice.signature;
    let carried = extras;
    const emit = (kind: FlowKind, text: string, audioId = '') => {
      this.#delta(this.#flow(choice, kind, audioId), text, carried);
      carried = undefined;
    };
    const reasoning = textOf(delta.reasoning_content) || textOf(delta.reasoning);
    if (reasoning !== '') emit('reasoning', reasoning);
    for (const piece of contentPieces(delta.content)) emit(piece.kind, piece.text);
    const refusal = textOf(delta.refusal);
    if (refusal !== '') emit('refusal', refusal);
    const audio = delta.audio;
    if (isObject(audio)) emit('audio', textOf(audio.data), textOf(audio.id));
    for (const call of objectsIn(delta.tool_calls)) {
      this.#takeCall(choice, call, carried);
      carried = undefined;
    }
    if (carried !== undefined) this.#attach(choice, carried, delta);

    const finish = textOf(wire.finish_reason);
    if (finish !== '' && choice.finish === undefined) {
      choice.finish = finish;
      this.#closeBlocks(choice);
    }
  }

  #takeCall(choice: Choice, wire: JsonObject, extras: JsonObject | undefined): void {
    const custom = isObject(wire.custom) ? wire.custom : undefined;
    const body = custom ?? (isObject(wire.function) ? wire.function : {});
    const text = argumentsText(custom ? body.input : body.arguments);
    const own = rest(wire, ['index', 'id', 'type', 'function', 'custom']);
    const fields = {
      ...extras,
      ...(own === undefined ? {} : { call: own }),
      ...(custom === undefined ? {} : { custom: true }),
    };
    const name = textOf(body.name);
    // What trails behind a finished choice without naming a tool belongs to nothing.
    if (choice.finish !== undefined && name === '') return;
    const call = this.#callFor(choice, wire, name);
    if (text !== '') call.looksComplete = text.trimEnd().endsWith('}');
    this.#delta(call.block, text, Object.keys(fields).length === 0 ? undefined : fields);
  }

  #callFor(choice: Choice, wire: JsonObject, name: string): Call {
    const wireIndex = typeof wire.index === 'number' ? wire.index : undefined;
    const id = textOf(wire.id);
    const known =
      wireIndex === undefined
        ? choice.calls.findLast((call) => id === '' || call.id === id)
        : choice.calls.findLast((call) => call.wireIndex === wireIndex);
    // Some vendors give every parallel call the index 0: a new name and id after complete arguments is another call.
    const isAnother =
      known !== undefined && id !== '' && name !== '' && id !== known.id && known.looksComplete;
    if (known !== undefined && !isAnother) return known;

    if (choice.flow !== undefined) this.#closeFlow(choice, choice.flow.index);
    const signature = callSignature(wire);
    const head: BlockHead & { kind: 'tool-call' } = {
      kind: 'tool-call',
      choice: choice.index,
      id: id || prefixedId('call'),
      name,
      ...(signature === undefined ? {} : { signature }),
    };
    const call: Call = { id: head.id, wireIndex, block: this.#turn.open(head), looksComplete: false };
    choice.calls.push(call);
    choice.hadCalls = true;
    return call;
  }

  #choice(index: unknown): Choice {
    const key = typeof index === 'number' && Number.isSafeInteger(index) && index >= 0 ? index : 0;
    const known = this.#choices.get(key);
    if (known !== undefined) return known;
    const choice: Choice = {
      index: key,
      flow: undefined,
      calls: [],
      signature: undefined,
      hadCalls: false,
      finish: undefined,
      extras: {},
    };
    this.#choices.set(key, choice);
    return choice;
  }

  #flow(choice: Choice, kind: FlowKind, audioId: string): number {
    if (choice.flow?.kind === kind) return choice.flow.index;
    if (choice.flow !== undefined) this.#closeFlow(choice, choice.flow.index);
    const head: BlockHead =
      kind === 'audio' ? { kind, choice: choice.index, id: audioId } : { kind, choice: choice.index };
    choice.flow = { kind, index: this.#turn.open(head) };
    return choice.flow.index;
  }

  #closeFlow(choice: Choice, index: number): void {
    const { signature } = choice;
    const isSigned = choice.flow?.kind === 'reasoning' && signature !== undefined;
    this.#turn.push({ type: 'block-end', index, ...(isSigned ? { signature } : {}) });
    if (isSigned) choice.signature = undefined;
    choice.flow = undefined;
  }

  /** Fields that came without text still belong somewhere: to the block that is open, or to one of their own. */
  #attach(choice: Choice, extras: JsonObject, delta: JsonObject): void {
    const open = choice.flow?.index ?? choice.calls.at(-1)?.block;
    const kind = delta.reasoning_details === undefined ? 'text' : 'reasoning';
    this.#delta(open ?? this.#flow(choice, kind, ''), '', extras);
  }

  #delta(index: number, text: string, extras: JsonObject | undefined): void {
    if (text === '' && extras === undefined) return;
    this.#turn.push(
      extras === undefined
        ? { type: 'block-delta', index, text }
        : { type: 'block-delta', index, text, ...canonicalIn(extras), extras: extrasOf(extras) },
    );
  }

  #closeBlocks(choice: Choice): void {
    if (choice.flow !== undefined) this.#closeFlow(choice, choice.flow.index);
    for (const call of choice.calls.splice(0)) this.#turn.push({ type: 'block-end', index: call.block });
  }

  #endTurn(): void {
    if (this.#turn.state === 'waiting') this.#start({});
    const choices = [...this.#choices.values()].toSorted((a, b) => a.index - b.index);
    for (const choice of choices) this.#closeBlocks(choice);
    this.#turn.report(this.#usage);
    const fields = endFields(choices, this.#lateFields);
    this.#turn.end(
      choices.map((choice) => ({ choice: choice.index, reason: reasonOf(choice) })),
      fields && extrasOf(fields),
    );
  }

  #fail(error: SignalboxError): void {
    if (this.#turn.state === 'open') {
      for (const choice of this.#choices.values()) this.#closeBlocks(choice);
      this.#turn.report(this.#usage);
    }
    this.#turn.fail(error);
  }
}

/** What other dialects have words for too. */
function canonicalIn({ logprobs, delta }: JsonObject): Pick<Delta, 'logprobs' | 'citations'> {
  const tokens = readLogprobs(logprobs);
  const citations = citationsIn(objectOf(delta).annotations);
  return {
    ...(tokens.length === 0 ? {} : { logprobs: tokens }),
    ...(citations.length === 0 ? {} : { citations }),
  };
}

function extrasOf(fields: JsonObject): Extras {
  return { dialect: DIALECT, fields };
}

/** A tool call is why a choice ended, even where the vendor says `stop`, as they do when a tool was demanded by name. */
function reasonOf({ finish, hadCalls }: Choice): EndReason['reason'] {
  const reason = finishReasons[finish ?? 'stop'] ?? 'stop';
  return reason === 'stop' && hadCalls ? 'tool-calls' : reason;
}

function endFields(choices: readonly Choice[], late: JsonObject): JsonObject | undefined {
  const ofChoices = choices
    .map((choice) => {
      const isRestored = choice.finish === undefined || wireReasons[reasonOf(choice)] === choice.finish;
      return [
        String(choice.index),
        { ...choice.extras, ...(isRestored ? {} : { finish_reason: choice.finish }) },
      ] as const;
    })
    .filter(([, fields]) => Object.keys(fields).length > 0);
  const fields = {
    ...(Object.keys(late).length === 0 ? {} : { top: late }),
    ...(ofChoices.length === 0 ? {} : { choices: Object.fromEntries(ofChoices) }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}
