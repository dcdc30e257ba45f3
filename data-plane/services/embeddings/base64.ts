// Vectors as OpenAI sends them when asked for base64: 32-bit floats, lowest byte first. A quarter of the size of the same numbers
// in decimal, which is why OpenAI's own libraries ask for it.
import type { Vector } from './embedding.ts';

const BYTES_PER_NUMBER = 4;

export function toBase64(vector: Vector): string {
  const bytes = Buffer.allocUnsafe(vector.length * BYTES_PER_NUMBER);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * BYTES_PER_NUMBER);
  return bytes.toString('base64');
}

/** Undefined for what is no base64 of whole numbers. */
export function fromBase64(text: string): Vector | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.length % BYTES_PER_NUMBER !== 0) return undefined;
  return Array.from({ length: bytes.length / BYTES_PER_NUMBER }, (_, index) =>
    bytes.readFloatLE(index * BYTES_PER_NUMBER),
  );
}
