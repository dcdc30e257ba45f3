// Embeddings of the demo provider, so that search can be tried without an account. A text becomes the sum of its words' directions,
// each drawn from a hash of the word, and is brought to length 1: texts that share words lie close together, the same text always
// at the same place. Meaning is not in it.
import { createHash } from 'node:crypto';
import type { SignalboxError } from '#shared/errors.ts';
import { parseJson } from '../json/parse.ts';
import { objectOf, textOf, wrongType } from '../json/values.ts';
import { toBase64 } from '../services/embeddings/base64.ts';
import { tokensOf } from './demo-reply.ts';

/** Few enough to look at, enough to keep words apart. */
const DIMENSIONS = 256;
const DIMENSIONS_MAX = 2048;
const TEXTS_MAX = 128;
/** Hashing as much text takes a tenth of a second, in which nobody else is answered. */
const TEXT_BYTES_MAX = 64 * 1024;
const WORD = /[\p{L}\p{N}]+/gu;

/** An answer to a request in OpenAI's words. `failureOf`: what goes wrong with a model, if anything. */
export function demoEmbeddings(
  body: Buffer,
  failureOf: (model: string) => SignalboxError | undefined,
): Buffer {
  const request = objectOf(parseJson(body));
  const failure = failureOf(textOf(request.model));
  if (failure) throw failure;
  const dimensions = dimensionsOf(request.dimensions);
  const texts = textsOf(request.input);
  const encode = encoderOf(request.encoding_format);
  const tokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  const answer = {
    object: 'list',
    data: texts.map((text, index) => ({
      object: 'embedding',
      index,
      embedding: encode(embed(text, dimensions)),
    })),
    model: textOf(request.model),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
  return Buffer.from(JSON.stringify(answer));
}

function embed(text: string, dimensions: number): Float32Array {
  const sum = new Float32Array(dimensions);
  for (const word of text.toLowerCase().match(WORD) ?? ['']) {
    const bytes = createHash('shake256', { outputLength: dimensions }).update(word).digest();
    for (const [index, byte] of bytes.entries()) sum[index]! += byte - 127.5;
  }
  const length = Math.hypot(...sum);
  return sum.map((value) => value / length);
}

function textsOf(input: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (list.length === 0 || !list.every((item) => typeof item === 'string')) {
    throw wrongType('input', 'a text or a list of texts');
  }
  const bytes = list.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (list.length > TEXTS_MAX || bytes > TEXT_BYTES_MAX) {
    throw wrongType('input', `up to ${TEXTS_MAX} texts of ${TEXT_BYTES_MAX} bytes together, for the demo`);
  }
  return list;
}

function dimensionsOf(value: unknown): number {
  if (value === undefined || value === null) return DIMENSIONS;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= DIMENSIONS_MAX)
    return value;
  throw wrongType('dimensions', `a whole number from 1 to ${DIMENSIONS_MAX}`);
}

function encoderOf(format: unknown): (vector: Float32Array) => unknown {
  if (format === undefined || format === null || format === 'float') return (vector) => [...vector];
  if (format === 'base64') return (vector) => toBase64([...vector]);
  throw wrongType('encoding_format', '"float" or "base64"');
}
