// Everything a data plane needs to answer, at one revision: frozen, replaced as a whole, held by each request for its
// whole life. Secrets are here in the clear, and only here. Compiled from resources in compile.ts.
import type { Credential } from '../providers/credential.ts';
import type { Provider, ProviderSettings } from '../providers/provider.ts';
import type { Origin } from '../upstream/client.ts';

export interface Snapshot {
  readonly revision: bigint;
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  /** By public model name. */
  readonly models: ReadonlyMap<string, readonly Deployment[]>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly keys: KeyIndex;
  /** With which ids are sealed that are told to clients; the same at every node. Undefined while there are no keys. */
  readonly sealingKey: Uint8Array | undefined;
}

export interface ProviderEntry {
  readonly name: string;
  readonly kind: Provider;
  /** Undefined for a provider that answers locally. */
  readonly origin: Origin | undefined;
  /** Path of the base URL, without a slash at its end. */
  readonly basePath: string;
  readonly settings: ProviderSettings;
  /** What authorises requests where there are no keys. */
  readonly ambient: Credential;
  readonly keys: readonly ProviderKey[];
  /** Tells whether a bare model name belongs to this provider although no deployment names it. */
  readonly matchesModel: (model: string) => boolean;
}

export interface ProviderKey {
  readonly id: string;
  readonly credential: Credential;
  readonly weight: number;
  /** Per minute; 0 means unlimited. */
  readonly rpm: number;
  readonly tpm: number;
}

export interface Deployment {
  readonly id: string;
  readonly model: string;
  readonly provider: ProviderEntry;
  readonly upstreamModel: string;
  readonly weight: number;
  /** Lower is tried first. */
  readonly priority: number;
  readonly timeoutMs: number;
  readonly region: string;
  readonly tags: readonly string[];
}

export interface Route {
  readonly slug: string;
  readonly strategy: 'priority';
  readonly members: readonly RouteMember[];
  readonly fallbacks: readonly string[];
}

export interface RouteMember {
  readonly model: string;
  readonly weight: number;
  readonly priority: number;
}

export interface Principal {
  readonly keyId: string;
  readonly name: string;
  /** Whether this key may use a public name. Exact names and patterns with a trailing `*`; none means all. */
  readonly mayUse: (name: string) => boolean;
  /** Infinity means never. */
  readonly expiresAtMs: number;
  /** Whether its requests go without what a provider cannot be asked, where they do not say. */
  readonly dropsUnsupported: boolean;
}

/** Finds who presented a key. Its cost does not depend on how many keys there are. */
export interface KeyIndex {
  readonly size: number;
  find(presented: string): Principal | undefined;
}

/** The snapshot in force; undefined until the first one arrives. */
export interface SnapshotSource {
  current(): Snapshot | undefined;
}
