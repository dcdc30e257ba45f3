// What a model gives out so that its own reasoning can be handed back to it later: opaque to us and to everyone but its
// maker. It is kept with its maker's name, because one vendor's signature is an invalid request at every other. Where a
// client's dialect has only one field for signatures, those of other makers travel in it as text with a mark in front.

/** Whose models can read it; the same maker's models may be served by several providers. */
export type SignatureMaker = 'anthropic' | 'google' | 'openai';

export interface Signature {
  readonly maker: SignatureMaker;
  readonly value: string;
  /** What the maker calls the block that it belongs to, where it wants to hear that name again. */
  readonly id?: string;
}

const MARK = 'sb1';
const SEPARATOR = '.';
const makers: readonly string[] = ['anthropic', 'google', 'openai'] satisfies readonly SignatureMaker[];

/** As text for a field in which clients expect signatures of `native`: that maker's own stay as they are. */
export function signatureText(signature: Signature, native: SignatureMaker): string {
  if (signature.maker === native && signature.id === undefined) return signature.value;
  const id = Buffer.from(signature.id ?? '').toString('base64url');
  return [MARK, signature.maker, id, signature.value].join(SEPARATOR);
}

/** The reverse: text without our mark is a signature of `native`. */
export function parseSignature(text: string, native: SignatureMaker): Signature {
  const [mark, maker, id, ...value] = text.split(SEPARATOR);
  if (mark !== MARK || maker === undefined || id === undefined || !makers.includes(maker)) {
    return { maker: native, value: text };
  }
  const name = Buffer.from(id, 'base64url').toString();
  return {
    maker: maker as SignatureMaker,
    value: value.join(SEPARATOR),
    ...(name === '' ? {} : { id: name }),
  };
}

/** Whether a body may hold a signature that is marked as another maker's. */
export function hasForeignSignature(body: Buffer): boolean {
  return body.includes(`"${MARK}${SEPARATOR}`);
}
