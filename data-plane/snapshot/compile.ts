// From resources to a snapshot: messages are decoded, secrets opened, names resolved, and whatever cannot work is
// refused here, with the resource and the field, instead of failing requests later. What has not changed since the
// previous snapshot is taken over as it is: keys one by one, the rest by comparing payloads.
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import {
  AliasSchema,
  DeploymentSchema,
  ProviderSchema,
  ResourceType,
  RouteSchema,
  SecretSchema,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { deriveKey, openBox } from '#shared/crypto/box.ts';
import { limits } from '#shared/limits.ts';
import { usualStrategy } from '#shared/routing-strategies.ts';
import { Secret } from '#shared/secret.ts';
import type { Slices } from '#shared/slices.ts';
import type { Provider } from '../providers/provider.ts';
import { compileProvider } from './compile-provider.ts';
import { compileDeployment, compileRoute, strategyIn } from './compile-routing.ts';
import { compilePrincipals, keyIndex, type PrincipalsByHmac } from './key-index.ts';
import type { RefusalReason } from './receiver.ts';
import type { ResourceEntry, ResourceSet, Touched } from './resource-set.ts';
import type { Deployment, ProviderEntry, Route, Snapshot } from './snapshot.ts';

export type ProviderFor = (type: string) => Provider | undefined;

export interface CompileInput {
  readonly revision: bigint;
  readonly resources: ResourceSet;
  /** The configuration in force, and what the transfer changed of it. Without `touched` everything may have changed. */
  readonly previous?: Compilation;
  readonly touched?: Touched;
  readonly providerFor: ProviderFor;
  /** The fleet's secret keys, by id. */
  readonly secretKeys: ReadonlyMap<string, Uint8Array>;
  readonly slices: Slices;
}

export interface Compilation {
  readonly snapshot: Snapshot;
  readonly resources: ResourceSet;
  readonly principals: PrincipalsByHmac;
  /** What each provider was made from, to tell whether it can stay. */
  readonly providers: ReadonlyMap<string, CompiledProvider>;
  readonly deployments: ReadonlyMap<string, CompiledDeployment>;
}

interface CompiledProvider {
  readonly entry: ProviderEntry;
  readonly payload: Uint8Array;
  readonly secrets: readonly (Uint8Array | undefined)[];
}

interface CompiledDeployment {
  readonly deployment: Deployment;
  /** How it wants to be chosen among the deployments of its model; undefined when it does not say. */
  readonly strategy: string | undefined;
  readonly payload: Uint8Array;
}

export type CompileResult =
  | { readonly type: 'compiled'; readonly compilation: Compilation }
  | { readonly type: 'refused'; readonly reasons: readonly RefusalReason[] };

/** The pepper of every API key's hash travels as a secret of this name. */
const PEPPER = 'api-key-pepper';
/** What the key for sealed ids is derived for. */
const SEALED_IDS = 'sealed-ids';

export async function compile(input: CompileInput): Promise<CompileResult> {
  const reasons: RefusalReason[] = [];
  const report = (reason: RefusalReason): void => {
    if (reasons.length < limits.syncNackErrorsMax) reasons.push(reason);
  };
  const context: Context = { ...input, report };
  const targets = onlyKeysChanged(input) ? undefined : await compileTargets(context);
  const principals = await compileKeys(context);
  const pepper = openPepper(context, principals.size);
  if (reasons.length > 0) return { type: 'refused', reasons };
  const { providers, models, modelStrategies, aliases, routes } =
    targets?.snapshot ?? input.previous!.snapshot;
  const snapshot: Snapshot = Object.freeze({
    revision: input.revision,
    providers,
    models,
    modelStrategies,
    aliases,
    routes,
    keys: keyIndex(pepper, principals),
    sealingKey: pepper && deriveKey(pepper, SEALED_IDS),
  });
  const made = targets ?? input.previous!;
  const { resources } = input;
  return {
    type: 'compiled',
    compilation: {
      snapshot,
      resources,
      principals,
      providers: made.providers,
      deployments: made.deployments,
    },
  };
}

interface Context extends CompileInput {
  readonly report: (reason: RefusalReason) => void;
}

type Targets = Pick<Compilation, 'providers' | 'deployments'> & {
  readonly snapshot: Pick<Snapshot, 'providers' | 'models' | 'modelStrategies' | 'aliases' | 'routes'>;
};

function onlyKeysChanged({ previous, touched }: CompileInput): boolean {
  if (previous === undefined || touched === undefined) return false;
  return touched.keys().every((type) => type === ResourceType.API_KEY);
}

async function compileKeys({
  previous,
  touched,
  resources,
  slices,
  report,
}: Context): Promise<PrincipalsByHmac> {
  if (previous === undefined || touched === undefined)
    return compilePrincipals({ resources, slices, report });
  const since = {
    resources: previous.resources,
    principals: previous.principals,
    touched: touched.get(ResourceType.API_KEY) ?? [],
  };
  return compilePrincipals({ resources, since, slices, report });
}

async function compileTargets(context: Context): Promise<Targets> {
  const providers = new Map<string, CompiledProvider>();
  for (const [name, entry] of context.resources.ofType(ResourceType.PROVIDER)) {
    const compiled = keptProvider(context, name, entry) ?? newProvider(context, name, entry);
    if (compiled !== undefined) providers.set(name, compiled);
    if (context.slices.due) await context.slices.rest();
  }
  const deployments = await compileDeployments(context, providers);
  const snapshot = {
    providers: new Map(providers.entries().map(([name, { entry }]) => [name, entry])),
    models: byModel(deployments),
    modelStrategies: strategiesByModel(deployments),
    aliases: compileAliases(context),
    routes: compileRoutes(context),
  };
  return { providers, deployments, snapshot };
}

/** The provider as it was, when neither it nor one of its secrets has changed. */
function keptProvider(context: Context, name: string, entry: ResourceEntry): CompiledProvider | undefined {
  const before = context.previous?.providers.get(name);
  if (before === undefined || !samePayload(before.payload, entry.payload)) return undefined;
  const names = fromBinary(ProviderSchema, entry.payload).keys.map((key) => key.secret);
  const same = names.every((secret, index) =>
    samePayload(before.secrets[index], context.resources.get(ResourceType.SECRET, secret)?.payload),
  );
  return same ? before : undefined;
}

function newProvider(context: Context, name: string, entry: ResourceEntry): CompiledProvider | undefined {
  const report = (field: string, code: string, message: string): undefined =>
    void context.report({ type: ResourceType.PROVIDER, name, field, code, message });
  const provider = decode(context, ProviderSchema, ResourceType.PROVIDER, name, entry);
  if (provider === undefined) return undefined;
  const kind = context.providerFor(provider.type);
  if (kind === undefined) {
    return report(
      'type',
      'unknown_provider_type',
      `This build does not know the provider type "${provider.type}".`,
    );
  }
  const openSecret = (secret: string, field: string): Secret | undefined => {
    const opened = openSecretResource(context, secret);
    if (typeof opened === 'string') return report(field, 'secret_unavailable', opened);
    return new Secret(opened.toString('utf8'));
  };
  const compiled = compileProvider({ name, provider, kind, openSecret, report });
  if (compiled === undefined) return undefined;
  const secrets = provider.keys.map((key) => context.resources.get(ResourceType.SECRET, key.secret)?.payload);
  return { entry: compiled, payload: entry.payload, secrets };
}

async function compileDeployments(
  context: Context,
  providers: ReadonlyMap<string, CompiledProvider>,
): Promise<Map<string, CompiledDeployment>> {
  const deployments = new Map<string, CompiledDeployment>();
  for (const [name, entry] of context.resources.ofType(ResourceType.DEPLOYMENT)) {
    const before = context.previous?.deployments.get(name);
    const stays =
      before !== undefined &&
      samePayload(before.payload, entry.payload) &&
      providers.get(before.deployment.provider.name)?.entry === before.deployment.provider;
    const compiled = stays ? before : newDeployment(context, name, entry, providers);
    if (compiled !== undefined) deployments.set(name, compiled);
    if (context.slices.due) await context.slices.rest();
  }
  return deployments;
}

function newDeployment(
  context: Context,
  name: string,
  entry: ResourceEntry,
  providers: ReadonlyMap<string, CompiledProvider>,
): CompiledDeployment | undefined {
  const report = (field: string, code: string, message: string): undefined =>
    void context.report({ type: ResourceType.DEPLOYMENT, name, field, code, message });
  const message = decode(context, DeploymentSchema, ResourceType.DEPLOYMENT, name, entry);
  if (message === undefined) return undefined;
  const { model } = message;
  if (model === '') return report('model', 'missing', 'A deployment needs the public name of a model.');
  const provider = providers.get(message.provider)?.entry;
  if (provider === undefined) {
    // A provider that is there but refused has been reported under its own name.
    if (context.resources.get(ResourceType.PROVIDER, message.provider) !== undefined) return undefined;
    return report('provider', 'unknown_provider', `There is no provider "${message.provider}".`);
  }
  const strategy = strategyIn(message.strategy, usualStrategy, 'strategy', report);
  if (strategy === undefined) return undefined;
  return {
    deployment: compileDeployment(message, provider),
    strategy: message.strategy === '' ? undefined : strategy,
    payload: entry.payload,
  };
}

function byModel(
  compiled: ReadonlyMap<string, CompiledDeployment>,
): ReadonlyMap<string, readonly Deployment[]> {
  const groups = Map.groupBy(
    compiled.values().map(({ deployment }) => deployment),
    (deployment) => deployment.model,
  );
  // The same order on every node, whatever order the resources came in.
  const order = (one: Deployment, other: Deployment) =>
    one.priority - other.priority || (one.id < other.id ? -1 : 1);
  return new Map(groups.entries().map(([model, group]) => [model, Object.freeze(group.toSorted(order))]));
}

/** The same on every node even if they contradict each other, which a control plane does not let happen. */
function strategiesByModel(compiled: ReadonlyMap<string, CompiledDeployment>): ReadonlyMap<string, string> {
  const said = [...compiled.values()].toSorted((one, other) =>
    one.deployment.id < other.deployment.id ? -1 : 1,
  );
  const strategies = new Map<string, string>();
  for (const { deployment, strategy } of said) {
    if (strategy !== undefined && !strategies.has(deployment.model))
      strategies.set(deployment.model, strategy);
  }
  return strategies;
}

function compileAliases(context: Context): ReadonlyMap<string, string> {
  const aliases = new Map<string, string>();
  for (const [name, entry] of context.resources.ofType(ResourceType.ALIAS)) {
    const alias = decode(context, AliasSchema, ResourceType.ALIAS, name, entry);
    if (alias === undefined) continue;
    if (alias.target === '') {
      const message = 'An alias needs the name it stands for.';
      context.report({ type: ResourceType.ALIAS, name, field: 'target', code: 'missing', message });
    }
    aliases.set(alias.name, alias.target);
  }
  return aliases;
}

function compileRoutes(context: Context): ReadonlyMap<string, Route> {
  const routes = new Map<string, Route>();
  for (const [name, entry] of context.resources.ofType(ResourceType.ROUTE)) {
    const message = decode(context, RouteSchema, ResourceType.ROUTE, name, entry);
    if (message === undefined || !message.enabled) continue;
    const report = (field: string, code: string, problem: string): undefined =>
      void context.report({ type: ResourceType.ROUTE, name, field, code, message: problem });
    const route = compileRoute(message, report);
    if (route !== undefined) routes.set(route.slug, route);
  }
  return routes;
}

function openPepper(context: Context, keys: number): Uint8Array | undefined {
  if (keys === 0 && context.resources.get(ResourceType.SECRET, PEPPER) === undefined) return undefined;
  const opened = openSecretResource(context, PEPPER);
  if (typeof opened !== 'string') return opened;
  const code = 'secret_unavailable';
  context.report({ type: ResourceType.SECRET, name: PEPPER, field: 'box', code, message: opened });
  return undefined;
}

/** What the secret holds, or why it cannot be had. */
function openSecretResource({ resources, secretKeys }: Context, name: string): Buffer | string {
  const entry = resources.get(ResourceType.SECRET, name);
  if (entry === undefined) return `There is no secret "${name}".`;
  try {
    const { keyId, box } = fromBinary(SecretSchema, entry.payload);
    const key = secretKeys.get(keyId);
    if (key === undefined)
      return `The secret "${name}" is encrypted under the key "${keyId}", which this node was not given.`;
    // Under its own name, so that the box of one secret does not open as another.
    return openBox(key, box, `${name}|${keyId}`);
  } catch {
    return `The secret "${name}" cannot be opened.`;
  }
}

function decode<Schema extends DescMessage>(
  context: Context,
  schema: Schema,
  type: ResourceType,
  name: string,
  entry: ResourceEntry,
): MessageShape<Schema> | undefined {
  try {
    return fromBinary(schema, entry.payload);
  } catch {
    const message = `The resource cannot be read as ${schema.typeName}.`;
    context.report({ type, name, field: '', code: 'malformed', message });
    return undefined;
  }
}

function samePayload(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one === other || Buffer.compare(one, other) === 0;
}
