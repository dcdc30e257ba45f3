// What an upstream answers, as events. One machine reads streams and whole bodies: a whole response is fed to it as the items it would
// have streamed. Items are told apart by their place in the output, because some hosts change their ids from event to event;
// whatever a host leaves out of its stream is taken from the finished item, or from the finished response. Usage is reported
// once, at the end.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, objectsIn, rest, rowFor, textOf } from '../../json/values.ts';
import type { EndReason, TurnEvent } from '../../turn/events.ts';
import { truncated } from '../../turn/truncated.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { Reader } from '../dialect.ts';
import { TurnQueue } from '../turn-queue.ts';
import { errorInAnswer, errorInEvent } from './errors.ts';
import { ItemReader } from './item-reader.ts';
import { memberText } from './member-text.ts';
import { findUsage } from './usage.ts';
import { DIALECT, lifecycleEvents, unreadable } from './wire.ts';

export function reader(): Reader {
  return new ResponseReader();
}

/** Throws `upstream_invalid` when the body is no response, or one that is still being made. */
export function unfold(body: Buffer): TurnEvent[] {
  let response: unknown;
  try {
    response = parseJson(body);
  } catch (cause) {
    throw unreadable(cause);
  }
  if (!isObject(response)) throw unreadable(undefined);
  return new ResponseReader().takeWhole(response, body);
}

/** What the writer makes itself, or what is told in events of its own. */
const responseFields = [
  'id',
  'object',
  'created_at',
  'completed_at',
  'status',
  'error',
  'incomplete_details',
  'model',
  'output',
  'output_text',
  'usage',
];

const pending: readonly unknown[] = ['queued', 'in_progress'];

const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  max_output_tokens: 'length',
  max_tokens: 'length',
  content_filter: 'content-filter',
};

class ResponseReader implements Reader {
  readonly #turn = new TurnQueue();
  readonly #items: ItemReader;

  constructor() {
    this.#items = new ItemReader((event) => {
      this.#start({});
      this.#turn.push(event);
    });
  }

  push(frame: Frame): TurnEvent[] {
    const data = frame.data.trim();
    if (this.#turn.state === 'closed' || data === '' || data === '[DONE]') return [];
    try {
      const event = parseJson(data);
      if (!isObject(event)) throw new TypeError('An event is an object.');
      this.#take(frame.event === 'error' ? 'error' : textOf(event.type), event, data);
    } catch (thrown) {
      this.#fail(frame.unterminated ? truncated() : unreadable(thrown));
    }
    return this.#turn.flush();
  }

  end(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    this.#fail(truncated());
    return this.#turn.flush();
  }

  takeWhole(response: JsonObject, body: Buffer): TurnEvent[] {
    const error = errorInAnswer(response);
    if (error === undefined && (!Array.isArray(response.output) || pending.includes(response.status))) {
      throw unreadable(undefined);
    }
    this.#start(response);
    const usage = findUsage(response, body);
    if (error === undefined) this.#endTurn(response, usage);
    else this.#fail(error, usage);
    return this.#turn.flush();
  }

  #take(type: string, event: JsonObject, data: string): void {
    if (type === 'error') {
      this.#fail(errorInEvent(event));
      return;
    }
    if (!lifecycleEvents.includes(type)) {
      this.#items.take(type, event);
      return;
    }
    const response = objectOf(event.response);
    this.#start(response);
    if (type === 'response.failed') {
      this.#fail(errorInAnswer({ ...response, status: 'failed' })!, usageIn(response, data));
    } else if (type === 'response.completed' || type === 'response.incomplete') {
      const status = textOf(response.status) || type.slice('response.'.length);
      this.#endTurn({ ...response, status }, usageIn(response, data));
    }
  }

  #start(response: JsonObject): void {
    if (this.#turn.state !== 'waiting') return;
    const created = response.created_at;
    const extras = rest(response, responseFields);
    this.#turn.start({
      id: textOf(response.id),
      model: textOf(response.model),
      ...(typeof created === 'number' ? { createdAtMs: created * 1000 } : {}),
      ...(extras === undefined ? {} : { extras: { dialect: DIALECT, fields: extras } }),
    });
  }

  #endTurn(response: JsonObject, usage: FoundUsage | undefined): void {
    this.#items.completeAll(objectsIn(response.output));
    this.#turn.report(usage);
    this.#turn.end([{ choice: 0, reason: this.#reason(response) }]);
  }

  #reason({ status, incomplete_details }: JsonObject): EndReason['reason'] {
    if (status === 'incomplete')
      return rowFor(endReasons, textOf(objectOf(incomplete_details).reason)) ?? 'length';
    return this.#items.hadCalls ? 'tool-calls' : 'stop';
  }

  #fail(error: SignalboxError, usage?: FoundUsage): void {
    if (this.#turn.state === 'open') {
      this.#items.closeAll();
      this.#turn.report(usage);
    }
    this.#turn.fail(error);
  }
}

function usageIn(response: JsonObject, data: string): FoundUsage | undefined {
  if (!isObject(response.usage)) return undefined;
  return findUsage(response, memberText(Buffer.from(data), 'response'));
}
