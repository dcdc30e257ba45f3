// Hands a symmetric key to one node: an ephemeral X25519 agreement with the node's sealing key, HKDF, one box. Only the
// holder of the private half can open it, whoever else reads the stream or the disk.
import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { deriveKey, openBox, sealBox } from './box.ts';

export interface SealedKeyParts {
  readonly keyId: string;
  readonly ephemeralPublicKey: Uint8Array;
  readonly box: Uint8Array;
}

const RAW_BYTES = 32;
// The fixed DER prefix of an X25519 SubjectPublicKeyInfo; the raw key follows.
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

export function newSealingKeyPair(): { publicKey: Buffer; privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { publicKey: rawPublicKey(publicKey), privateKey };
}

export function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(-RAW_BYTES);
}

export function sealKeyTo(recipient: Uint8Array, key: Uint8Array, keyId: string): SealedKeyParts {
  const ephemeral = generateKeyPairSync('x25519');
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: publicKeyFromRaw(recipient) });
  const ephemeralPublicKey = rawPublicKey(ephemeral.publicKey);
  return {
    keyId,
    ephemeralPublicKey,
    box: sealBox(deriveKey(shared, 'sealed-key'), key, about(keyId, recipient)),
  };
}

export function openSealedKey(privateKey: KeyObject, sealed: SealedKeyParts): Buffer {
  const shared = diffieHellman({ privateKey, publicKey: publicKeyFromRaw(sealed.ephemeralPublicKey) });
  const recipient = rawPublicKey(createPublicKey(privateKey));
  return openBox(deriveKey(shared, 'sealed-key'), sealed.box, about(sealed.keyId, recipient));
}

function publicKeyFromRaw(raw: Uint8Array): KeyObject {
  if (raw.length !== RAW_BYTES) throw new Error(`an X25519 key has ${RAW_BYTES} bytes, not ${raw.length}`);
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
}

function about(keyId: string, recipient: Uint8Array): string {
  return `${keyId}|${Buffer.from(recipient).toString('hex')}`;
}
