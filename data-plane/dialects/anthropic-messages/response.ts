// What an upstream answers, as events. One machine reads streams and whole bodies: a whole message is fed to it as the events
// it would have been streamed as. Blocks are renumbered, because their indexes may have gaps; pings, unknown events and a
// second message_start say nothing; usage is reported once, at the end, with the last value of every count.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, objectsIn, rest, textOf } from '../../json/values.ts';
import type { BlockHead, Extras, TurnEvent } from '../../turn/events.ts';
import { truncated } from '../../turn/truncated.ts';
import type { Reader } from '../dialect.ts';
import { errorInStream } from '../read-error.ts';
import { TurnQueue } from '../turn-queue.ts';
import { citationOf } from './citations.ts';
import { foundUsage, mergeUsage } from './usage.ts';
import { DIALECT, endReasons, unreadable, wireReasons } from './wire.ts';

export function reader(): Reader {
  return new MessageReader();
}

/** Throws `upstream_invalid` when the body is no message. */
export function unfold(body: Buffer): TurnEvent[] {
  let message: unknown;
  try {
    message = parseJson(body);
  } catch (cause) {
    throw unreadable(cause);
  }
  if (!isObject(message)) throw unreadable(undefined);
  const machine = new MessageReader();
  if (message.type === 'error') return machine.take('error', message);
  if (!Array.isArray(message.content)) throw unreadable(undefined);
  const { stop_reason, stop_sequence, stop_details, usage } = message;
  return [
    ...machine.take('message_start', { message }),
    ...objectsIn(message.content).flatMap((block, index) => [
      ...machine.take('content_block_start', { index, content_block: block }),
      ...machine.take('content_block_stop', { index }),
    ]),
    ...machine.take('message_delta', { delta: { stop_reason, stop_sequence, stop_details }, usage }),
    ...machine.take('message_stop', {}),
  ];
}

const messageFields = ['type', 'role', 'id', 'model', 'content', 'usage', 'stop_reason', 'stop_sequence'];

interface OpenBlock {
  readonly index: number;
  readonly kind: BlockHead['kind'];
  signature: string;
}

class MessageReader implements Reader {
  readonly #turn = new TurnQueue();
  readonly #blocks = new Map<unknown, OpenBlock>();
  #hadCalls = false;
  #usage: JsonObject | undefined;
  #end: JsonObject = {};

  push(frame: Frame): TurnEvent[] {
    if (this.#turn.state === 'closed' || frame.data.trim() === '') return [];
    let value: unknown;
    try {
      value = parseJson(frame.data);
      if (!isObject(value)) throw new TypeError('An event is an object.');
    } catch (thrown) {
      this.#fail(frame.unterminated ? truncated() : unreadable(thrown));
      return this.#turn.flush();
    }
    const event = value as JsonObject;
    return this.take(frame.event === 'error' ? 'error' : textOf(event.type), event);
  }

  end(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    this.#fail(truncated());
    return this.#turn.flush();
  }

  take(type: string, event: JsonObject): TurnEvent[] {
    if (this.#turn.state !== 'closed') this.#takeEvent(type, event);
    return this.#turn.flush();
  }

  #takeEvent(type: string, event: JsonObject): void {
    switch (type) {
      case 'message_start':
        this.#start(objectOf(event.message));
        break;
      case 'content_block_start':
        this.#startBlock(event.index, objectOf(event.content_block));
        break;
      case 'content_block_delta':
        this.#delta(event.index, objectOf(event.delta));
        break;
      case 'content_block_stop':
        this.#endBlock(event.index);
        break;
      case 'message_delta':
        this.#usage = mergeUsage(this.#usage, event.usage);
        this.#end = { ...this.#end, ...objectOf(event.delta) };
        break;
      case 'message_stop':
        this.#endTurn();
        break;
      case 'error':
        this.#fail(errorInStream(event));
        break;
    }
  }

  #start(message: JsonObject): void {
    if (this.#turn.state !== 'waiting') return;
    this.#usage = mergeUsage(undefined, message.usage);
    const fields = rest(message, [...messageFields, 'stop_details']);
    this.#turn.start({
      id: textOf(message.id),
      model: textOf(message.model),
      ...(fields === undefined ? {} : { extras: extrasOf(fields) }),
    });
  }

  #startBlock(key: unknown, block: JsonObject): void {
    this.#start({});
    this.#endBlock(key);
    const head = headOf(block);
    const index = this.#turn.open(head);
    this.#hadCalls ||= head.kind === 'tool-call';
    this.#blocks.set(key, {
      index,
      kind: head.kind,
      signature: textOf(block.signature) || textOf(block.data),
    });
    const text = textIn(head, block);
    const citations = Array.isArray(block.citations) && block.citations.length > 0 ? block.citations : [];
    if (text !== '' || citations.length > 0) this.#push(index, text, citations);
  }

  #delta(key: unknown, delta: JsonObject): void {
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    if (delta.type === 'signature_delta') block.signature += textOf(delta.signature);
    else if (delta.type === 'citations_delta') this.#push(block.index, '', [delta.citation]);
    else {
      const text = textOf(delta.text) || textOf(delta.thinking) || textOf(delta.partial_json);
      if (text !== '') this.#push(block.index, text, []);
    }
  }

  #push(index: number, text: string, citations: readonly unknown[]): void {
    const sources =
      citations.length === 0 ? {} : { citations: citations.map(citationOf), extras: extrasOf({ citations }) };
    this.#turn.push({ type: 'block-delta', index, text, ...sources });
  }

  #endBlock(key: unknown): void {
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    this.#blocks.delete(key);
    const signature =
      block.signature === '' ? {} : { signature: { maker: 'anthropic', value: block.signature } as const };
    this.#turn.push({ type: 'block-end', index: block.index, ...signature });
  }

  #endTurn(): void {
    this.#start({});
    this.#endBlocksAndReportUsage();
    const written = textOf(this.#end.stop_reason);
    const known = endReasons[written] ?? 'stop';
    const reason = known === 'stop' && this.#hadCalls ? 'tool-calls' : known;
    const fields = {
      ...(wireReasons[reason] === written ? {} : { stop_reason: written }),
      ...rest(this.#end, ['stop_reason']),
    };
    const said = Object.entries(fields).filter(([, value]) => value != null && value !== '');
    const extras = said.length === 0 ? undefined : extrasOf(Object.fromEntries(said));
    this.#turn.end([{ choice: 0, reason, ...stopSequenceIn(this.#end) }], extras);
  }

  #fail(error: SignalboxError): void {
    if (this.#turn.state === 'open') this.#endBlocksAndReportUsage();
    this.#turn.fail(error);
  }

  #endBlocksAndReportUsage(): void {
    for (const key of [...this.#blocks.keys()]) this.#endBlock(key);
    this.#turn.report(foundUsage(this.#usage));
  }
}

function headOf(block: JsonObject): BlockHead {
  const choice = 0;
  if (block.type === 'text') return { kind: 'text', choice };
  if (block.type === 'thinking') return { kind: 'reasoning', choice };
  if (block.type === 'redacted_thinking') return { kind: 'reasoning', choice, isRedacted: true };
  if (block.type === 'tool_use') {
    return { kind: 'tool-call', choice, id: textOf(block.id), name: textOf(block.name) };
  }
  return { kind: 'private', choice, extras: extrasOf({ block }) };
}

function stopSequenceIn({ stop_sequence }: JsonObject): { stopSequence?: string } {
  return typeof stop_sequence === 'string' ? { stopSequence: stop_sequence } : {};
}

/** What a block says from its start: everything in a whole message, nothing in a stream. */
function textIn(head: BlockHead, block: JsonObject): string {
  if (head.kind === 'text') return textOf(block.text);
  if (head.kind === 'reasoning') return textOf(block.thinking);
  const isFilled = isObject(block.input) && Object.keys(block.input).length > 0;
  return head.kind === 'tool-call' && isFilled ? JSON.stringify(block.input) : '';
}

function extrasOf(fields: JsonObject): Extras {
  return { dialect: DIALECT, fields };
}
