// Reads a request for a service: a JSON object or a multipart form. Only the model's name, the wish for events, what is meant
// for the gateway and the few fields that the service acts upon are looked at; where they stand is kept, so that the bytes can
// go out with nothing but the model changed.
import { SignalboxError } from '#shared/errors.ts';
import type { Span } from '../dialects/dialect.ts';
import {
  ambiguousKey,
  booleanAt,
  GATEWAY_KEY,
  modelAt,
  span,
  withoutGateway,
} from '../dialects/head-fields.ts';
import { parseJson } from '../json/parse.ts';
import { type Member, type ScannedObject, scanObject, stringAt, wantedKeys } from '../json/scan.ts';
import { splice } from '../json/splice.ts';
import { wrongType } from '../json/values.ts';
import { type FormPart, scanForm } from './multipart.ts';
import type { ServiceRequest } from './service.ts';

/** What is known of a request beyond what admission needs. */
export interface RequestDetails {
  /** Where the model's name stands. */
  readonly model: Span;
  /** The name of a model as it has to be written there. */
  readonly writeModel: (model: string) => string;
  /** Of the fields that the service asked for, those that are text, a number or a truth value. */
  readonly fields: Readonly<Record<string, string | undefined>>;
}

export function detailsOf(request: ServiceRequest): RequestDetails {
  return request.details as RequestDetails;
}

export type ReadRequest = (body: Buffer, contentType: string) => ServiceRequest;

/** Reads forms and, where the service takes both, JSON. */
export function eitherReader(...fieldNames: string[]): ReadRequest {
  const [form, json] = [formReader(...fieldNames), jsonReader(...fieldNames)];
  return (body, contentType) => (isForm(contentType) ? form : json)(body, contentType);
}

export function jsonReader(...fieldNames: string[]): ReadRequest {
  const keys = wantedKeys('model', 'stream', GATEWAY_KEY, ...fieldNames);
  const read = (body: Buffer): ServiceRequest => {
    const { members, ambiguous } = scanObject(body, keys);
    if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
    const { model, stream, [GATEWAY_KEY]: gateway } = members;
    if (gateway !== undefined) return withoutGateway(body, gateway, read);
    const name = modelAt(body, model);
    const details: RequestDetails = {
      model: span(model!),
      writeModel: (other) => JSON.stringify(other),
      fields: fieldsOf(body, members, fieldNames),
    };
    const isStream = booleanAt(body, stream, 'stream');
    return {
      body,
      contentType: 'application/json',
      model: name,
      stream: isStream,
      gateway: undefined,
      details,
    };
  };
  return read;
}

function fieldsOf(
  body: Buffer,
  members: ScannedObject['members'],
  names: readonly string[],
): RequestDetails['fields'] {
  return Object.fromEntries(names.map((name) => [name, scalarAt(body, members[name])]));
}

const QUOTE = 0x22;
const NESTED = /^[{[]/;

function scalarAt(body: Buffer, member: Member | undefined): string | undefined {
  if (member === undefined) return undefined;
  if (body[member.start] === QUOTE) return stringAt(body, member);
  const text = body.toString('latin1', member.start, member.end);
  return NESTED.test(text) || text === 'null' ? undefined : text;
}

export function formReader(...fieldNames: string[]): ReadRequest {
  const names = ['model', 'stream', GATEWAY_KEY, ...fieldNames];
  const read = (body: Buffer, contentType: string): ServiceRequest => {
    const parts = scanForm(body, contentType);
    const found = actedUpon(parts, names);
    const { model, stream, [GATEWAY_KEY]: gateway } = found;
    if (gateway !== undefined) {
      return {
        ...read(withoutPart(body, parts, gateway), contentType),
        gateway: parseJson(textOf(body, gateway)),
      };
    }
    const name = modelIn(body, model);
    const fields = Object.fromEntries(
      fieldNames.map((field) => [field, found[field] && textOf(body, found[field])]),
    );
    const details: RequestDetails = {
      model: { start: model!.bodyStart, end: model!.bodyEnd },
      writeModel: (other) => other,
      fields,
    };
    return { body, contentType, model: name, stream: isTrue(body, stream), gateway: undefined, details };
  };
  return read;
}

function isForm(contentType: string): boolean {
  return /^multipart\/form-data\b/i.test(contentType.trimStart());
}

/** The parts of these names. A second one, or one that is written otherwise, could be read differently upstream. */
function actedUpon(
  parts: readonly FormPart[],
  names: readonly string[],
): Record<string, FormPart | undefined> {
  const found: Record<string, FormPart | undefined> = {};
  for (const part of parts) {
    const key = names.find((name) => name === part.name.toLowerCase());
    if (key === undefined) continue;
    if (part.name !== key || found[key] !== undefined) throw ambiguousKey({ key, written: part.name });
    if (part.isFile) throw wrongType(key, 'a plain field, not a file');
    found[key] = part;
  }
  return found;
}

function withoutPart(body: Buffer, parts: readonly FormPart[], part: FormPart): Buffer {
  const end = parts[parts.indexOf(part) + 1]?.start ?? part.bodyEnd + 2;
  return Buffer.concat(splice(body, [{ start: part.start, end, text: '' }]));
}

function modelIn(body: Buffer, part: FormPart | undefined): string {
  const name = part === undefined ? '' : textOf(body, part);
  if (name === '') {
    throw new SignalboxError(
      'invalid_request',
      'The field "model" is missing. Name the model that should answer.',
      { param: 'model' },
    );
  }
  // Between quotes JSON forbids them; a form has no such rule, and names end up in logs and paths.
  if (/\p{Cc}/u.test(name)) throw wrongType('model', 'the name of a model, without control characters');
  return name;
}

function isTrue(body: Buffer, part: FormPart | undefined): boolean {
  const text = part === undefined ? 'false' : textOf(body, part).toLowerCase();
  if (text !== 'true' && text !== 'false') throw wrongType('stream', 'true or false');
  return text === 'true';
}

function textOf(body: Buffer, { bodyStart, bodyEnd }: FormPart): string {
  return body.toString('utf8', bodyStart, bodyEnd);
}
