// Configuration objects with everything filled in that follows from their other fields, and the rules that one object can
// break by itself. Both the file and the admin API pass through here.
import type { Problem } from '../errors.ts';
import {
  type ProviderType,
  type ProviderTypeName,
  providerSettingNames,
  providerType,
  providerTypes,
} from '../provider-types.ts';
import { realStrategyName, type StrategyName } from '../routing-strategies.ts';
import { Secret } from '../secret.ts';
import { hint } from './nearest.ts';
import type { AliasSpec, ModelSpec, ProviderSpec, RouteSpec } from './schema.ts';

type ProviderKeySpec = Exclude<ProviderSpec['api_keys'][number], string>;

export type ProviderKey = Readonly<Omit<ProviderKeySpec, 'key'>> & { readonly key: Secret };

export type Provider = Readonly<
  Omit<ProviderSpec, 'type' | 'api_keys' | 'key_strategy' | 'allow_private_network' | 'model_patterns'>
> & {
  readonly type: ProviderTypeName;
  readonly api_keys: readonly ProviderKey[];
  readonly key_strategy: StrategyName;
  readonly allow_private_network: boolean;
  readonly model_patterns: readonly string[];
};
export type Model = Readonly<Omit<ModelSpec, 'id' | 'model' | 'strategy'>> & {
  readonly id: string;
  readonly model: string;
  readonly strategy?: StrategyName;
};
export type Alias = Readonly<AliasSpec>;
export type Route = Readonly<Omit<RouteSpec, 'strategy'>> & { readonly strategy: StrategyName };

export interface Configuration {
  readonly providers: readonly Provider[];
  readonly models: readonly Model[];
  readonly aliases: readonly Alias[];
  readonly routes: readonly Route[];
}

/** Expects a spec in which `checkProvider` has found nothing. */
export function normaliseProvider(spec: ProviderSpec): Provider {
  const type = typeNameOf(spec) as ProviderTypeName;
  const api_keys = presentKeys(spec).map(({ key, ...rest }) => ({ key: new Secret(key), ...rest }));
  return Object.freeze({
    ...spec,
    type,
    api_keys,
    key_strategy: realStrategyName(spec.key_strategy),
    allow_private_network: allowsPrivateNetwork(spec),
    model_patterns: modelPatterns(spec),
  });
}

export function normaliseModel({ strategy, ...spec }: ModelSpec): Model {
  const model = spec.model ?? spec.name;
  const region = spec.region === '' ? [] : [spec.region];
  const id = spec.id ?? [spec.name, spec.provider, model, ...region].join(':');
  const named = strategy === undefined ? {} : { strategy: realStrategyName(strategy) };
  return Object.freeze({ ...spec, ...named, id, model });
}

export function normaliseRoute(spec: RouteSpec): Route {
  return Object.freeze({ ...spec, strategy: realStrategyName(spec.strategy) });
}

/** What is wrong with a provider whose fields are each valid; paths are relative to it. */
export function checkProvider(spec: ProviderSpec): Problem[] {
  const typeName = typeNameOf(spec);
  const type = providerType(typeName);
  if (type === undefined) {
    const isNamed = spec.type !== undefined;
    const message = isNamed
      ? `unknown provider type "${typeName}"${hint(typeName, Object.keys(providerTypes))}`
      : `has no type, and its name "${typeName}" is not one${hint(typeName, Object.keys(providerTypes))}`;
    return [{ path: isNamed ? 'type' : 'name', message }];
  }
  const problems: Problem[] = [];
  const keys = presentKeys(spec).length;
  const baseUrl = spec.base_url ?? type.baseUrl;
  problems.push(...checkSettings(spec, typeName, type));
  if (type.family === 'local') {
    for (const field of ['base_url', 'api_keys'] as const)
      if (spec[field] !== undefined && spec[field].length > 0)
        problems.push({
          path: field,
          message: `has no effect: the type "${typeName}" answers by itself; remove it`,
        });
    return problems;
  }
  if (type.needsKey && keys === 0) {
    const variable = type.environmentKey === undefined ? '' : `, such as \${${type.environmentKey}}`;
    problems.push({
      path: 'api_keys',
      message: `the type "${typeName}" needs at least one key${variable}; none is set`,
    });
  }
  if (baseUrl === undefined) {
    if (type.addressFromSettings !== true)
      problems.push({ path: 'base_url', message: `is required for the type "${typeName}"` });
  } else if (isPrivateHost(new URL(baseUrl).hostname) && !allowsPrivateNetwork(spec))
    problems.push({
      path: 'base_url',
      message: `"${baseUrl}" is in a private network or on this machine; set allow_private_network: true if that is meant`,
    });
  return problems;
}

function checkSettings(spec: ProviderSpec, typeName: string, type: ProviderType): Problem[] {
  const { settings = {}, settingsTogether = [], settingWithoutKeys } = type;
  const isPartOfAll = settingsTogether.some((name) => spec[name] !== undefined);
  const isKeyless = presentKeys(spec).length === 0;
  return providerSettingNames.flatMap((name) => {
    const isGiven = spec[name] !== undefined;
    if (isGiven && settings[name] === undefined)
      return [{ path: name, message: `has no effect: the type "${typeName}" has no ${name}; remove it` }];
    if (!isGiven && settings[name] === 'required')
      return [{ path: name, message: `is required for the type "${typeName}"` }];
    if (!isGiven && isPartOfAll && settingsTogether.includes(name))
      return [{ path: name, message: `is needed too: ${settingsTogether.join(' and ')} go together` }];
    if (!isGiven && isKeyless && settingWithoutKeys === name)
      return [{ path: name, message: `is required for the type "${typeName}" without api_keys` }];
    return [];
  });
}

/** The names that come to this provider by themselves. */
export function modelPatterns(
  spec: Pick<ProviderSpec, 'name' | 'type' | 'model_patterns'>,
): readonly string[] {
  return spec.model_patterns ?? providerType(typeNameOf(spec))?.modelPatterns ?? [];
}

/** An entry that expanded to nothing is the absence of a key, so that `${SECOND_KEY:}` may be left unset. */
function presentKeys(spec: ProviderSpec): ProviderKeySpec[] {
  return spec.api_keys
    .map((entry) => (typeof entry === 'string' ? { key: entry, weight: 1, rpm: 0, tpm: 0 } : entry))
    .filter(({ key }) => key !== '');
}

function typeNameOf(spec: Pick<ProviderSpec, 'name' | 'type'>): string {
  return spec.type ?? spec.name;
}

function allowsPrivateNetwork(spec: ProviderSpec): boolean {
  if (spec.allow_private_network !== undefined) return spec.allow_private_network;
  const baseUrl = providerType(typeNameOf(spec))?.baseUrl;
  return baseUrl !== undefined && isPrivateHost(new URL(baseUrl).hostname);
}

/** Only what can be told from the text; data planes check what a name resolves to. */
const privateHosts: readonly RegExp[] = [
  /^localhost$|\.localhost$/,
  /^(0|10|127)\./,
  /^169\.254\./,
  /^172\.(1[6-9]|2\d|3[01])\./,
  /^192\.168\./,
  /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./,
  /^\[(::1?|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*|::ffff:.*)\]$/,
];

function isPrivateHost(hostname: string): boolean {
  return privateHosts.some((pattern) => pattern.test(hostname));
}
