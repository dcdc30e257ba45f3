// What Bedrock answers, as events. One machine reads streams and whole answers: a whole message is fed to it as the events it
// would have been streamed as. Text begins without being announced, the counts come after the end, and a connection that is cut
// looks like one that ended: so an answer is whole only when both its end and its counts have come.
import { SignalboxError } from '#shared/errors.ts';
import { exceptionIn } from '../../framing/aws-event-stream.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import type { BlockHead, TurnEvent } from '../../turn/events.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { truncated } from '../../turn/truncated.ts';
import type { Reader } from '../dialect.ts';
import { TurnQueue } from '../turn-queue.ts';
import { messageEvents, readCitation, readRedacted } from './content.ts';
import { exceptionError, faultIn } from './errors.ts';
import { modelNamed } from './models.ts';
import { type ToolNames, toolNames } from './names.ts';
import { readUsage } from './usage.ts';
import { endReasons, spoiltEnds, unreadable } from './wire.ts';

export function reader(request?: TurnRequest): Reader {
  return new ConverseReader(request);
}

/** Throws `upstream_invalid` when the body is no answer. */
export function unfold(body: Buffer, request?: TurnRequest): TurnEvent[] {
  let answer: unknown;
  try {
    answer = parseJson(body);
  } catch (cause) {
    throw unreadable(cause);
  }
  const machine = new ConverseReader(request);
  const fault = faultIn(answer);
  if (fault !== undefined) return machine.fail(fault);
  const { output, stopReason, usage, additionalModelResponseFields } = objectOf(answer);
  const message = objectOf(objectOf(output).message);
  if (!Array.isArray(message.content)) throw unreadable(undefined);
  return [
    ...machine.take('messageStart', message),
    ...objectsIn(message.content).flatMap((block, index) =>
      messageEvents(block, index).flatMap(({ type, event }) => machine.take(type, event)),
    ),
    ...machine.take('messageStop', { stopReason, additionalModelResponseFields }),
    ...machine.take('metadata', { usage }),
  ];
}

interface OpenBlock {
  readonly index: number;
  readonly kind: BlockHead['kind'];
  signature: string;
}

class ConverseReader implements Reader {
  readonly #model: string;
  readonly #names: ToolNames | undefined;
  readonly #takesSignatures: boolean;
  readonly #turn = new TurnQueue();
  readonly #blocks = new Map<unknown, OpenBlock>();
  #hadCalls = false;
  #usage: JsonObject | undefined;
  #stop: JsonObject | undefined;

  constructor(request: TurnRequest | undefined) {
    const model = request && modelNamed(request.model);
    this.#model = request?.model ?? '';
    this.#names = request && toolNames(request, model!);
    this.#takesSignatures = model?.takesSignatures ?? true;
  }

  push(frame: Frame): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    if (frame.unterminated) return this.fail(truncated());
    const exception = exceptionIn(frame);
    let event: unknown;
    try {
      event = frame.data === '' ? {} : parseJson(frame.data);
    } catch (thrown) {
      if (exception === undefined) return this.fail(unreadable(thrown));
    }
    if (exception !== undefined) return this.fail(exceptionError(exception, objectOf(event)));
    if (!isObject(event)) return this.fail(unreadable(undefined));
    return this.take(frame.event ?? '', event);
  }

  end(): TurnEvent[] {
    return this.#turn.state === 'closed' ? [] : this.fail(truncated());
  }

  take(type: string, event: JsonObject): TurnEvent[] {
    if (this.#turn.state !== 'closed') this.#takeEvent(type, event);
    return this.#turn.flush();
  }

  fail(error: SignalboxError): TurnEvent[] {
    this.#fail(error);
    return this.#turn.flush();
  }

  #takeEvent(type: string, event: JsonObject): void {
    switch (type) {
      case 'messageStart':
        this.#start();
        break;
      case 'contentBlockStart':
        this.#startBlock(event.contentBlockIndex, objectOf(event.start));
        break;
      case 'contentBlockDelta':
        this.#delta(event.contentBlockIndex, objectOf(event.delta));
        break;
      case 'contentBlockStop':
        this.#endBlock(event.contentBlockIndex);
        break;
      case 'messageStop':
        this.#stop = event;
        this.#endIfWhole();
        break;
      case 'metadata':
        this.#usage = objectOf(event.usage);
        this.#endIfWhole();
        break;
    }
  }

  #start(): void {
    if (this.#turn.state !== 'waiting') return;
    this.#turn.start({ id: '', model: this.#model });
  }

  #startBlock(key: unknown, start: JsonObject): void {
    const call = objectOf(start.toolUse);
    // What Bedrock's own tools do is told beside the answer, and nobody but Bedrock can make use of it.
    if (start.toolUse !== undefined && call.type !== 'server_tool_use') {
      const written = textOf(call.name);
      const name = this.#names?.original(written) ?? written;
      this.#open(key, { kind: 'tool-call', choice: 0, id: textOf(call.toolUseId), name });
      this.#hadCalls = true;
    }
    const { format } = objectOf(start.image);
    if (typeof format === 'string')
      this.#open(key, { kind: 'image', choice: 0, mediaType: `image/${format}` });
  }

  #delta(key: unknown, delta: JsonObject): void {
    if (typeof delta.text === 'string') this.#push(key, 'text', delta.text);
    else if (isObject(delta.reasoningContent)) this.#reason(key, delta.reasoningContent);
    else if (isObject(delta.citation)) this.#cite(key, delta.citation);
    else {
      const text =
        textOf(objectOf(delta.toolUse).input) || textOf(objectOf(objectOf(delta.image).source).bytes);
      const block = this.#blocks.get(key);
      if (block !== undefined && text !== '')
        this.#turn.push({ type: 'block-delta', index: block.index, text });
    }
  }

  #reason(key: unknown, { text, signature, redactedContent }: JsonObject): void {
    const redacted = this.#takesSignatures ? readRedacted(redactedContent) : undefined;
    if (redacted !== undefined) {
      this.#open(key, { kind: 'reasoning', choice: 0, isRedacted: true }).signature += redacted;
    } else if (typeof text === 'string') this.#push(key, 'reasoning', text);
    // A signature without any text is a block all the same.
    if (typeof signature === 'string') this.#ensure(key, 'reasoning').signature += signature;
  }

  #cite(key: unknown, citation: JsonObject): void {
    const { index } = this.#ensure(key, 'text');
    this.#turn.push({ type: 'block-delta', index, text: '', citations: [readCitation(citation)] });
  }

  #push(key: unknown, kind: 'text' | 'reasoning', text: string): void {
    if (text === '') return;
    const { index } = this.#ensure(key, kind);
    this.#turn.push({ type: 'block-delta', index, text });
  }

  #ensure(key: unknown, kind: 'text' | 'reasoning'): OpenBlock {
    const block = this.#blocks.get(key);
    return block?.kind === kind ? block : this.#open(key, { kind, choice: 0 });
  }

  #open(key: unknown, head: BlockHead): OpenBlock {
    this.#start();
    this.#endBlock(key);
    const block: OpenBlock = { index: this.#turn.open(head), kind: head.kind, signature: '' };
    this.#blocks.set(key, block);
    return block;
  }

  #endBlock(key: unknown): void {
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    this.#blocks.delete(key);
    const { index, signature } = block;
    const signed = signature === '' ? {} : { signature: { maker: 'anthropic', value: signature } as const };
    this.#turn.push({ type: 'block-end', index, ...signed });
  }

  #endIfWhole(): void {
    if (this.#stop === undefined || this.#usage === undefined) return;
    const { stopReason, additionalModelResponseFields } = this.#stop;
    const written = textOf(stopReason);
    const spoilt = spoiltEnds[written];
    if (spoilt !== undefined) {
      this.#fail(new SignalboxError('upstream_error', `${spoilt} Send the request again.`));
      return;
    }
    this.#start();
    this.#endBlocksAndReportUsage();
    const known = endReasons[written] ?? 'stop';
    const reason = known === 'stop' && this.#hadCalls ? 'tool-calls' : known;
    const stopSequence = stopSequenceIn(objectOf(additionalModelResponseFields));
    this.#turn.end([{ choice: 0, reason, ...(stopSequence === undefined ? {} : { stopSequence }) }]);
  }

  #fail(error: SignalboxError): void {
    if (this.#turn.state === 'open') this.#endBlocksAndReportUsage();
    this.#turn.fail(error);
  }

  #endBlocksAndReportUsage(): void {
    for (const key of [...this.#blocks.keys()]) this.#endBlock(key);
    if (this.#usage === undefined || Object.keys(this.#usage).length === 0) return;
    this.#turn.report({ usage: readUsage(this.#usage), raw: JSON.stringify(this.#usage) });
  }
}

function stopSequenceIn(fields: JsonObject): string | undefined {
  const value = fields.stop_sequence ?? objectOf(fields.delta).stop_sequence;
  return typeof value === 'string' ? value : undefined;
}
