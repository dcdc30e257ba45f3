// Two pieces of a stream as one, without copying where one of them is empty, which is nearly always.

export function joined(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}
