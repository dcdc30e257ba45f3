// Reads of a request's bytes what admission and routing need, which is little: the model and whether the answer is streamed stand in
// the path. An upstream of the same dialect gets the bytes as they are. They are written anew only where they hold what another maker
// signed: a conversation that moves here from another model would be refused for it.
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { splice as spliceBytes } from '../../json/splice.ts';
import { hasForeignSignature } from '../../turn/signature.ts';
import type { Address, RequestHead, SpliceTarget } from '../dialect.ts';
import { ambiguousKey, GATEWAY_KEY, wholeMember, withoutGateway } from '../head-fields.ts';
import { decode, encode } from './request.ts';

const keys = wantedKeys('model', GATEWAY_KEY);

export function peek(body: Buffer, address: Address = { model: '', stream: false }): RequestHead {
  const { members, ambiguous } = scanObject(body, keys);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const { model, [GATEWAY_KEY]: gateway } = members;
  const again = (less: Buffer): RequestHead => peek(less, address);
  if (gateway !== undefined) return withoutGateway(body, gateway, again);
  // A second name in the body would name a model that nobody has checked.
  if (model !== undefined)
    return again(Buffer.concat(spliceBytes(body, [{ ...wholeMember(body, model), text: '' }])));
  return {
    body,
    model: address.model,
    stream: address.stream,
    gateway: undefined,
    // Usage is part of every stream here.
    wantsUsage: true,
    spans: {},
  };
}

export function splice(head: RequestHead, target: SpliceTarget): readonly Buffer[] {
  if (!hasForeignSignature(head.body)) return [head.body];
  const request = { ...decode(head), model: target.model };
  return [Buffer.from(JSON.stringify(encode(request, { ...target, unsupported: accepted })))];
}

/** The client spoke this dialect, so there is nothing that it cannot say. */
const accepted = (): void => undefined;
