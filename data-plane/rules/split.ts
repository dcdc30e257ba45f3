// Shares of the requests that stay with whoever they belong to: the same key, user or session always falls into the same share, on every
// instance and after every restart, because its place is worked out from its name and remembered nowhere. Each rule places them
// anew, so that those who are first to try one thing are not first to try everything. Making a share larger moves only as many as
// have to move.
import { createHash } from 'node:crypto';
import type { Sticky } from '#proto/signalbox/config/v1/config_pb.ts';
import type { Report } from './conditions.ts';
import { metadataOf, type RequestFacts } from './facts.ts';

const TWO_TO_48 = 2 ** 48;

/** Who the request belongs to; empty when that cannot be said. */
export type OwnerOf = (facts: RequestFacts) => string;

const owners: Readonly<Record<string, (field: string) => OwnerOf>> = {
  request:
    () =>
    ({ requestId }) =>
      requestId,
  key:
    () =>
    ({ keyId }) =>
      keyId,
  user:
    () =>
    ({ user }) =>
      user,
  metadata: (field) => (facts) => metadataOf(facts, field) ?? '',
};

/** Those that lack it go by key, where they at least stay together. */
export function compileOwner(by: Sticky | undefined, field: string, report: Report): OwnerOf | undefined {
  const kind = by?.kind ?? '';
  const owner = Object.hasOwn(owners, kind) ? owners[kind] : undefined;
  if (owner === undefined) {
    return report(field, 'unknown_owner', `This build cannot share requests by "${kind}".`);
  }
  const ownerOf = owner(by!.field);
  return (facts) => ownerOf(facts) || facts.keyId;
}

/** From 0 (inclusive) to 1 (exclusive), evenly spread, always the same for the same two texts. */
export function placeOf(purpose: string, owner: string): number {
  const digest = createHash('sha256').update(purpose).update('\0').update(owner).digest();
  return digest.readUIntBE(0, 6) / TWO_TO_48;
}

/** Which of the shares a place falls into; shares need not add up to anything. */
export function shareAt(sizes: readonly number[], place: number): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let left = place * total;
  for (const [index, size] of sizes.entries()) {
    if (left < size) return index;
    left -= size;
  }
  // A rounding error beyond the last; shares of nothing get nothing.
  return sizes.findLastIndex((size) => size > 0);
}
