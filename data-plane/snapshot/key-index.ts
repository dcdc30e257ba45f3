// Who may call: a map from the HMAC of a key to whom it stands for. A request costs one checksum, one HMAC and one
// look-up, however many keys there are; the keys themselves are nowhere. The next index shares everything with this one
// but the keys that changed.
import { fromBinary } from '@bufbuild/protobuf';
import { ApiKeySchema, ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { apiKeyHmac, isWellFormedApiKey, preparePepper } from '#shared/crypto/api-key.ts';
import { limits } from '#shared/limits.ts';
import type { Slices } from '#shared/slices.ts';
import { everything, matchesAny } from '../rules/name-patterns.ts';
import type { RefusalReason } from './receiver.ts';
import type { ResourceEntry, ResourceSet } from './resource-set.ts';
import { ShardedMap } from './sharded-map.ts';
import type { KeyIndex, Principal } from './snapshot.ts';

const HMAC_BYTES = 32;
const noMetadata = Object.freeze({});

export type PrincipalsByHmac = ShardedMap<Principal>;

export interface PrincipalsInput {
  readonly resources: ResourceSet;
  /** Where to start from and what has changed since; everything is compiled when absent. */
  readonly since?: {
    readonly resources: ResourceSet;
    readonly principals: PrincipalsByHmac;
    readonly touched: Iterable<string>;
  };
  readonly slices: Slices;
  readonly report: (reason: RefusalReason) => void;
}

export async function compilePrincipals(input: PrincipalsInput): Promise<PrincipalsByHmac> {
  const { resources, since, slices, report } = input;
  const edit = (since?.principals ?? ShardedMap.empty<Principal>()).edit();
  const names = since === undefined ? namesOf(resources) : [...since.touched];
  // All old versions go before any new one comes: two keys may have traded places.
  for (const name of since === undefined ? [] : names) {
    const before = since?.resources.get(ResourceType.API_KEY, name);
    if (before !== undefined) edit.delete(hmacText(fromBinary(ApiKeySchema, before.payload).hmac));
    if (slices.due) await slices.rest();
  }
  for (const name of names) {
    const entry = resources.get(ResourceType.API_KEY, name);
    const compiled = entry === undefined ? undefined : compilePrincipal(name, entry, report);
    if (compiled !== undefined) {
      const { hmac, principal } = compiled;
      const taken = edit.get(hmac);
      if (taken !== undefined) {
        report(
          reasonFor(name, 'hmac', 'duplicate', `Keys "${name}" and "${taken.keyId}" have the same hash.`),
        );
      }
      edit.set(hmac, principal);
    }
    if (slices.due) await slices.rest();
  }
  return edit.finish();
}

export function keyIndex(pepper: Uint8Array | undefined, principals: PrincipalsByHmac): KeyIndex {
  const prepared = pepper === undefined ? undefined : preparePepper(pepper);
  return Object.freeze({
    size: principals.size,
    find(presented: string): Principal | undefined {
      if (prepared === undefined || !isWellFormedApiKey(presented)) return undefined;
      return principals.get(apiKeyHmac(prepared, presented).toString('latin1'));
    },
    findById(keyId: string): Principal | undefined {
      for (const [, principal] of principals.entries()) if (principal.keyId === keyId) return principal;
      return undefined;
    },
  });
}

function* namesOf(resources: ResourceSet): Generator<string> {
  for (const [name] of resources.ofType(ResourceType.API_KEY)) yield name;
}

function compilePrincipal(
  name: string,
  entry: ResourceEntry,
  report: (reason: RefusalReason) => void,
): { readonly hmac: string; readonly principal: Principal } | undefined {
  try {
    const key = fromBinary(ApiKeySchema, entry.payload);
    if (key.hmac.length !== HMAC_BYTES) {
      report(
        reasonFor(
          name,
          'hmac',
          'malformed',
          `The hash has ${key.hmac.length} bytes instead of ${HMAC_BYTES}.`,
        ),
      );
      return undefined;
    }
    const principal: Principal = Object.freeze({
      // The string that is held already, where it is the same: a hundred thousand of them add up.
      keyId: key.id === name ? name : key.id,
      name: key.name,
      mayUse: key.models.length === 0 ? everything : matchesAny(key.models),
      expiresAtMs: key.expiresAtMs === 0n ? Number.POSITIVE_INFINITY : Number(key.expiresAtMs),
      dropsUnsupported: key.dropUnsupported,
      metadata: Object.keys(key.metadata).length === 0 ? noMetadata : Object.freeze({ ...key.metadata }),
      queuePriority: Math.min(key.queuePriority ?? limits.queuePriorityDefault, limits.queuePriorityMax),
    });
    return { hmac: hmacText(key.hmac), principal };
  } catch {
    report(reasonFor(name, '', 'malformed', 'The resource cannot be read as an API key.'));
    return undefined;
  }
}

function reasonFor(name: string, field: string, code: string, message: string): RefusalReason {
  return { type: ResourceType.API_KEY, name, field, code, message };
}

// One character a byte: the shortest string that a map can be asked for.
function hmacText(hmac: Uint8Array): string {
  return Buffer.from(hmac.buffer, hmac.byteOffset, hmac.byteLength).toString('latin1');
}
