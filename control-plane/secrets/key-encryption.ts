// The key that encrypts keys, behind two methods so that a key management service can take its place: everything else in
// this folder only ever sees keys that have been unwrapped.
import { openBox, sealBox } from '#shared/crypto/box.ts';

export interface KeyEncryption {
  /** `about` names what is wrapped; unwrapping with another name fails. */
  wrap(key: Uint8Array, about: string): Promise<Buffer>;
  /** Rejects when the box was wrapped by another key, under another name, or has been touched. */
  unwrap(box: Uint8Array, about: string): Promise<Buffer>;
}

export function localKeyEncryption(key: Uint8Array): KeyEncryption {
  return {
    wrap: async (plaintext, about) => sealBox(key, plaintext, about),
    unwrap: async (box, about) => openBox(key, box, about),
  };
}
