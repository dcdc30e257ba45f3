// Events as clients of the Responses API expect them, as stream events or as a whole body. A whole body is the response that the last
// event of a stream carries, so both are made in one place: numbered without gaps from 0, each item between its two events, the
// request repeated in every response.
import type { Clock } from '#shared/clock.ts';
import { prefixedId } from '#shared/ids.ts';
import type { Frame } from '../../framing/frame.ts';
import type { JsonObject } from '../../json/values.ts';
import type { EndReason, TurnEvent } from '../../turn/events.ts';
import type { TurnRequest } from '../../turn/request.ts';
import type { Usage } from '../../turn/usage.ts';
import type { Writer, WriterOptions } from '../dialect.ts';
import { openResponse } from './echo.ts';
import { frame, type Progress, renderStreamError } from './errors.ts';
import { OutputWriter } from './output-writer.ts';
import { writeUsage } from './usage.ts';
import { DIALECT, incompleteReasons } from './wire.ts';

export interface ResponseWriterOptions extends WriterOptions {
  /** Says when the answer was complete; without one, that is said to be when it began. */
  readonly clock?: Clock;
  /** Hears of the finished response before anyone else does. */
  readonly onFinal?: (response: JsonObject) => void;
}

export function writer(options: ResponseWriterOptions): Writer {
  return new ResponseWriter(options);
}

/** Throws the turn's error when it has one: half an answer is no body. */
export function render(events: readonly TurnEvent[], request?: TurnRequest): Record<string, unknown> {
  const made = new ResponseWriter({ wantsUsage: true, ...(request === undefined ? {} : { request }) });
  for (const event of events) {
    if (event.type === 'turn-error') throw event.error;
    made.push(event);
  }
  return { ...made.progress.response };
}

type BlockEnd = Extract<TurnEvent, { type: 'block-end' }>;

export class ResponseWriter implements Writer {
  readonly #options: ResponseWriterOptions;
  readonly #output: OutputWriter;
  #frames: Frame[] = [];
  #sequence = 0;
  #response: JsonObject | undefined;
  #usage: Usage | undefined;
  /** Ends of blocks that nothing has followed yet: in a turn that breaks off they mean that nothing more comes, not "done". */
  #ended: BlockEnd[] = [];

  constructor(options: ResponseWriterOptions) {
    this.#options = options;
    this.#output = new OutputWriter((type, fields) => this.#emit(type, fields));
  }

  get progress(): Progress {
    return { nextSequence: this.#sequence, response: this.#response };
  }

  push(event: TurnEvent): Frame[] {
    switch (event.type) {
      case 'turn-start':
        this.#start(event);
        break;
      case 'usage':
        this.#usage = event.usage;
        break;
      case 'turn-end':
        this.#tellEnds();
        this.#end(event.reasons);
        break;
      case 'turn-error':
        return renderStreamError(event.error, this.progress);
      case 'block-end':
        this.#ended.push(event);
        break;
      default:
        this.#tellEnds();
        this.#output.push(event);
    }
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  #tellEnds(): void {
    for (const event of this.#ended) this.#output.push(event);
    this.#ended = [];
  }

  #start({ id, model, createdAtMs, extras }: Extract<TurnEvent, { type: 'turn-start' }>): void {
    const isOwn = extras?.dialect === DIALECT;
    const opening = {
      // An id of another dialect means nothing here.
      id: isOwn && id !== '' ? id : prefixedId('resp'),
      model,
      createdAt: Math.floor((createdAtMs ?? 0) / 1000),
    };
    const response = { ...openResponse(opening, this.#options.request), ...(isOwn ? extras.fields : {}) };
    this.#response = response;
    this.#emit('response.created', { response });
    this.#emit('response.in_progress', { response });
  }

  #end(reasons: readonly EndReason[]): void {
    const { clock, onFinal } = this.#options;
    const [{ reason } = { reason: 'stop' as const }] = reasons;
    const incomplete = incompleteReasons[reason];
    const status = incomplete === undefined ? 'completed' : 'incomplete';
    const output = this.#output.end(incomplete !== undefined);
    const finishedAt = clock === undefined ? this.#response?.created_at : Math.floor(clock.wallMs() / 1000);
    const response = {
      ...this.#response,
      status,
      completed_at: incomplete === undefined ? finishedAt : null,
      incomplete_details: incomplete === undefined ? null : { reason: incomplete },
      output,
      usage: this.#usage === undefined ? null : writeUsage(this.#usage),
    };
    this.#response = response;
    onFinal?.(response);
    this.#emit(`response.${status}`, { response });
  }

  #emit(type: string, fields: JsonObject): void {
    this.#frames.push(frame(type, this.#sequence, fields));
    this.#sequence += 1;
  }
}
