// Who may use the admin API: for now the holder of the admin key. Checked before anything else happens to a request, and
// needed by every route that does not say it is public, so that forgetting it closes a door instead of opening one.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { SignalboxError } from '#shared/errors.ts';
import type { Secret } from '#shared/secret.ts';

const BEARER = /^Bearer +(\S+)$/i;

export function adminKeyCheck(adminKey: Secret) {
  const expected = digest(adminKey.reveal());

  return async function authenticate(request: FastifyRequest): Promise<void> {
    if (request.routeOptions.config.public) return;
    const { authorization } = request.headers;
    if (authorization === undefined) {
      throw new SignalboxError('missing_api_key', 'Send the admin key as "Authorization: Bearer <key>".');
    }
    const presented = BEARER.exec(authorization)?.[1];
    // Digests have one length whatever was sent, so the comparison takes the same time for every wrong key.
    if (presented === undefined || !timingSafeEqual(digest(presented), expected)) {
      throw new SignalboxError('invalid_api_key', 'This is not the admin key of this control plane.');
    }
    request.actor = { name: 'admin', requestId: request.id, address: request.ip };
  };
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
