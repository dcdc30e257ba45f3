// Lost updates are refused: an object's ETag is the revision that last changed it, and whoever replaces or patches an
// existing object must say in If-Match which one they saw (`*` for "whatever it is now"). Deleting may say it.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SignalboxError } from '#shared/errors.ts';
import type { Precondition } from '../domain/precondition.ts';

export const ifMatchHeader = z.object({
  'if-match': z
    .string()
    .optional()
    .describe(
      'The ETag of the object as you last saw it, or * for any. Needed to change an existing object.',
    ),
});

export const optionalIfMatchHeader = z.object({
  'if-match': z.string().optional().describe('The ETag of the object as you last saw it, or * for any.'),
});

const TAG = /^(?:W\/)?"([0-9]{1,19})"$/;

export function sendWithETag<T extends { revision: number }>(reply: FastifyReply, body: T): T {
  reply.header('etag', `"${body.revision}"`);
  return body;
}

/** What the request demands of the object's present state; `required` when an update without If-Match is refused. */
export function preconditionOf(request: FastifyRequest, when: 'required' | 'optional'): Precondition {
  const header = request.headers['if-match']?.trim();
  if (header === undefined || header === '') return when === 'required' ? 'must-be-new' : 'none';
  if (header === '*') return 'must-exist';
  const revisions = header.split(',').map((tag) => TAG.exec(tag.trim())?.[1]);
  if (revisions.includes(undefined)) {
    throw new SignalboxError('invalid_request', `If-Match must be an ETag like "42" or *, not ${header}.`, {
      param: 'if-match',
    });
  }
  return { revisions: revisions.map((revision) => BigInt(revision!)) };
}
