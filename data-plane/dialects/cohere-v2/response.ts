// What Cohere answers, as events. One machine reads streams and whole bodies: a whole answer is fed to it as the events it would
// have been streamed as. A plan of tool calls is reasoning; sources may be named after the text they belong to has ended, so a
// block ends only when another begins.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import type { BlockHead, TurnEvent } from '../../turn/events.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { truncated } from '../../turn/truncated.ts';
import type { Reader } from '../dialect.ts';
import { errorInStream } from '../read-error.ts';
import { TurnQueue } from '../turn-queue.ts';
import { citationsIn, logprobsIn } from './annotations.ts';
import { foundUsage } from './usage.ts';
import { endReasons, unreadable } from './wire.ts';

/** Answers do not name the model that was asked. */
export function reader(request?: TurnRequest): Reader {
  return new CohereReader(request?.model ?? '');
}

/** Throws `upstream_invalid` when the body is no answer. */
export function unfold(body: Buffer, request?: TurnRequest): TurnEvent[] {
  let answer: unknown;
  try {
    answer = parseJson(body);
  } catch (cause) {
    throw unreadable(cause);
  }
  if (!isObject(answer) || !isObject(answer.message) || typeof answer.finish_reason !== 'string') {
    throw unreadable(undefined);
  }
  const machine = new CohereReader(request?.model ?? '');
  return eventsOf(answer, answer.message).flatMap((event) => machine.take(event));
}

function eventsOf(answer: JsonObject, message: JsonObject): readonly JsonObject[] {
  const { id, finish_reason, usage, error, error_type } = answer;
  const inMessage = (field: string, value: unknown) => ({ delta: { message: { [field]: value } } });
  // Of the parts of the content, the text is what likelihoods are told of.
  const parts = objectsIn(message.content);
  const text = parts.findIndex(({ type }) => type === 'text');
  return [
    { type: 'message-start', id },
    { type: 'tool-plan-delta', ...inMessage('tool_plan', message.tool_plan) },
    ...parts.flatMap((part, index) => [
      {
        type: 'content-start',
        index,
        ...inMessage('content', part),
        ...(index === text ? { logprobs: answer.logprobs } : {}),
      },
      ...objectsIn(message.citations)
        .filter((citation) => (citation.content_index ?? text) === index)
        .map((citation) => ({ type: 'citation-start', ...inMessage('citations', citation) })),
    ]),
    ...objectsIn(message.tool_calls).map((call, index) => ({
      type: 'tool-call-start',
      index,
      ...inMessage('tool_calls', call),
    })),
    { type: 'message-end', delta: { finish_reason, usage, error, error_type } },
  ];
}

interface OpenBlock {
  readonly index: number;
  readonly kind: BlockHead['kind'];
  /** Its place in the content, or among the calls; a plan has none. */
  readonly wireIndex: unknown;
}

class CohereReader implements Reader {
  readonly #model: string;
  readonly #turn = new TurnQueue();
  #block: OpenBlock | undefined;
  #hadCalls = false;

  constructor(model: string) {
    this.#model = model;
  }

  push(frame: Frame): TurnEvent[] {
    if (this.#turn.state === 'closed' || frame.data.trim() === '' || frame.data.trim() === '[DONE]')
      return [];
    let event: unknown;
    try {
      event = parseJson(frame.data);
      if (!isObject(event)) throw new TypeError('An event is an object.');
    } catch (thrown) {
      this.#fail(frame.unterminated ? truncated() : unreadable(thrown));
      return this.#turn.flush();
    }
    const named = event as JsonObject;
    return this.take(named.type === undefined ? { ...named, type: frame.event ?? 'error' } : named);
  }

  end(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    this.#fail(truncated());
    return this.#turn.flush();
  }

  take(event: JsonObject): TurnEvent[] {
    if (this.#turn.state !== 'closed') this.#takeEvent(event);
    return this.#turn.flush();
  }

  #takeEvent(event: JsonObject): void {
    const delta = objectOf(event.delta);
    const message = objectOf(delta.message);
    switch (event.type) {
      case 'message-start':
        this.#start(event.id);
        break;
      case 'tool-plan-delta':
        this.#say({ kind: 'reasoning', choice: 0 }, undefined, textOf(message.tool_plan));
        break;
      case 'content-start':
      case 'content-delta':
        this.#takeContent(event, objectOf(message.content));
        break;
      case 'tool-call-start':
        this.#startCall(event.index, objectOf(message.tool_calls));
        break;
      case 'tool-call-delta':
        this.#continueCall(event.index, objectOf(message.tool_calls));
        break;
      case 'citation-start':
        this.#cite(objectOf(message.citations));
        break;
      case 'message-end':
        this.#end(delta);
        break;
      case 'error':
        this.#fail(errorInStream(event));
        break;
    }
  }

  #start(id: unknown): void {
    if (this.#turn.state !== 'waiting') return;
    this.#turn.start({ id: textOf(id), model: this.#model });
  }

  #takeContent({ index, logprobs }: JsonObject, content: JsonObject): void {
    const isThinking = content.type === 'thinking' || content.thinking !== undefined;
    const head: BlockHead = { kind: isThinking ? 'reasoning' : 'text', choice: 0 };
    const tokens = logprobsIn(logprobs);
    const text = textOf(isThinking ? content.thinking : content.text);
    this.#say(head, index, text, tokens.length === 0 ? {} : { logprobs: tokens });
  }

  #startCall(wireIndex: unknown, call: JsonObject): void {
    const { name, arguments: text } = objectOf(call.function);
    this.#hadCalls = true;
    this.#open({ kind: 'tool-call', choice: 0, id: textOf(call.id), name: textOf(name) }, wireIndex);
    if (textOf(text) !== '') this.#delta(textOf(text));
  }

  #continueCall(wireIndex: unknown, call: JsonObject): void {
    const text = textOf(objectOf(call.function).arguments);
    if (this.#block?.kind === 'tool-call' && this.#block.wireIndex === wireIndex && text !== '') {
      this.#delta(text);
    }
  }

  #cite(citation: JsonObject): void {
    const block = this.#block;
    const isPlan = citation.type === 'PLAN';
    const kind = isPlan || citation.type === 'THINKING_CONTENT' ? 'reasoning' : 'text';
    if (block?.kind !== kind) return;
    const place = citation.content_index;
    if (!isPlan && place !== undefined && place !== block.wireIndex) return;
    this.#delta('', { citations: citationsIn(citation) });
  }

  /** Words of a block that opens with them, unless it is open already. */
  #say(head: BlockHead, wireIndex: unknown, text: string, more: DeltaExtent = {}): void {
    const isOpen = this.#block?.kind === head.kind && this.#block.wireIndex === wireIndex;
    if (text === '' && more.logprobs === undefined) return;
    if (!isOpen) this.#open(head, wireIndex);
    this.#delta(text, more);
  }

  #open(head: BlockHead, wireIndex: unknown): void {
    this.#start('');
    this.#close();
    this.#block = { index: this.#turn.open(head), kind: head.kind, wireIndex };
  }

  #delta(text: string, more: DeltaExtent = {}): void {
    this.#turn.push({ type: 'block-delta', index: this.#block!.index, text, ...more });
  }

  #close(): void {
    if (this.#block !== undefined) this.#turn.push({ type: 'block-end', index: this.#block.index });
    this.#block = undefined;
  }

  #end({ finish_reason: written, usage, error, error_type }: JsonObject): void {
    this.#start('');
    this.#close();
    this.#turn.report(foundUsage(usage));
    const reason = endReasons[textOf(written)];
    if (reason === undefined) {
      this.#fail(failure(textOf(written), textOf(error), error_type));
      return;
    }
    const isCall = reason === 'stop' && this.#hadCalls;
    this.#turn.end([{ choice: 0, reason: isCall ? 'tool-calls' : reason }]);
  }

  #fail(error: SignalboxError): void {
    this.#close();
    this.#turn.fail(error);
  }
}

type DeltaExtent = Pick<Extract<TurnEvent, { type: 'block-delta' }>, 'citations' | 'logprobs'>;

function failure(reason: string, words: string, type: unknown): SignalboxError {
  const message = words === '' ? `The provider stopped with the reason "${reason}".` : words;
  return errorInStream({ message, type: textOf(type) || reason });
}
