// Everything a data plane needs to answer, at one revision: frozen, replaced as a whole, held by each request for its
// whole life. Secrets are here in the clear, and only here. Compiled from resources in compile.ts.
import type { Credential } from '../providers/credential.ts';
import type { Provider, ProviderSettings } from '../providers/provider.ts';
import type { Abilities } from '../rules/capabilities.ts';
import type { RouteRules } from '../rules/compile.ts';
import type { Origin } from '../upstream/client.ts';

export interface Snapshot {
  readonly revision: bigint;
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  /** By public model name. */
  readonly models: ReadonlyMap<string, readonly Deployment[]>;
  /** How requests are shared between the deployments of a model, where that is said. */
  readonly modelStrategies: ReadonlyMap<string, string>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly keys: KeyIndex;
  /** With which ids are sealed that are told to clients; the same at every node. Undefined while there are no keys. */
  readonly sealingKey: Uint8Array | undefined;
}

/** How many requests may be under way at once, and who may wait for their turn. */
export interface Capacity {
  /** 0 means unlimited. */
  readonly concurrencyMax: number;
  readonly waitingMax: number;
  readonly waitMsMax: number;
}

export interface ProviderEntry extends Capacity {
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
  /** How requests are shared between the keys. */
  readonly keyStrategy: string;
  /** Tells whether a bare model name belongs to this provider although no deployment names it. */
  readonly matchesModel: (model: string) => boolean;
}

export interface ProviderKey extends Capacity {
  readonly id: string;
  readonly credential: Credential;
  readonly weight: number;
  /** Its place among the keys of its provider. */
  readonly priority: number;
  /** Per minute; 0 means unlimited. */
  readonly rpm: number;
  readonly tpm: number;
}

export interface Deployment extends Capacity {
  readonly id: string;
  readonly model: string;
  readonly provider: ProviderEntry;
  readonly upstreamModel: string;
  readonly weight: number;
  /** Lower is tried first. */
  readonly priority: number;
  readonly timeoutMs: number;
  /** Between two pieces of an answer; undefined for the usual time. */
  readonly idleTimeoutMs: number | undefined;
  readonly region: string;
  readonly tags: readonly string[];
  /** Per minute, as the operator says; 0 means unlimited. */
  readonly rpm: number;
  readonly tpm: number;
  /** In billionths of a dollar for a token; undefined when nobody said. */
  readonly price: Price | undefined;
  /** Undefined when nobody said: then it is taken to be able to do everything. */
  readonly abilities: Abilities | undefined;
}

export interface Price {
  readonly input: number;
  readonly inputCacheRead: number;
  readonly output: number;
}

export interface Route extends Capacity {
  readonly slug: string;
  readonly strategy: string;
  readonly members: readonly RouteMember[];
  readonly fallbacks: readonly string[];
  /** Asked instead of the fallbacks when the prompt was too long for the others, or their filters refused it. */
  readonly contextWindowFallbacks: readonly string[];
  readonly contentPolicyFallbacks: readonly string[];
  /** For the whole request, over all attempts; 0 for none. */
  readonly timeoutMs: number;
  /** How much of it one attempt may take to its first byte; 1 for all. */
  readonly failoverTimeoutMultiple: number;
  /** What becomes of a stream that breaks off after its first byte: an error, or another model goes on. */
  readonly streamRecovery: 'error' | 'continue';
  /** Who may answer which requests, and who gets copies of them. */
  readonly rules: RouteRules;
  /** Undefined where no second attempts are made beside the first. */
  readonly hedge: HedgeSettings | undefined;
}

export interface HedgeSettings {
  /** Undefined for the time within which nineteen of twenty begin. */
  readonly delayMs: number | undefined;
  /** Second attempts per request, and what they cost per dollar that the route costs; from 0 to 1. */
  readonly requestShareMax: number;
  readonly spendShareMax: number;
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
  /** What the operator says of the key; rules look at it. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How urgent its requests are where they do not say, and may be at most; 0 is the most urgent. */
  readonly queuePriority: number;
}

/** Finds who presented a key. Its cost does not depend on how many keys there are. */
export interface KeyIndex {
  readonly size: number;
  find(presented: string): Principal | undefined;
  /** Looks through all of them: for the questions of people, not for requests. */
  findById(keyId: string): Principal | undefined;
}

/** The snapshot in force; undefined until the first one arrives. */
export interface SnapshotSource {
  current(): Snapshot | undefined;
}
