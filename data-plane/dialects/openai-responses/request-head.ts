// Reads of a request's bytes what admission, routing and the store of answers need, and writes the same bytes for an upstream that
// speaks this dialect: with nothing but the model changed, or with a conversation in place of the reference to it.
import { parseJson } from '../../json/parse.ts';
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { type Replacement, splice as spliceBytes } from '../../json/splice.ts';
import type { RequestHead, SpliceTarget } from '../dialect.ts';
import {
  ambiguousKey,
  booleanAt,
  GATEWAY_KEY,
  modelAt,
  span,
  wholeMember,
  withoutGateway,
} from '../head-fields.ts';
import { shapeEdits } from '../shape-body.ts';

/** Everything that is acted upon: a second occurrence of any of these could be read differently upstream. */
const acted = ['input', 'store', 'previous_response_id', 'conversation', 'background'] as const;
const keys = wantedKeys('model', 'stream', ...acted, GATEWAY_KEY);

export function peek(body: Buffer): RequestHead {
  const { open, members, ambiguous } = scanObject(body, keys);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const gateway = members[GATEWAY_KEY];
  if (gateway !== undefined) return withoutGateway(body, gateway, peek);
  const present = acted.flatMap((name) => {
    const member = members[name];
    return member === undefined ? [] : [[name, span(member)] as const];
  });
  const previous = members.previous_response_id;
  return {
    body,
    model: modelAt(body, members.model),
    stream: booleanAt(body, members.stream, 'stream'),
    gateway: undefined,
    // Usage is part of every stream here.
    wantsUsage: true,
    spans: {
      model: span(members.model!),
      open: { start: open, end: open },
      ...Object.fromEntries(present),
      ...(previous === undefined ? {} : { previousMember: wholeMember(body, previous) }),
    },
  };
}

export function splice(head: RequestHead, target: SpliceTarget): readonly Buffer[] {
  if (target.omitsModel === true || target.adds !== undefined) {
    return spliceBytes(head.body, shapeEdits(head.body, target));
  }
  return spliceBytes(head.body, [{ ...head.spans.model!, text: JSON.stringify(target.model) }]);
}

/** What the client said besides its question that is acted upon here. */
export interface StoreWords {
  /** Parsed; undefined or null where there is none. */
  readonly input: unknown;
  readonly store: unknown;
  readonly previousResponseId: unknown;
  readonly conversation: unknown;
  readonly background: unknown;
}

/** Throws `invalid_json` for input that is none. */
export function readStoreWords({ body, spans }: RequestHead): StoreWords {
  const valueAt = (name: (typeof acted)[number]): unknown => {
    const place = spans[name];
    return place === undefined ? undefined : parseJson(body.subarray(place.start, place.end));
  };
  return {
    input: valueAt('input'),
    store: valueAt('store'),
    previousResponseId: valueAt('previous_response_id'),
    conversation: valueAt('conversation'),
    background: valueAt('background'),
  };
}

export interface InputEdits {
  readonly input?: readonly unknown[];
  readonly store?: boolean;
  /** False to leave out the answer that it goes on from. */
  readonly keepsPrevious?: boolean;
}

/** The same request, whose answer nobody is to keep. */
export function unkept({ body, spans, gateway }: RequestHead): RequestHead {
  const edit =
    spans.store === undefined
      ? { ...spans.open!, text: '"store":false,' }
      : { ...spans.store, text: 'false' };
  return { ...peek(Buffer.concat(spliceBytes(body, [edit]))), gateway };
}

/** The same request with something else in these places; the same bytes where nothing is to be changed. */
export function withEdits(
  head: RequestHead,
  { input, store, keepsPrevious = true }: InputEdits,
): RequestHead {
  const { body, spans, gateway } = head;
  const replacements: Replacement[] = [];
  if (input !== undefined) {
    const text = JSON.stringify(input);
    replacements.push(
      spans.input === undefined ? { ...spans.open!, text: `"input":${text},` } : { ...spans.input, text },
    );
  }
  if (store !== undefined && spans.store !== undefined) {
    replacements.push({ ...spans.store, text: String(store) });
  }
  if (spans.previousMember !== undefined && !keepsPrevious) {
    replacements.push({ ...spans.previousMember, text: '' });
  }
  if (replacements.length === 0) return head;
  return { ...peek(Buffer.concat(spliceBytes(body, replacements))), gateway };
}
