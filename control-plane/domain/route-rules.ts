// What a route says about who answers which requests, in the words of data planes. The kinds of conditions are a table: how each is
// written, and what becomes of it. Pure.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type AbilitiesSchema,
  type Condition,
  ConditionSchema,
  type HedgeSchema,
  type Mirror,
  MirrorSchema,
  type RouteRule,
  RouteRuleSchema,
  type StickySchema,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { durationMs } from '#shared/configuration/duration.ts';
import { listOf } from '#shared/configuration/names.ts';
import { type Range, rangeOf } from '#shared/configuration/range.ts';
import type {
  ConditionsSpec,
  HedgeSpec,
  MirrorSpec,
  RouteRuleSpec,
} from '#shared/configuration/route-rules.ts';
import { minuteOfDay, weekdaysOf } from '#shared/configuration/times.ts';

const NANO_DOLLARS = 1e9;

type ConditionName = keyof ConditionsSpec;
type Written<Name extends ConditionName> = NonNullable<ConditionsSpec[Name]>;
type ConditionInit = Omit<MessageInitShape<typeof ConditionSchema>, '$typeName' | 'kind'>;

/** One condition each, but for those that look at several fields. */
const rows: { readonly [Name in ConditionName]-?: (written: Written<Name>) => readonly ConditionInit[] } = {
  keys: oneOf,
  teams: oneOf,
  users: oneOf,
  metadata: eachField,
  tags: oneOf,
  headers: eachField,
  models: oneOf,
  input_tokens: (written) => within(rangeOf(written)),
  needs: oneOf,
  stream: (written) => oneOf(String(written)),
  regions: oneOf,
  times: (written) => [
    {
      times: written.map(({ days, from, to, zone }) => ({
        weekdays: [...weekdaysOf(listOf(days))],
        fromMinute: minuteOfDay(from),
        toMinute: minuteOfDay(to),
        zone,
      })),
    },
  ],
  cost: (written) => {
    const { min, max } = rangeOf(written);
    return within({ min: inNanoDollars(min), max: inNanoDollars(max) });
  },
};

export function ruleMessages(rules: readonly RouteRuleSpec[]): RouteRule[] {
  return rules.map((rule) =>
    create(RouteRuleSchema, {
      name: rule.name,
      when: conditionMessages(rule.when),
      unless: conditionMessages(rule.unless),
      outcome: outcomeOf(rule),
    }),
  );
}

export function mirrorMessages(mirrors: readonly MirrorSpec[]): Mirror[] {
  return mirrors.map(({ to, percent, by, when }) =>
    create(MirrorSchema, { to, percent, by: stickyOf(by), when: conditionMessages(when) }),
  );
}

/** To be spread into a message that has the field: nothing where nobody hedges. */
export function hedgeField(written: HedgeSpec | undefined): { hedge?: MessageInitShape<typeof HedgeSchema> } {
  if (written === undefined) return {};
  const { delay, requests, spend } = written;
  const delayMs = delay === 'p95' ? 0 : durationMs(delay);
  return { hedge: { delayMs, requestPercent: requests, spendPercent: spend } };
}

/** To be spread likewise: without capabilities nobody knows, which is more than an empty list. */
export function abilitiesField(capabilities: readonly string[] | undefined): {
  abilities?: MessageInitShape<typeof AbilitiesSchema>;
} {
  return capabilities === undefined ? {} : { abilities: { names: [...capabilities] } };
}

function conditionMessages(conditions: ConditionsSpec): Condition[] {
  return (Object.keys(rows) as ConditionName[]).flatMap((kind) => {
    const written = conditions[kind];
    if (written === undefined) return [];
    const row = rows[kind] as (written: unknown) => readonly ConditionInit[];
    return row(written).map((init) => create(ConditionSchema, { ...init, kind }));
  });
}

function outcomeOf({
  use,
  exclude,
  pin,
  split,
  only,
  max_cost,
}: RouteRuleSpec): MessageInitShape<typeof RouteRuleSchema>['outcome'] & object {
  if (use !== undefined) return { case: 'use', value: { names: [...listOf(use)] } };
  if (exclude !== undefined) return { case: 'exclude', value: { names: [...listOf(exclude)] } };
  if (pin !== undefined) return { case: 'pin', value: pin };
  if (split !== undefined) {
    const shares = split.shares.map(({ model, percent }) => ({ name: model, percent }));
    return { case: 'split', value: { shares, by: stickyOf(split.by) } };
  }
  if (only !== undefined) {
    const { providers, regions, tags } = only;
    return {
      case: 'only',
      value: { providers: [...listOf(providers)], regions: [...listOf(regions)], tags: [...listOf(tags)] },
    };
  }
  return max_cost === undefined
    ? { case: undefined }
    : { case: 'costMax', value: BigInt(inNanoDollars(max_cost)!) };
}

function stickyOf(by: string): MessageInitShape<typeof StickySchema> {
  const [kind, ...field] = by.split('.');
  return { kind: kind!, field: field.join('.') };
}

function oneOf(written: string | readonly string[]): readonly ConditionInit[] {
  return [{ values: [...listOf(written)] }];
}

function eachField(written: Readonly<Record<string, string | readonly string[]>>): readonly ConditionInit[] {
  return Object.entries(written).map(([field, values]) => ({ field, values: [...listOf(values)] }));
}

function within({ min, max }: Range): readonly ConditionInit[] {
  return [{ ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }];
}

function inNanoDollars(dollars: number | undefined): number | undefined {
  return dollars === undefined ? undefined : Math.round(dollars * NANO_DOLLARS);
}
