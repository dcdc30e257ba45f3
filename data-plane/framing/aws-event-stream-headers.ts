// The headers of a message in an AWS event stream: a name, a type, and a value whose length the type says or the value itself.
// Only texts mean anything to us, but a header of any type has to be understood to find the one after it.

export type HeaderValue = string | number | bigint | boolean | Buffer;

interface HeaderType {
  /** Undefined for a value that begins with its own length. */
  readonly bytes?: number;
  readonly read: (value: Buffer) => HeaderValue;
}

/** By the number that stands for the type. */
const types: readonly HeaderType[] = [
  { bytes: 0, read: () => true },
  { bytes: 0, read: () => false },
  { bytes: 1, read: (value) => value.readInt8() },
  { bytes: 2, read: (value) => value.readInt16BE() },
  { bytes: 4, read: (value) => value.readInt32BE() },
  { bytes: 8, read: (value) => value.readBigInt64BE() },
  { read: (value) => value },
  { read: (value) => value.toString('utf8') },
  // A time, in milliseconds since the epoch.
  { bytes: 8, read: (value) => Number(value.readBigInt64BE()) },
  // A UUID.
  { bytes: 16, read: (value) => value.toString('hex') },
];

const LENGTH_BYTES = 2;

/** By name; undefined when the bytes are not headers from the first to the last. */
export function readHeaders(bytes: Buffer): ReadonlyMap<string, HeaderValue> | undefined {
  const headers = new Map<string, HeaderValue>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + bytes[at]!;
    const type = nameEnd < bytes.length ? types[bytes[nameEnd]!] : undefined;
    if (type === undefined) return undefined;
    let from = nameEnd + 1;
    let length = type.bytes;
    if (length === undefined) {
      if (from + LENGTH_BYTES > bytes.length) return undefined;
      length = bytes.readUInt16BE(from);
      from += LENGTH_BYTES;
    }
    if (from + length > bytes.length) return undefined;
    headers.set(bytes.toString('utf8', at + 1, nameEnd), type.read(bytes.subarray(from, from + length)));
    at = from + length;
  }
  return headers;
}
