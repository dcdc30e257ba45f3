// What lets a machine become a node: `sbj-<random>.<fingerprint>`. The random part proves to the control plane that
// someone allowed it; the fingerprint, the SHA-256 of the authority's public key, proves the control plane to the node
// before the token is shown to anyone.
import { SignalboxError } from '#shared/errors.ts';
import type { Secret } from '#shared/secret.ts';

const shape = /^sbj-[A-Za-z0-9_-]+\.([0-9a-f]{64})$/;

export function authorityFingerprint(token: Secret): string {
  const fingerprint = shape.exec(token.reveal())?.[1];
  if (fingerprint === undefined) {
    throw new SignalboxError(
      'invalid_configuration',
      'The join token is not valid: it should look like "sbj-….<64 hexadecimal digits>". Copy it again, whole.',
    );
  }
  return fingerprint;
}
