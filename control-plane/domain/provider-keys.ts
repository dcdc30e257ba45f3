// Taking the credentials out of what people write about a provider. What stays in the object is an id, a hint of the last
// characters, and the limits; a credential that is given again keeps its id, so that a file applied twice changes nothing
// and usage stays under the same key.
import type { ProviderKey } from '#shared/configuration/objects.ts';
import type { Problem } from '#shared/errors.ts';
import type { Secret } from '#shared/secret.ts';
import { problemsError } from './validation.ts';

/** Everything that is said of a key beside the credential: its share and its limits. */
type KeyTerms = Omit<ProviderKey, 'key'>;

/** As written: a new credential, or the id of one that is already stored. */
export type WrittenKey = KeyTerms & { readonly secret: Secret | { readonly id: string } };

export type StoredKeyEntry = KeyTerms & { readonly id: string; readonly hint: string };

export interface KnownSecret {
  readonly id: string;
  readonly hint: string;
  readonly fingerprint: Buffer;
}

export interface SecretMaker<Made extends KnownSecret> {
  fingerprint(secret: Secret): Buffer;
  seal(secret: Secret): Made;
}

export interface TakenKeys<Made extends KnownSecret> {
  readonly entries: readonly StoredKeyEntry[];
  readonly added: readonly Made[];
  /** Ids of stored secrets that nothing refers to any more. */
  readonly gone: readonly string[];
}

export function takeKeys<Made extends KnownSecret>(
  written: readonly WrittenKey[],
  known: readonly KnownSecret[],
  maker: SecretMaker<Made>,
): TakenKeys<Made> {
  const added: Made[] = [];
  const problems: Problem[] = [];
  const used = new Map<string, number>();

  const find = ({ secret }: WrittenKey): KnownSecret | undefined => {
    if ('id' in secret) return known.find((each) => each.id === secret.id);
    const fingerprint = maker.fingerprint(secret);
    const found = [...known, ...added].find((each) => each.fingerprint.equals(fingerprint));
    if (found) return found;
    const made = maker.seal(secret);
    added.push(made);
    return made;
  };

  const entries = written.flatMap((entry, index): StoredKeyEntry[] => {
    const secret = find(entry);
    if (secret === undefined) {
      const { id } = entry.secret as { id: string };
      problems.push({ path: `api_keys[${index}].id`, message: `"${id}" is no key of this provider` });
      return [];
    }
    const earlier = used.get(secret.id);
    if (earlier !== undefined) {
      problems.push({ path: `api_keys[${index}]`, message: `is the same key as api_keys[${earlier}]` });
    }
    used.set(secret.id, index);
    const { secret: _, ...terms } = entry;
    return [{ id: secret.id, hint: secret.hint, ...terms }];
  });
  if (problems.length > 0) throw problemsError('invalid_configuration', problems);
  return { entries, added, gone: known.map(({ id }) => id).filter((id) => !used.has(id)) };
}
