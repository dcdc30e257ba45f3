// What a configuration is made of, said once: the same schemas check the YAML file, the bodies of the admin API and make
// its OpenAPI document. They only check and fill in plain defaults; what depends on other fields is in objects.ts.
import { z } from 'zod';
import { capabilityNames } from '../capabilities.ts';
import { limits } from '../limits.ts';
import type { ProviderSettingName } from '../provider-types.ts';
import {
  usualKeyStrategy,
  usualStrategy,
  writtenKeyStrategies,
  writtenStrategies,
} from '../routing-strategies.ts';
import { concurrencySpec } from './capacity.ts';
import { publicName, shortDuration } from './names.ts';
import { hedgeSpec, mirrorsSpec, routeRulesSpec } from './route-rules.ts';

const WEIGHT_MAX = 1_000_000;
const PRIORITY_MAX = 1000;
const UPSTREAM_NAME_LENGTH_MAX = 512;
const KEY_LENGTH_MAX = 8192;
const PRICE_MAX = 1_000_000;
const TAGS_MAX = 32;
/** The widest integers of the resources that data planes receive. */
const RPM_MAX = 4_294_967_295;

const providerName = z
  .string()
  .max(limits.nameLengthMax)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'must begin with a letter or digit and hold only letters, digits and . _ -',
  );
const noSpaces = z.string().min(1).max(UPSTREAM_NAME_LENGTH_MAX).regex(/^\S+$/, 'must not hold spaces');

const weight = z
  .int()
  .min(0)
  .max(WEIGHT_MAX)
  .default(1)
  .describe('Share among equals; one with 0 comes after the others.');
const priority = z.int().min(0).max(PRIORITY_MAX).default(1).describe('Lower numbers are tried first.');

const rpm = z.int().min(0).max(RPM_MAX).default(0);
const tpm = z.int().min(0).default(0);
const atOnce = concurrencySpec.optional();

/** In dollars for a million tokens. Nothing that is sold by the token costs anywhere near as much as the most. */
const price = z.number().min(0).max(PRICE_MAX);

const baseUrl = z
  .string()
  .max(2048)
  .refine(isBaseUrl, 'must be an http or https URL without credentials, query or fragment');

const providerKeySpec = z.strictObject({
  key: z
    .string()
    .max(KEY_LENGTH_MAX)
    .describe('The secret itself, usually a reference to an environment variable.')
    .meta({ writeOnly: true }),
  weight,
  rpm: rpm.describe('Requests a minute that this key may make; 0 means unlimited.'),
  tpm: tpm.describe('Tokens a minute that this key may use; 0 means unlimited.'),
  max_concurrency: atOnce,
});

const setting = z
  .string()
  .min(1)
  .max(limits.nameLengthMax)
  .regex(/^[\w.:/-]+$/, 'must hold only letters, digits and . _ : / -')
  .optional();

const providerSettings = {
  region: setting
    .describe(
      'Where the account is served, as the vendor calls it: us-east-1 at AWS, europe-west1 or global at Google.',
    )
    .meta({ examples: ['eu-central-1'] }),
  project: setting
    .describe("The vendor's name of the project, at Google Cloud.")
    .meta({ examples: ['my-project'] }),
  api_version: setting
    .describe("Which version of Azure's API; without one its newest, `/openai/v1`, is used.")
    .meta({ examples: ['2024-10-21'] }),
  tenant_id: setting.describe(
    'The Entra tenant in which `client_id` signs in; the key is its client secret then.',
  ),
  client_id: setting.describe('The Entra application that signs in instead of an API key.'),
} satisfies Record<ProviderSettingName, z.ZodType>;

export const providerSpec = z
  .strictObject({
    name: providerName.describe('Any unique name.').meta({ examples: ['openai'] }),
    type: z
      .string()
      .optional()
      .describe('A known provider type. The default is the name.')
      .meta({ examples: ['openai', 'openai-compatible'] }),
    base_url: baseUrl
      .optional()
      .describe('Where the API lives, with its version path. The default is that of the type.')
      .meta({ examples: ['https://api.openai.com/v1'] }),
    api_keys: z
      .array(z.union([z.string().max(KEY_LENGTH_MAX).meta({ writeOnly: true }), providerKeySpec]))
      .default([])
      .describe('Keys to share the requests between: each a string, or a mapping with limits of its own.'),
    key_strategy: z
      .enum(writtenKeyStrategies)
      .default(usualKeyStrategy)
      .describe('How requests are shared between the keys; see routing.md. `priority`: in their order here.')
      .meta({ examples: ['lowest-usage'] }),
    max_concurrency: atOnce,
    allow_private_network: z
      .boolean()
      .optional()
      .describe(
        'Whether the host may be in a private network or on this machine. The default is no, except for types that live on this machine, such as ollama.',
      ),
    ...providerSettings,
    model_patterns: z
      .array(
        z
          .string()
          .max(limits.nameLengthMax)
          .regex(
            /^([A-Za-z0-9][A-Za-z0-9._:/@+-]*\*?|\*)$/,
            'must be a model name, or the beginning of one and *',
          ),
      )
      .optional()
      .describe(
        'Model names that go to this provider without an entry under models; * at the end matches the rest. The default is the names that only this vendor uses.',
      )
      .meta({ examples: [['gpt-*', 'o3*']] }),
  })
  .describe('An account at a vendor, or a server that speaks a known API.');

const priceSpec = z
  .strictObject({
    input: price.describe('For a million tokens of input.'),
    cached_input: price
      .optional()
      .describe('For those that the vendor had in its prompt cache. The default is that of `input`.'),
    output: price.describe('For a million tokens of output.'),
  })
  .describe('What it costs, in dollars, for `lowest-cost` to go by.');

export const modelSpec = z
  .strictObject({
    id: noSpaces
      .optional()
      .describe(
        'Names this deployment. The default is `<name>:<provider>:<model>` and, where there is one, `:<region>`.',
      ),
    name: publicName
      .describe('The public name. Several entries with one name are deployments of that model.')
      .meta({ examples: ['gpt-4o'] }),
    provider: providerName.describe('The provider that answers.').meta({ examples: ['openai'] }),
    model: noSpaces
      .optional()
      .describe('What the provider calls the model. The default is the name.')
      .meta({ examples: ['gpt-4o-2024-11-20'] }),
    weight,
    priority,
    strategy: z
      .enum(writtenStrategies)
      .optional()
      .describe(
        'How requests are shared between the deployments of this name; see routing.md. It is enough to say it at one of them. The default is `priority`.',
      )
      .meta({ examples: ['least-latency'] }),
    rpm: rpm.describe(
      'Requests a minute that its limit at the vendor allows, for `lowest-usage` to go by; 0: nobody said.',
    ),
    tpm: tpm.describe('Tokens a minute, likewise.'),
    max_concurrency: atOnce,
    price: priceSpec.optional(),
    timeout: shortDuration
      .optional()
      .describe(
        'How long to wait for the first byte of the answer; a plain number means seconds. The default is 10m.',
      )
      .meta({ examples: ['60s'] }),
    idle_timeout: shortDuration
      .optional()
      .describe(
        'How long to wait between two pieces of an answer that has begun, such as two words of a stream. The default is 2m.',
      )
      .meta({ examples: ['20s'] }),
    region: z
      .string()
      .max(limits.nameLengthMax)
      .default('')
      .describe('Where it runs; data planes of the same region prefer it among equals.')
      .meta({ examples: ['eu'] }),
    tags: z
      .array(z.string().min(1).max(limits.nameLengthMax))
      .max(TAGS_MAX)
      .default([])
      .describe('Words of your own.'),
    capabilities: z
      .array(z.enum(capabilityNames))
      .max(capabilityNames.length)
      .optional()
      .describe(
        'What this deployment can do beyond text: requests that need anything that is not in the list go to another. The default is everything.',
      )
      .meta({ examples: [['tools', 'json']] }),
    context_tokens: z
      .int()
      .min(0)
      .default(0)
      .describe('How many tokens it takes; requests with clearly more go to another. 0: nobody said.')
      .meta({ examples: [128_000] }),
  })
  .describe('A deployment: a public model name and who answers for it.');

export const aliasSpec = z
  .strictObject({
    name: publicName.describe('The other name.').meta({ examples: ['fast'] }),
    target: publicName
      .describe('The model, route or alias that it stands for.')
      .meta({ examples: ['gpt-4o-mini'] }),
  })
  .describe('Another name for a model or route.');

const routeMemberSpec = z.strictObject({
  model: publicName.describe('A model, or any other public name.').meta({ examples: ['gpt-4o'] }),
  weight,
  priority,
});

export const routeSpec = z
  .strictObject({
    slug: publicName.describe('The public name that clients send as `model`.').meta({ examples: ['smart'] }),
    name: z
      .string()
      .max(limits.nameLengthMax)
      .default('')
      .describe('A title for people.')
      .meta({ examples: ['Smart models'] }),
    strategy: z
      .enum(writtenStrategies)
      .default(usualStrategy)
      .describe(
        'How requests are shared between `models`; see routing.md. `priority`: by priority, then by weight; the next one when one fails.',
      ),
    models: z.array(routeMemberSpec).min(1).describe('What the route chooses from.'),
    fallbacks: z
      .array(publicName)
      .default([])
      .describe('Public names that are tried, in this order, when all else failed.'),
    context_window_fallbacks: z
      .array(publicName)
      .default([])
      .describe('Public names that are tried instead when the prompt was too long for the model.'),
    content_policy_fallbacks: z
      .array(publicName)
      .default([])
      .describe(
        "Public names that are tried instead when the provider's content filter refused the request.",
      ),
    timeout: shortDuration
      .optional()
      .describe(
        'For a whole request, with all its attempts; a plain number means seconds. The default is none but those of the models.',
      )
      .meta({ examples: ['2m'] }),
    failover_timeout_multiple: z
      .number()
      .gt(0)
      .max(1)
      .default(1)
      .describe(
        'How much of the time of a request, whether the route or the caller limits it, one attempt may take to its first byte, so that there is time for another: 0.5 is half of it.',
      ),
    stream_recovery: z
      .enum(['error', 'continue'])
      .default('error')
      .describe(
        'What becomes of a stream that breaks off after its first byte: it ends with an `error`, or another model is asked to `continue` it.',
      ),
    rules: routeRulesSpec,
    mirrors: mirrorsSpec,
    hedge: hedgeSpec.optional(),
    max_concurrency: atOnce,
    enabled: z.boolean().default(true).describe('A disabled route does not exist for clients.'),
  })
  .describe('A virtual model: a choice between models, and what to do when they fail.');

/** The file as a whole. Aliases are a mapping there, because nothing but a name and a target is ever said of them. */
export const configurationSpec = z.strictObject({
  providers: z.array(providerSpec).default([]).describe('Who answers.'),
  models: z.array(modelSpec).default([]).describe('Which models there are.'),
  aliases: z.record(publicName, publicName).default({}).describe('Other names for them: `name: target`.'),
  routes: z.array(routeSpec).default([]).describe('Virtual models.'),
});

export type ProviderSpec = z.output<typeof providerSpec>;
export type ModelSpec = z.output<typeof modelSpec>;
export type AliasSpec = z.output<typeof aliasSpec>;
export type RouteSpec = z.output<typeof routeSpec>;

/** The parts of JSON Schema that say which keys and types a place may hold. */
export interface Shape {
  readonly required?: readonly string[];
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly additionalProperties?: Shape | boolean;
  readonly anyOf?: readonly Shape[];
}

export const configurationShape = z.toJSONSchema(configurationSpec, { io: 'input' }) as Shape;

/** Every key a file may hold, as paths: `providers`, `providers[].name`, … */
export function configurationKeys(): string[] {
  return keysOf(configurationShape, '');
}

function keysOf(shape: Shape, path: string): string[] {
  const own = Object.entries(shape.properties ?? {}).flatMap(([key, inner]) => {
    const keyPath = path === '' ? key : `${path}.${key}`;
    return [keyPath, ...keysOf(inner, keyPath)];
  });
  const items = shape.items === undefined ? [] : keysOf(shape.items, `${path}[]`);
  const branches = (shape.anyOf ?? []).flatMap((branch) => keysOf(branch, path));
  return [...own, ...items, ...branches];
}

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return false;
  return [url.username, url.password, url.search, url.hash].every((part) => part === '');
}
