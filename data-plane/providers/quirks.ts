// Where hosts that speak OpenAI's API part from it, as far as a request has to heed that. The rows of shared/provider-types.ts say
// who differs in what; here stands, once, what each difference means for a body. What differs in answers needs no row: the
// reader of the dialect takes every habit that any of these hosts has.
import { createHash } from 'node:crypto';
import type { ProviderType } from '#shared/provider-types.ts';
import type { EncodeTarget } from '../dialects/dialect.ts';
import { isObject, type JsonObject, rest } from '../json/values.ts';

export type HostQuirks = Pick<
  ProviderType,
  'developerRole' | 'reasoningField' | 'callSignatures' | 'toolCallIds' | 'renames' | 'lacks'
>;

type Heard = Pick<EncodeTarget, 'unsupported' | 'leftOut'>;

/** A body of chat completions that was translated, as this host reads it. */
export function adaptBody(body: JsonObject, quirks: HostQuirks, heard: Heard): JsonObject {
  const messages = listOf(body.messages).map((message) => adaptMessage(message, quirks));
  return withCallIds({ ...adaptFields(body, quirks, heard), messages }, quirks);
}

const idKey = Buffer.from('"tool_call_id"');

/**
 * A client's own body with ids that this host takes; undefined when all are good, so that its bytes pass as they came. A
 * conversation that another model began brings that model's ids along.
 */
export function mendCallIds(body: Buffer, quirks: HostQuirks): Buffer | undefined {
  if (quirks.toolCallIds === undefined || !body.includes(idKey)) return undefined;
  const parsed: unknown = JSON.parse(body.toString('utf8'));
  if (!isObject(parsed)) return undefined;
  const mended = withCallIds(parsed, quirks);
  return mended === parsed ? undefined : Buffer.from(JSON.stringify(mended));
}

/** What a refusal of OpenAI's fields is called in a canonical request. */
const canonicalNames: Readonly<Record<string, string>> = {
  logprobs: 'logprobs',
  top_logprobs: 'logprobs',
  verbosity: 'verbosity',
  service_tier: 'serviceTier',
  user: 'endUser',
};

/** Nobody is refused for these: the answer is the same without them. */
const hints = ['user', 'service_tier'];

function adaptFields(body: JsonObject, { renames = {}, lacks = [] }: HostQuirks, heard: Heard): JsonObject {
  for (const field of lacks.filter((name) => body[name] !== undefined)) {
    const name = canonicalNames[field] ?? field;
    if (hints.includes(field)) heard.leftOut?.(name);
    else heard.unsupported(name, 'the provider of this model has no such field.');
  }
  const kept = Object.entries(rest(body, lacks) ?? {});
  return Object.fromEntries(kept.map(([field, value]) => [renames[field] ?? field, value]));
}

function adaptMessage(message: unknown, quirks: HostQuirks): unknown {
  if (!isObject(message)) return message;
  const { developerRole, reasoningField, callSignatures } = quirks;
  const { reasoning_content: reasoning, ...others } = message;
  const isSigned = Array.isArray(others.tool_calls) && callSignatures !== true;
  return {
    ...others,
    ...(isSigned ? { tool_calls: listOf(others.tool_calls).map(withoutSignature) } : {}),
    ...(others.role === 'developer' && developerRole !== true ? { role: 'system' } : {}),
    ...(reasoning === undefined || reasoningField === undefined ? {} : { [reasoningField]: reasoning }),
  };
}

function withoutSignature(call: unknown): unknown {
  return isObject(call) ? rest(call, ['extra_content']) : call;
}

/** The same body where every id is good already. */
function withCallIds(body: JsonObject, { toolCallIds }: HostQuirks): JsonObject {
  if (toolCallIds === undefined) return body;
  const messages = listOf(body.messages);
  const exchanged = messages.map((message) => (isObject(message) ? exchangeIds(message) : message));
  const isSame = exchanged.every((message, index) => message === messages[index]);
  return isSame ? body : { ...body, messages: exchanged };
}

function exchangeIds(message: JsonObject): JsonObject {
  const calls = listOf(message.tool_calls);
  const goodCalls = calls.map((call) => (isObject(call) ? withGoodId(call, 'id') : call));
  const isSame = goodCalls.every((call, index) => call === calls[index]);
  return withGoodId(isSame ? message : { ...message, tool_calls: goodCalls }, 'tool_call_id');
}

function withGoodId(holder: JsonObject, field: string): JsonObject {
  const id = holder[field];
  return typeof id !== 'string' || goodId.test(id) ? holder : { ...holder, [field]: nineAlphanumerics(id) };
}

const goodId = /^[a-zA-Z0-9]{9}$/;
const ID_LENGTH = 9;
const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** The same nine for the same id, so that a call and its result stay together from request to request without being kept. */
function nineAlphanumerics(id: string): string {
  const hash = createHash('sha256').update(id).digest();
  return Array.from(hash.subarray(0, ID_LENGTH), (byte) => digits[byte % digits.length]).join('');
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
