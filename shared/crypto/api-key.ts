// Keys that applications present: `sb-` + 43 characters of 256 random bits + 6 characters of checksum. The checksum lets
// a typo or a truncated paste be told from an unknown key without a look-up, and lets scanners find leaked keys. Stored
// and distributed is only the HMAC under the fleet's pepper; at 256 bits of entropy a slow hash would add nothing.
import { createHmac, createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto';

const PREFIX = 'sb-';
const RANDOM_BYTES = 32;
const CHECKSUM_CHARS = 6;
const KEY_CHARS = PREFIX.length + 43 + CHECKSUM_CHARS;
/** Enough to recognise a key in a list, far too little to guess it. */
const VISIBLE_CHARS = PREFIX.length + 6;

export function newApiKey(): string {
  const body = PREFIX + randomBytes(RANDOM_BYTES).toString('base64url');
  return body + checksum(body);
}

export function isWellFormedApiKey(key: string): boolean {
  if (key.length !== KEY_CHARS || !key.startsWith(PREFIX)) return false;
  return checksum(key.slice(0, -CHECKSUM_CHARS)) === key.slice(-CHECKSUM_CHARS);
}

export function visiblePart(key: string): string {
  return key.slice(0, VISIBLE_CHARS);
}

/** The pepper made ready once: an HMAC from raw bytes takes 9 µs, from this under 2. */
export function preparePepper(pepper: Uint8Array): KeyObject {
  return createSecretKey(pepper);
}

export function apiKeyHmac(pepper: KeyObject, key: string): Buffer {
  return createHmac('sha256', pepper).update(key).digest();
}

function checksum(body: string): string {
  return hash('sha256', body, 'base64url').slice(0, CHECKSUM_CHARS);
}
