// How reasoning that was signed travels through clients of this API. OpenAI's own stands in `encrypted_content` as OpenAI wrote
// it. That of other makers stands in the same field as marked text, so that a client that hands its history back continues a
// conversation with any model. Some makers sign a tool call or a text instead: such a signature gets a reasoning item of its
// own without words, before the call or behind the text that it belongs to.
import { type JsonObject, textOf } from '../../json/values.ts';
import { parseSignature, type Signature, signatureText } from '../../turn/signature.ts';
import { reasoningText } from './wire.ts';

/** What a signature belongs to, other than the reasoning that it stands beside. */
export type Belonging = 'call' | 'text' | 'redacted';

const belongings: readonly string[] = ['call', 'text', 'redacted'] satisfies readonly Belonging[];

/** For `encrypted_content`. */
export function writeSignature(signature: Signature, belonging?: Belonging): string {
  if (belonging !== undefined) return signatureText({ ...signature, id: belonging }, 'openai');
  // OpenAI's own id stands in the item.
  return signature.maker === 'openai' ? signature.value : signatureText(signature, 'openai');
}

export interface FoundSignature {
  readonly signature: Signature;
  readonly belonging: Belonging | undefined;
}

/** The signature of a reasoning item; undefined where it has none. */
export function readSignature(item: JsonObject): FoundSignature | undefined {
  const text = textOf(item.encrypted_content);
  if (text === '') return undefined;
  const { maker, value, id } = parseSignature(text, 'openai');
  if (maker === 'openai' && id === undefined) {
    const name = textOf(item.id);
    return { signature: { maker, value, ...(name === '' ? {} : { id: name }) }, belonging: undefined };
  }
  const belonging = belongings.includes(id ?? '') ? (id as Belonging) : undefined;
  const own = belonging === undefined && id !== undefined ? { id } : {};
  return { signature: { maker, value, ...own }, belonging };
}

/** Whether the item only carries what belongs to its neighbour. */
export function carrierOf(item: JsonObject): FoundSignature | undefined {
  const found = item.type === 'reasoning' && reasoningText(item) === '' ? readSignature(item) : undefined;
  return found?.belonging === 'call' || found?.belonging === 'text' ? found : undefined;
}

/** Whether OpenAI could not read it: reasoning of other makers, or what carries their signatures. */
export function isForeignReasoning(item: JsonObject): boolean {
  if (item.type !== 'reasoning') return false;
  const maker = readSignature(item)?.signature.maker;
  return maker !== undefined && maker !== 'openai';
}
