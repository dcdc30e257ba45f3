// A stream in the form that the API has where nobody asks for events: one JSON list that grows. Upstreams are asked for events all the
// same, so that there is one way to read them; here each event becomes an item of the list. The list is closed with the last item, so a
// stream that breaks off stays an open list and cannot be taken for a whole one.
import type { SignalboxError } from '#shared/errors.ts';
import type { ClientFraming, Frame } from '../../framing/frame.ts';
import { sse } from '../../framing/sse.ts';
import type { TurnEvent } from '../../turn/events.ts';
import type {
  ClientDialect,
  RequestHead,
  StreamReport,
  StreamTap,
  Writer,
  WriterOptions,
} from '../dialect.ts';

type ListParts = Pick<ClientDialect, 'framing' | 'writer' | 'tap' | 'renderStreamError'>;

/** Frames stand one behind the other; what separates them is part of each. */
const list: ClientFraming = {
  name: sse.name,
  mediaType: sse.mediaType,
  contentType: 'application/json; charset=UTF-8',
  reader: () => sse.reader(),
  write: (frames) => Buffer.from(frames.map(({ data }) => data).join('')),
};

const OPENING = '[';
const COMMA = ',\r\n';
const CLOSING = ']\r\n';

export function inList(events: ClientDialect): ListParts {
  return {
    framing: list,
    writer: (options) => new ListWriter(events, options),
    tap: (head) => new ListTap(events, head),
    // Something has been sent by then, or the error would have been the whole answer.
    renderStreamError: (error: SignalboxError) =>
      events.renderStreamError(error).map(({ data }) => ({ data: `${COMMA}${data}${CLOSING}` })),
  };
}

class ListWriter implements Writer {
  readonly #writer: Writer;
  #separator = OPENING;

  constructor(events: ClientDialect, options: WriterOptions) {
    this.#writer = events.writer(options);
  }

  push(event: TurnEvent): Frame[] {
    const items = this.#writer.push(event).map(({ data }) => ({ data: this.#separate(data) }));
    return event.type === 'turn-end' || event.type === 'turn-error' ? [...items, { data: CLOSING }] : items;
  }

  #separate(data: string): string {
    const separated = this.#separator + data;
    this.#separator = COMMA;
    return separated;
  }
}

class ListTap implements StreamTap {
  readonly #tap: StreamTap;
  readonly #frames = sse.reader();
  #separator = OPENING;

  constructor(events: ClientDialect, head: RequestHead) {
    this.#tap = events.tap(head);
  }

  get isBroken(): boolean {
    return this.#tap.isBroken;
  }

  push(bytes: Buffer): Buffer {
    const items = this.#items(this.#frames.push(this.#tap.push(bytes)));
    const isSaid = items.length > 0 && !this.#tap.isBroken && this.#tap.report().error !== undefined;
    // The upstream's own error is the last item.
    return isSaid ? Buffer.concat([items, Buffer.from(CLOSING)]) : items;
  }

  end(): { bytes: Buffer; report: StreamReport } {
    const { bytes, report } = this.#tap.end();
    const items = this.#items([...this.#frames.push(bytes), ...this.#frames.end()]);
    if (this.#separator === OPENING || !report.complete) return { bytes: items, report };
    return { bytes: Buffer.concat([items, Buffer.from(CLOSING)]), report };
  }

  report(): StreamReport {
    return this.#tap.report();
  }

  #items(frames: readonly Frame[]): Buffer {
    const items = frames.map(({ data }) => {
      const item = this.#separator + data;
      this.#separator = COMMA;
      return item;
    });
    return Buffer.from(items.join(''));
  }
}
