// The pepper of API keys, as data planes receive it: a secret resource written once. It is sealed anew only when the
// fleet's key or the pepper itself is another one, because every rewrite would be a revision that changes nothing.
import { fromBinary } from '@bufbuild/protobuf';
import { ResourceType, SecretSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { openBox } from '#shared/crypto/box.ts';
import type { Change } from '../store/changes.ts';
import { readResourcePayload } from '../store/secrets.ts';
import { type FleetKey, secretResource } from './provider-secrets.ts';

const ID = 'api-key-pepper';

export async function providePepper(change: Change, fleetKey: FleetKey, pepper: Buffer): Promise<void> {
  const known = await readResourcePayload(change, ResourceType.SECRET, ID);
  if (known !== undefined && holds(known, fleetKey, pepper)) return;
  change.putResource(secretResource(fleetKey, ID, pepper));
  change.record({
    actor: change.actor.name,
    action: known === undefined ? 'create' : 'update',
    kind: 'secret',
    name: ID,
    before: null,
    after: null,
  });
}

function holds(payload: Buffer, fleetKey: FleetKey, pepper: Buffer): boolean {
  const { keyId, box } = fromBinary(SecretSchema, payload);
  return keyId === fleetKey.id && openBox(fleetKey.key, box, `${ID}|${keyId}`).equals(pepper);
}
