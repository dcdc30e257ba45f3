// The one way bytes are encrypted here: AES-256-GCM with a random 96-bit nonce, laid out nonce | ciphertext | tag, and
// with additional data that names what is inside, so that a box moved to another place does not open.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;

export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

export function sealBox(key: Uint8Array, plaintext: Uint8Array, about: string): Buffer {
  return sealWith(randomBytes(NONCE_BYTES), key, plaintext, about);
}

/**
 * The same box for the same content, for what has to be recognised: the nonce is a function of what is inside, so it repeats only
 * where everything does, and then the box tells no more than that. The key must be used for nothing else.
 */
export function sealAlike(key: Uint8Array, plaintext: Uint8Array, about: string): Buffer {
  const digest = createHmac('sha256', deriveKey(key, 'nonce'))
    .update(`${about.length}|${about}|`)
    .update(plaintext);
  return sealWith(digest.digest().subarray(0, NONCE_BYTES), key, plaintext, about);
}

function sealWith(nonce: Buffer, key: Uint8Array, plaintext: Uint8Array, about: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Throws when the key, the additional data or a single bit is wrong. */
export function openBox(key: Uint8Array, box: Uint8Array, about: string): Buffer {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw new Error('sealed box is too short');
  const nonce = box.subarray(0, NONCE_BYTES);
  const tag = box.subarray(box.length - TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about)).setAuthTag(tag);
  return Buffer.concat([
    decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES)),
    decipher.final(),
  ]);
}

/** An independent key for each purpose from one root, so that one secret has to be kept and none is used twice. */
export function deriveKey(root: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', root, Buffer.alloc(0), `signalbox|${purpose}`, KEY_BYTES));
}
