// What data planes are told, as bytes: a resource is addressed by (type, name) and opaque to everything that moves it.
import type { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';

export interface ResourceId {
  readonly type: ResourceType;
  readonly name: string;
}

export interface ResourceValue extends ResourceId {
  readonly payload: Uint8Array;
}

export interface ResourceDifference {
  readonly put: readonly ResourceValue[];
  readonly remove: readonly ResourceId[];
}

/** What to send so that whoever has `before` then has `after`; equal resources are never sent again. */
export function differenceOf(
  before: readonly ResourceValue[],
  after: readonly ResourceValue[],
): ResourceDifference {
  const known = new Map(before.map((resource) => [addressOf(resource), resource]));
  const wanted = new Set(after.map(addressOf));
  return {
    put: after.filter((resource) => {
      const old = known.get(addressOf(resource));
      return old === undefined || Buffer.compare(old.payload, resource.payload) !== 0;
    }),
    remove: before.filter((resource) => !wanted.has(addressOf(resource))),
  };
}

function addressOf({ type, name }: ResourceId): string {
  return `${type}/${name}`;
}
