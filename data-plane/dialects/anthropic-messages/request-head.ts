// Reads of a request's bytes what admission and routing need, and writes the same bytes for an upstream that speaks this
// dialect with nothing but the model changed: cache marks depend on the order and the spelling of everything before them.
// Only a conversation that comes from another maker's model is written anew, without what that model has signed: Claude would
// refuse it.
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { splice as spliceBytes } from '../../json/splice.ts';
import { hasForeignSignature } from '../../turn/signature.ts';
import type { RequestHead, SpliceTarget } from '../dialect.ts';
import { ambiguousKey, booleanAt, GATEWAY_KEY, modelAt, span, withoutGateway } from '../head-fields.ts';
import { shapeEdits } from '../shape-body.ts';
import { unsigned } from './foreign.ts';
import { decode, encode } from './request.ts';

const keys = wantedKeys('model', 'stream', GATEWAY_KEY);

export function peek(body: Buffer): RequestHead {
  const { members, ambiguous } = scanObject(body, keys);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const gateway = members[GATEWAY_KEY];
  if (gateway !== undefined) return withoutGateway(body, gateway, peek);
  return {
    body,
    model: modelAt(body, members.model),
    stream: booleanAt(body, members.stream, 'stream'),
    gateway: undefined,
    // Usage is part of every stream here.
    wantsUsage: true,
    spans: { model: span(members.model!) },
  };
}

export function splice(original: RequestHead, target: SpliceTarget): readonly Buffer[] {
  const head = hasForeignSignature(original.body) ? withoutForeign(original) : original;
  if (target.omitsModel === true || target.adds !== undefined) {
    return spliceBytes(head.body, shapeEdits(head.body, target));
  }
  return spliceBytes(head.body, [{ ...head.spans.model!, text: JSON.stringify(target.model) }]);
}

function withoutForeign(head: RequestHead): RequestHead {
  const request = decode(head);
  const messages = request.messages.map(unsigned).filter(({ parts }) => parts.length > 0);
  return { ...peek(Buffer.from(JSON.stringify(encode({ ...request, messages })))), gateway: head.gateway };
}
