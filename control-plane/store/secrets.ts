// Sealed secrets as rows. Nothing here can be read without the key-encryption key, which is never in the database.
import type { Insertable, Selectable } from 'kysely';
import type { Change } from './changes.ts';
import { type Db, reachingDatabase } from './database.ts';
import type { DataKeysTable, ProviderSecretsTable } from './schema.ts';

export type StoredDataKey = Selectable<DataKeysTable>;
export type StoredProviderSecret = Selectable<ProviderSecretsTable>;

/** The box kept under this name; the first one stored wins, whoever else offers another at the same moment. */
export function readOrInsertFleetSecret(
  db: Db,
  name: string,
  makeBox: () => Promise<Buffer>,
): Promise<Buffer> {
  return reachingDatabase(async () => {
    const find = () =>
      db.selectFrom('fleet_secrets').select('box').where('name', '=', name).executeTakeFirst();
    const found = await find();
    if (found) return found.box;
    await db
      .insertInto('fleet_secrets')
      .values({ name, box: await makeBox() })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return (await find())!.box;
  });
}

/** The organization's newest data key; the first one stored wins. */
export function readOrInsertDataKey(
  db: Db,
  organization: string,
  wrap: (version: number) => Promise<Buffer>,
): Promise<StoredDataKey> {
  return reachingDatabase(async () => {
    const find = () =>
      db
        .selectFrom('data_keys')
        .selectAll()
        .where('organization', '=', organization)
        .orderBy('version', 'desc')
        .limit(1)
        .executeTakeFirst();
    const found = await find();
    if (found) return found;
    await db
      .insertInto('data_keys')
      .values({ organization, version: 1, wrapped: await wrap(1) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return (await find())!;
  });
}

export function readProviderSecrets(
  { transaction }: Change,
  provider: string,
): Promise<StoredProviderSecret[]> {
  return transaction.selectFrom('provider_secrets').selectAll().where('provider', '=', provider).execute();
}

export async function insertProviderSecret(
  { transaction }: Change,
  secret: Insertable<ProviderSecretsTable>,
): Promise<void> {
  await transaction.insertInto('provider_secrets').values(secret).execute();
}

export async function removeProviderSecrets({ transaction }: Change, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await transaction.deleteFrom('provider_secrets').where('id', 'in', ids).execute();
}

/** What data planes are told under this address; undefined when nothing is. */
export async function readResourcePayload(
  { transaction }: Change,
  type: number,
  name: string,
): Promise<Buffer | undefined> {
  const row = await transaction
    .selectFrom('resources')
    .select('payload')
    .where('type', '=', type)
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.payload ?? undefined;
}
