// Snapshots made by hand, for tests of what the data plane does with them. Written the way people think of a
// configuration: names, and only what matters to the test.
import { compatible } from '#data-plane/providers/compatible.ts';
import { bearerCredential, fixedCredential } from '#data-plane/providers/credential.ts';
import type { Provider, ProviderSettings } from '#data-plane/providers/provider.ts';
import type {
  Capacity,
  Deployment,
  Principal,
  ProviderEntry,
  ProviderKey,
  Route,
  Snapshot,
} from '#data-plane/snapshot/snapshot.ts';
import { usualDeployment } from '#data-plane/snapshot/usual-deployment.ts';
import { limits } from '#shared/limits.ts';

/** Any number of requests at once. */
const unlimited: Capacity = { concurrencyMax: 0, waitingMax: 0, waitMsMax: 0 };

export interface SnapshotSketch {
  readonly revision?: number;
  readonly providers?: readonly ProviderEntry[];
  readonly deployments?: readonly Deployment[];
  readonly aliases?: Readonly<Record<string, string>>;
  readonly modelStrategies?: Readonly<Record<string, string>>;
  readonly routes?: readonly Route[];
  /** By the key as it is presented. */
  readonly keys?: Readonly<Record<string, Principal>>;
}

export function snapshotOf(sketch: SnapshotSketch): Snapshot {
  const { deployments = [], keys = {} } = sketch;
  const providers = [...(sketch.providers ?? []), ...deployments.map(({ provider }) => provider)];
  const byKey = new Map(Object.entries(keys));
  return Object.freeze<Snapshot>({
    revision: BigInt(sketch.revision ?? 1),
    providers: new Map(providers.map((provider) => [provider.name, provider])),
    models: Map.groupBy(deployments, ({ model }) => model),
    modelStrategies: new Map(Object.entries(sketch.modelStrategies ?? {})),
    aliases: new Map(Object.entries(sketch.aliases ?? {})),
    routes: new Map((sketch.routes ?? []).map((route) => [route.slug, route])),
    keys: {
      size: byKey.size,
      find: (presented) => byKey.get(presented),
      findById: (id) => [...byKey.values()].find(({ keyId }) => keyId === id),
    },
    sealingKey: Buffer.alloc(32, 7),
  });
}

export interface ProviderSketch {
  readonly kind?: Provider;
  /** Ends in `/v1`; a provider without one answers locally or is only looked at. */
  readonly baseUrl?: string;
  readonly keys?: readonly ProviderKey[];
  readonly keyStrategy?: string;
  readonly settings?: ProviderSettings;
  readonly claims?: (model: string) => boolean;
}

export function providerOf(name: string, sketch: ProviderSketch = {}): ProviderEntry {
  const kind = sketch.kind ?? compatible('openai-compatible');
  const url = sketch.baseUrl === undefined ? undefined : new URL(sketch.baseUrl);
  return Object.freeze({
    name,
    kind,
    origin: url && {
      secure: url.protocol === 'https:',
      host: url.hostname,
      port: Number(url.port),
      allowPrivateNetwork: true,
    },
    basePath: url === undefined ? '' : url.pathname,
    settings: sketch.settings ?? {},
    ambient: fixedCredential({}),
    keys: sketch.keys ?? [],
    keyStrategy: sketch.keyStrategy ?? 'random',
    matchesModel: sketch.claims ?? (() => false),
    ...unlimited,
  });
}

export function providerKeyOf(id: string, sketch: Partial<ProviderKey> = {}): ProviderKey {
  return {
    id,
    credential: bearerCredential(`provider-secret-${id}`),
    weight: 1,
    priority: 0,
    rpm: 0,
    tpm: 0,
    ...unlimited,
    ...sketch,
  };
}

export function deploymentOf(
  model: string,
  provider: ProviderEntry,
  sketch: Partial<Deployment> = {},
): Deployment {
  const upstreamModel = sketch.upstreamModel ?? model;
  return Object.freeze({
    ...usualDeployment,
    id: `${provider.name}:${model}:${upstreamModel}`,
    model,
    provider,
    upstreamModel,
    ...sketch,
  });
}

export function routeOf(slug: string, members: readonly string[], fallbacks: readonly string[] = []): Route {
  return {
    slug,
    strategy: 'priority',
    members: members.map((model, index) => ({ model, weight: 1, priority: index })),
    fallbacks,
    contextWindowFallbacks: [],
    contentPolicyFallbacks: [],
    timeoutMs: 0,
    failoverTimeoutMultiple: 1,
    streamRecovery: 'error',
    rules: { rules: [], mirrors: [] },
    hedge: undefined,
    ...unlimited,
  };
}

export function principalOf(keyId: string, sketch: Partial<Principal> = {}): Principal {
  return {
    keyId,
    name: keyId,
    mayUse: () => true,
    expiresAtMs: Number.POSITIVE_INFINITY,
    dropsUnsupported: false,
    metadata: {},
    queuePriority: limits.queuePriorityDefault,
    ...sketch,
  };
}
