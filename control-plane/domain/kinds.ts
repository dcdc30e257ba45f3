// The kinds of configuration objects, as a table: what each is called, how it is written and shown, what follows from its
// fields, and what data planes are told about it. A new kind is a new row; storing, listing, auditing, sources, revisions
// and the REST routes come with it. Pure.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { z } from 'zod';
import {
  AliasSchema,
  DeploymentSchema,
  type PriceSchema,
  ProviderSchema,
  ResourceType,
  RouteSchema,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { durationMs } from '#shared/configuration/duration.ts';
import {
  type Alias,
  checkProvider,
  type Model,
  normaliseModel,
  normaliseProvider,
  normaliseRoute,
  type Provider,
  type Route,
} from '#shared/configuration/objects.ts';
import { aliasSpec, modelSpec, providerSpec, routeSpec } from '#shared/configuration/schema.ts';
import type { Problem } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { providerSettingNames, providerType } from '#shared/provider-types.ts';
import { Secret } from '#shared/secret.ts';
import { concurrencyField } from './capacity.ts';
import type { StoredKeyEntry, WrittenKey } from './provider-keys.ts';
import type { ResourceValue } from './resources.ts';
import { type AlternativeForm, routeForm } from './route-form.ts';
import { abilitiesField, hedgeField, mirrorMessages, ruleMessages } from './route-rules.ts';

export const objectKinds = ['provider', 'model', 'alias', 'route'] as const;
export type ObjectKind = (typeof objectKinds)[number];
export type Spec = Readonly<Record<string, unknown>>;

/** An object as someone wants it to be: complete, its credentials apart from the rest. */
export interface WrittenObject {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly spec: Spec;
  /** Undefined for kinds that have no credentials. */
  readonly keys?: readonly WrittenKey[];
}

export interface Kind {
  readonly kind: ObjectKind;
  /** The path below /api/v1 and the key in the file. */
  readonly collection: string;
  readonly tag: 'Providers' | 'Models' | 'Aliases' | 'Routes';
  readonly title: string;
  /** The field that names an object of this kind. */
  readonly nameField: string;
  /** What people send. */
  readonly input: z.ZodObject;
  /** What people are shown, without what is said of every object. */
  readonly output: z.ZodObject;
  /** Fills in what follows from other fields. Expects what `input` has accepted and `check` found nothing in. */
  readonly write: (input: Spec) => WrittenObject;
  /** What the schema cannot say; paths are relative to the object. */
  readonly check?: (input: Spec) => Problem[];
  /** Another way to write one, understood wherever ours is, and written down in ours. */
  readonly alternative?: AlternativeForm;
  /** What data planes are told. */
  readonly compile: (spec: Spec) => readonly ResourceValue[];
}

const NANO_DOLLARS_PER_TOKEN = 1000;

const writtenKeys = providerSpec.shape.api_keys.unwrap().element;
const [, keyWithLimits] = writtenKeys.options;
const storedKeyShape = keyWithLimits.omit({ key: true }).extend({
  id: z.string().max(limits.nameLengthMax).describe('A key that is already stored.'),
  hint: z.string().optional().describe('Its last characters; ignored when sent.'),
});
const apiProviderSpec = providerSpec.extend({
  api_keys: z
    .array(z.union([...writtenKeys.options, storedKeyShape]))
    .default([])
    .describe('New keys, and the ids of stored ones that stay. Keys that are not listed are deleted.'),
});
const shownKeys = z.array(storedKeyShape.extend({ hint: z.string() })).describe('Never the keys themselves.');

const provider: Kind = {
  kind: 'provider',
  collection: 'providers',
  tag: 'Providers',
  title: 'provider',
  nameField: 'name',
  input: apiProviderSpec,
  output: providerSpec.extend({ api_keys: shownKeys }).loose(),
  check: (input) => checkProvider(input as never),
  write: (input) => {
    const { api_keys, ...rest } = input as z.output<typeof apiProviderSpec>;
    return writeProvider(normaliseProvider({ ...rest, api_keys: [] }), api_keys.flatMap(toWrittenKey));
  },
  compile: (spec) => {
    const { name, type, base_url, allow_private_network, model_patterns, ...rest } = spec as Omit<
      Provider,
      'api_keys'
    > & { api_keys: StoredKeyEntry[] };
    const message = create(ProviderSchema, {
      name,
      type,
      baseUrl: base_url ?? providerType(type)?.baseUrl ?? '',
      keys: rest.api_keys.map(keyMessage),
      keyStrategy: rest.key_strategy,
      ...concurrencyField(rest.max_concurrency),
      allowPrivateNetwork: allow_private_network,
      modelPatterns: [...model_patterns],
      settings: settingsOf(spec),
    });
    return [{ type: ResourceType.PROVIDER, name, payload: toBinary(ProviderSchema, message) }];
  },
};

const model: Kind = {
  kind: 'model',
  collection: 'models',
  tag: 'Models',
  title: 'model',
  nameField: 'id',
  input: modelSpec,
  output: modelSpec.loose(),
  write: (input) => writeModel(normaliseModel(input as never)),
  compile: (spec) => {
    const { id, name, provider, model, weight, priority, timeout, region, tags, ...rest } =
      spec as unknown as Model;
    const message = create(DeploymentSchema, {
      id,
      model: name,
      provider,
      upstreamModel: model,
      weight,
      priority,
      timeoutMs: timeout === undefined ? limits.upstreamTimeoutMs : durationMs(timeout),
      region,
      tags: [...tags],
      strategy: rest.strategy ?? '',
      rpm: rest.rpm,
      tpm: BigInt(rest.tpm),
      ...priceField(rest.price),
      ...abilitiesField(rest.capabilities),
      contextTokens: BigInt(rest.context_tokens),
      idleTimeoutMs: rest.idle_timeout === undefined ? 0 : durationMs(rest.idle_timeout),
      ...concurrencyField(rest.max_concurrency),
    });
    return [{ type: ResourceType.DEPLOYMENT, name: id, payload: toBinary(DeploymentSchema, message) }];
  },
};

const alias: Kind = {
  kind: 'alias',
  collection: 'aliases',
  tag: 'Aliases',
  title: 'alias',
  nameField: 'name',
  input: aliasSpec,
  output: aliasSpec.loose(),
  write: (input) => writeAlias(input as unknown as Alias),
  compile: (spec) => {
    const { name, target } = spec as unknown as Alias;
    const payload = toBinary(AliasSchema, create(AliasSchema, { name, target }));
    return [{ type: ResourceType.ALIAS, name, payload }];
  },
};

const route: Kind = {
  kind: 'route',
  collection: 'routes',
  tag: 'Routes',
  title: 'route',
  nameField: 'slug',
  input: routeSpec,
  output: routeSpec.loose(),
  alternative: routeForm,
  write: (input) => writeRoute(normaliseRoute(input as never)),
  compile: (spec) => {
    const { slug, name, strategy, models, fallbacks, enabled, timeout, ...rest } = spec as unknown as Route;
    const message = create(RouteSchema, {
      slug,
      displayName: name,
      strategy,
      members: models.map((member) => ({ ...member })),
      fallbacks: [...fallbacks],
      enabled,
      contextWindowFallbacks: [...rest.context_window_fallbacks],
      contentPolicyFallbacks: [...rest.content_policy_fallbacks],
      timeoutMs: timeout === undefined ? 0 : durationMs(timeout),
      failoverTimeoutMultiple: rest.failover_timeout_multiple,
      streamRecovery: rest.stream_recovery,
      rules: ruleMessages(rest.rules),
      mirrors: mirrorMessages(rest.mirrors),
      ...hedgeField(rest.hedge),
      ...concurrencyField(rest.max_concurrency),
    });
    return [{ type: ResourceType.ROUTE, name: slug, payload: toBinary(RouteSchema, message) }];
  },
};

export const kinds: Readonly<Record<ObjectKind, Kind>> = { provider, model, alias, route };

/** The providers of a file keep their keys as Secret; the API's arrive as text. */
export function writeProvider(normalised: Provider, keys?: readonly WrittenKey[]): WrittenObject {
  const { api_keys, ...spec } = normalised;
  const own = api_keys.map(({ key, ...rest }) => ({ secret: key, ...rest }));
  return { kind: 'provider', name: spec.name, spec, keys: keys ?? own };
}

export function writeModel(spec: Model): WrittenObject {
  return { kind: 'model', name: spec.id, spec };
}

export function writeAlias(spec: Alias): WrittenObject {
  return { kind: 'alias', name: spec.name, spec };
}

export function writeRoute(spec: Route): WrittenObject {
  return { kind: 'route', name: spec.slug, spec };
}

type ApiKeyEntry = z.output<typeof apiProviderSpec>['api_keys'][number];

/** An empty key is the absence of one, as in the file. */
function toWrittenKey(entry: ApiKeyEntry): WrittenKey[] {
  if (typeof entry === 'string') {
    return entry === '' ? [] : [{ secret: new Secret(entry), weight: 1, rpm: 0, tpm: 0 }];
  }
  if ('id' in entry) {
    const { id, hint: _, ...terms } = entry;
    return [{ secret: { id }, ...terms }];
  }
  const { key, ...terms } = entry;
  return key === '' ? [] : [{ secret: new Secret(key), ...terms }];
}

function keyMessage({ id, weight, rpm, tpm, max_concurrency }: StoredKeyEntry) {
  const allowed = { rpm, tpm: BigInt(tpm), ...concurrencyField(max_concurrency) };
  return { id, secret: id, weight, ...allowed };
}

/** What data planes reckon with: billionths of a dollar for a token, of which a dollar for a million tokens is a thousand. */
function priceField(price: Model['price']): { price?: MessageInitShape<typeof PriceSchema> } {
  if (price === undefined) return {};
  const { input, cached_input = input, output } = price;
  return {
    price: {
      input: input * NANO_DOLLARS_PER_TOKEN,
      cachedInput: cached_input * NANO_DOLLARS_PER_TOKEN,
      output: output * NANO_DOLLARS_PER_TOKEN,
    },
  };
}

function settingsOf(spec: Spec): Record<string, string> {
  const given = providerSettingNames.filter((name) => spec[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, String(spec[name])]));
}
