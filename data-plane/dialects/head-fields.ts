// The fields that every dialect's body has at its top and that are acted upon before the rest is read.
import { SignalboxError } from '#shared/errors.ts';
import { parseJson } from '../json/parse.ts';
import { type Member, stringAt } from '../json/scan.ts';
import { splice } from '../json/splice.ts';
import { wrongType } from '../json/values.ts';
import type { Span } from './dialect.ts';

/** The member in which a client speaks to the gateway itself. */
export const GATEWAY_KEY = 'x-gateway';

/** Reads again without the member that is meant for the gateway: few requests have it, so it may cost a second look. */
export function withoutGateway<Head extends { readonly gateway: unknown }>(
  body: Buffer,
  member: Member,
  peek: (body: Buffer) => Head,
): Head {
  const rest = Buffer.concat(splice(body, [{ ...wholeMember(body, member), text: '' }]));
  const gateway = parseJson(body.subarray(member.start, member.end));
  return { ...peek(rest), gateway };
}

/** The member with the comma that belongs to it, so that what remains is still an object. */
export function wholeMember(body: Buffer, member: Member): Span {
  if (member.next !== -1) return { start: member.keyStart, end: member.next };
  const comma = body.lastIndexOf(0x2c, member.keyStart);
  return { start: comma === -1 ? member.keyStart : comma, end: member.end };
}

export function ambiguousKey({ key, written }: { key: string; written: string }): SignalboxError {
  const twice = written === key ? `"${key}" stands twice` : `"${written}" stands where "${key}" is meant`;
  return new SignalboxError(
    'invalid_request',
    `The body is ambiguous: ${twice} in it. Send "${key}" once, written like this.`,
    {
      param: key,
    },
  );
}

export function modelAt(body: Buffer, model: Member | undefined): string {
  if (model === undefined) {
    throw new SignalboxError(
      'invalid_request',
      'The field "model" is missing. Name the model that should answer.',
      {
        param: 'model',
      },
    );
  }
  if (body[model.start] !== 0x22) throw wrongType('model', 'a string');
  const name = stringAt(body, model);
  if (name === '') throw wrongType('model', 'the name of a model, not empty');
  return name;
}

export function booleanAt(body: Buffer, member: Member | undefined, param: string): boolean {
  if (member === undefined || isNull(body, member)) return false;
  const text = body.toString('latin1', member.start, Math.min(member.end, member.start + 6));
  if (text !== 'true' && text !== 'false') throw wrongType(param, 'true or false');
  return text === 'true';
}

export function isNull(body: Buffer, { start }: Member): boolean {
  // No other JSON value begins with this letter.
  return body[start] === 0x6e;
}

export function span({ start, end }: Member): Span {
  return { start, end };
}
