// Identifiers. Time-ordered (UUIDv7) where rows are stored in order of arrival, so that indexes grow at one end and a
// row's day can be told from its id; prefixed where people meet them.
import { hash, randomBytes } from 'node:crypto';

const POOL_BYTES = 8192;
let pool = randomBytes(POOL_BYTES);
let used = 0;

// Asking the system for ten bytes at a time costs more than everything else here, so randomness is bought in bulk.
function takeRandom(count: number): Buffer {
  if (used + count > POOL_BYTES) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  const taken = pool.subarray(used, used + count);
  used += count;
  return taken;
}

/** A UUIDv7 (RFC 9562) for the given time. */
export function uuidV7(wallMs: number): string {
  return uuidOf(wallMs, takeRandom(10));
}

/** Always the same for the same time and words, for what several may write down and only one entry may remain of. */
export function uuidV7For(wallMs: number, words: string): string {
  return uuidOf(wallMs, hash('sha256', words, 'buffer').subarray(0, 10));
}

function uuidOf(wallMs: number, rest: Buffer): string {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(wallMs, 0, 6);
  rest.copy(bytes, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A name people can tell apart: `req_`, `key_`, `node_` … followed by 96 random bits. */
export function prefixedId(prefix: string): string {
  return `${prefix}_${takeRandom(12).toString('hex')}`;
}
