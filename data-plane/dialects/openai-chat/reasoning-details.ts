// How signed reasoning travels through clients of chat completions, which have no field of OpenAI's for it: as
// `reasoning_details`, the list that OpenRouter made customary, in answers and, sent back by the client, in the history. Tool
// calls that are signed themselves carry the signature where Google's own OpenAI endpoint puts it.
import { defined, isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import type { Part } from '../../turn/request.ts';
import type { Signature, SignatureMaker } from '../../turn/signature.ts';

const formats: Readonly<Record<SignatureMaker, string>> = {
  anthropic: 'anthropic-claude-v1',
  google: 'google-gemini-v1',
  openai: 'openai-responses-v1',
};

/** Undefined for reasoning that nobody signed: its text alone says everything. */
export function reasoningDetail(
  text: string,
  signature: Signature | undefined,
  isRedacted: boolean,
  index: number,
): JsonObject | undefined {
  if (signature === undefined) return undefined;
  const { maker, value, id } = signature;
  const common = defined({ id, format: formats[maker], index });
  if (isRedacted || text === '') return { type: 'reasoning.encrypted', data: value, ...common };
  return { type: 'reasoning.text', text, signature: value, ...common };
}

/** The parts that a client's list says, in order; those without a signature that anyone could check are left out. */
export function reasoningParts(details: unknown): readonly Part[] {
  return objectsIn(details).flatMap((detail): Part[] => {
    const signature = signatureIn(detail);
    if (signature === undefined) return [];
    const isRedacted = detail.type === 'reasoning.encrypted';
    return [
      {
        kind: 'reasoning',
        text: textOf(detail.text),
        signature,
        ...(isRedacted ? { isRedacted } : {}),
      },
    ];
  });
}

function signatureIn(detail: JsonObject): Signature | undefined {
  const maker = (Object.keys(formats) as SignatureMaker[]).find((name) => formats[name] === detail.format);
  const value = textOf(detail.signature) || textOf(detail.data);
  if (maker === undefined || value === '') return undefined;
  const id = textOf(detail.id);
  return { maker, value, ...(id === '' ? {} : { id }) };
}

/** The signature that a provider's list holds, for the block of reasoning it came with. */
export function detailsSignature(details: unknown): Signature | undefined {
  return objectsIn(details)
    .map(signatureIn)
    .findLast((signature) => signature !== undefined);
}

export function callSignatureField(signature: Signature | undefined): JsonObject {
  if (signature?.maker !== 'google') return {};
  return { extra_content: { google: { thought_signature: signature.value } } };
}

export function callSignature(call: JsonObject): Signature | undefined {
  const extra = objectOf(call.extra_content);
  const value = isObject(extra.google) ? textOf(extra.google.thought_signature) : '';
  return value === '' ? undefined : { maker: 'google', value };
}
