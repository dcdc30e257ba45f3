// What a route may say beyond its members: rules about who answers which requests, copies of traffic to somebody whose answer nobody
// waits for, and second attempts beside slow ones. Lists are alternatives: one entry that fits is enough. Different conditions
// have to hold together.
import { z } from 'zod';
import { capabilityNames } from '../capabilities.ts';
import { limits } from '../limits.ts';
import { listOf, oneOrMore, pattern, publicName, shortDurationOr } from './names.ts';
import { rangeOf, rangePattern } from './range.ts';
import { daysPattern, isTimeZone, timeOfDayPattern } from './times.ts';

const PERCENT = 100;
/** Sums of written percentages are as exact as binary fractions are. */
const ROUNDING = 1e-6;

/** Whose values are credentials and have no place in a configuration. */
const secretHeaders = [
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'cookie',
];

const percent = z.number().min(0).max(PERCENT);
const patterns = oneOrMore(pattern);

const headerName = z
  .string()
  .max(limits.nameLengthMax)
  .regex(/^[a-z0-9-]+$/, 'must be a header name in small letters')
  .refine((name) => !secretHeaders.includes(name), 'holds credentials; use keys, teams or metadata instead');
const metadataName = z.string().min(1).max(limits.nameLengthMax);

function range(example: string) {
  return z
    .string()
    .regex(rangePattern, { error: `must be a range such as ${example}`, abort: true })
    .refine((written) => {
      const { min = 0, max = Number.POSITIVE_INFINITY } = rangeOf(written);
      return min <= max;
    }, 'must not end before it begins');
}

const timeWindow = z
  .strictObject({
    days: oneOrMore(z.string().regex(daysPattern, 'must be days such as mon or mon-fri'))
      .optional()
      .describe('On which days: `mon`, `mon-fri`. The default is all.'),
    from: z
      .string()
      .regex(timeOfDayPattern, 'must be a time such as 08:30, in quotes')
      .refine((time) => time !== '24:00', 'must be before 24:00')
      .default('00:00')
      .describe('When it begins.'),
    to: z
      .string()
      .regex(timeOfDayPattern, 'must be a time such as 18:00, in quotes')
      .default('24:00')
      .describe('When it is over. Earlier than `from`: on the next day.'),
    zone: z
      .string()
      .max(limits.nameLengthMax)
      .refine(isTimeZone, 'must be a time zone such as Europe/Berlin')
      .default('UTC')
      .describe('The time zone, as IANA calls it.')
      .meta({ examples: ['Europe/Berlin'] }),
  })
  .describe('A time of the week.');

export const conditionsSpec = z
  .strictObject({
    keys: patterns.optional().describe('Ids or names of API keys.'),
    teams: patterns.optional().describe('The `team` in the metadata of the API key.'),
    users: patterns.optional().describe('Whom the client says it is asking for.'),
    metadata: z
      .record(metadataName, patterns)
      .optional()
      .describe('Entries of the metadata of the request or of its key; `*` means that there is one.')
      .meta({ examples: [{ feature: 'chat' }] }),
    tags: patterns.optional().describe('Tags of the request.'),
    headers: z
      .record(headerName, patterns)
      .optional()
      .describe('Headers of the request; `*` means that it is there.')
      .meta({ examples: [{ 'x-environment': 'staging' }] }),
    models: patterns.optional().describe('What the client sent as `model`: this route, or an alias of it.'),
    input_tokens: range('">=4000", "<=200" or "200..4000"')
      .optional()
      .describe('About how many tokens the request has.')
      .meta({ examples: ['>=4000'] }),
    needs: oneOrMore(z.enum(capabilityNames)).optional().describe('What the request needs beyond text.'),
    stream: z.boolean().optional().describe('Whether a stream is asked for.'),
    regions: patterns.optional().describe('Where the data plane is that got the request.'),
    times: z.array(timeWindow).min(1).max(limits.ruleValuesMax).optional().describe('When.'),
    cost: range('">=0.01", "<=0.5" or "0.01..0.5"')
      .optional()
      .describe('What the cheapest member is expected to take for this request, in dollars.')
      .meta({ examples: ['>=0.05'] }),
  })
  .describe('Conditions, all of which have to hold.');

const stickyBy = z
  .string()
  .max(limits.nameLengthMax)
  .regex(/^(request|key|user|metadata\..+)$/, 'must be request, key, user or metadata.<name>');

const splitSpec = z
  .strictObject({
    by: stickyBy
      .default('key')
      .describe(
        'What always gets the same share: `key`, `user`, `metadata.<name>`, or `request` for every one by itself. Requests that do not have it go by key.',
      ),
    shares: z
      .array(
        z.strictObject({
          model: publicName.describe('A model, or any other public name.'),
          percent: percent.describe('Its share.'),
        }),
      )
      .min(1)
      .max(limits.ruleValuesMax)
      .refine(
        (shares) => Math.abs(shares.reduce((sum, share) => sum + share.percent, 0) - PERCENT) < ROUNDING,
        'must add up to 100 percent',
      )
      .describe('Who gets how much. The others are asked when the one that was chosen fails.'),
  })
  .describe('Shares of the requests, for trying out a new model on some of them.');

const onlySpec = z
  .strictObject({
    providers: patterns.optional().describe('Names of providers.'),
    regions: patterns.optional().describe('Regions of deployments.'),
    tags: patterns.optional().describe('Tags of deployments.'),
  })
  .refine(
    (only) => Object.values(only).some((value) => value !== undefined),
    'needs providers, regions or tags',
  );

const outcomes = {
  use: oneOrMore(publicName)
    .optional()
    .describe("Only these public names, chosen between by the route's strategy."),
  exclude: patterns.optional().describe('Anyone but these public names.'),
  pin: publicName.optional().describe('Only this public name, and no fallback.'),
  split: splitSpec.optional(),
  only: onlySpec.optional().describe('Only deployments like these, such as those of one region.'),
  max_cost: z
    .number()
    .positive()
    .optional()
    .describe('Only members for which this request is expected to cost at most so much, in dollars.'),
};
type OutcomeName = keyof typeof outcomes;
const outcomeNames = Object.keys(outcomes) as OutcomeName[];

export const routeRuleSpec = z
  .strictObject({
    name: z
      .string()
      .max(limits.nameLengthMax)
      .default('')
      .describe('A title for people, and for the answer to why a request went where it did.'),
    when: conditionsSpec.default({}).describe('The rule applies when all of this holds.'),
    unless: conditionsSpec.default({}).describe('… and none of this.'),
    ...outcomes,
  })
  .refine(
    (rule) => outcomeNames.filter((name) => rule[name] !== undefined).length === 1,
    `needs exactly one of ${outcomeNames.join(', ')}`,
  )
  .describe('Who answers which requests. All exclusions hold; of the other rules the first that applies.');

export const routeRulesSpec = z
  .array(routeRuleSpec)
  .max(limits.routeRulesMax)
  .default([])
  .describe('Who answers which requests.');

export const mirrorSpec = z
  .strictObject({
    to: publicName.describe('Who gets the copies: any public name.').meta({ examples: ['gpt-next'] }),
    percent: percent.default(PERCENT).describe('The share of the requests that is copied.'),
    by: stickyBy.default('request').describe('What is copied always or never: see `split.by`.'),
    when: conditionsSpec.default({}).describe('Only requests for which all of this holds.'),
  })
  .describe('Copies of requests, whose answers nobody waits for. Clients see nothing of them.');

export const mirrorsSpec = z
  .array(mirrorSpec)
  .max(limits.routeRulesMax)
  .default([])
  .describe('Who gets copies of the requests.');

export const hedgeSpec = z
  .strictObject({
    delay: shortDurationOr('p95')
      .default('p95')
      .describe(
        'When to send a second attempt: after this long, or `p95`, once nineteen of twenty streams would have begun.',
      )
      .meta({ examples: ['p95', '800ms'] }),
    requests: percent.default(5).describe('Second attempts, at most, as a percentage of the requests.'),
    spend: percent.default(5).describe('What they cost, at most, as a percentage of what the route costs.'),
  })
  .describe('A second attempt elsewhere when the first takes long; the first that answers is taken.');

export type ConditionsSpec = z.output<typeof conditionsSpec>;
export type RouteRuleSpec = z.output<typeof routeRuleSpec>;
export type MirrorSpec = z.output<typeof mirrorSpec>;
export type HedgeSpec = z.output<typeof hedgeSpec>;

export interface NamedPlace {
  readonly name: string;
  /** Relative to the route. */
  readonly path: string;
}

/** As much of a rule as leads to other names. */
export type NamingRule = Partial<Pick<RouteRuleSpec, 'use' | 'pin' | 'split'>>;

/** Every public name that rules and mirrors lead to, to be checked with the rest of the configuration. */
export function namesInRules({
  rules,
  mirrors,
}: {
  readonly rules: readonly NamingRule[];
  readonly mirrors: readonly { readonly to: string }[];
}): readonly NamedPlace[] {
  const ofRules = rules.flatMap(({ use, pin, split }, index) => [
    ...listOf(use).map((name, place) => ({
      name,
      path: Array.isArray(use) ? `rules[${index}].use[${place}]` : `rules[${index}].use`,
    })),
    ...listOf(pin).map((name) => ({ name, path: `rules[${index}].pin` })),
    ...(split?.shares ?? []).map(({ model }, place) => ({
      name: model,
      path: `rules[${index}].split.shares[${place}].model`,
    })),
  ]);
  return [...ofRules, ...mirrors.map(({ to }, index) => ({ name: to, path: `mirrors[${index}].to` }))];
}
