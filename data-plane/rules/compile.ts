// From a route's messages to functions that are asked for every request. Whatever this build does not understand is reported, so that a
// configuration is refused as a whole instead of being followed in part.
import type { Mirror, RouteRule } from '#proto/signalbox/config/v1/config_pb.ts';
import { compileConditions, type Holds, type Report } from './conditions.ts';
import { matchesAny } from './name-patterns.ts';
import { compileOwner, type OwnerOf } from './split.ts';

export interface RouteRules {
  readonly rules: readonly CompiledRule[];
  readonly mirrors: readonly CompiledMirror[];
}

export interface CompiledRule {
  /** As people know it: its name, or its place. */
  readonly title: string;
  readonly applies: Holds;
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly kind: 'use'; readonly names: readonly string[] }
  | { readonly kind: 'exclude'; readonly matches: (name: string) => boolean }
  | { readonly kind: 'pin'; readonly name: string }
  | {
      readonly kind: 'split';
      readonly shares: readonly Share[];
      readonly ownerOf: OwnerOf;
      readonly purpose: string;
    }
  | { readonly kind: 'only'; readonly whyNot: (deployment: DeploymentTraits) => string | undefined }
  | { readonly kind: 'cost'; readonly costMax: number };

export interface Share {
  readonly name: string;
  readonly percent: number;
}

export interface CompiledMirror {
  readonly to: string;
  readonly share: number;
  readonly applies: Holds;
  readonly ownerOf: OwnerOf;
  readonly purpose: string;
}

/** As much of a deployment as rules look at. */
export interface DeploymentTraits {
  /** Its public name. */
  readonly model: string;
  readonly provider: { readonly name: string };
  readonly region: string;
  readonly tags: readonly string[];
}

interface RuledRoute {
  readonly slug: string;
  readonly rules: readonly RouteRule[];
  readonly mirrors: readonly Mirror[];
}

const PERCENT = 100;

/** Undefined, and reported, when any part of it cannot work. Fields are as the configuration has them. */
export function compileRouteRules(route: RuledRoute, report: Report): RouteRules | undefined {
  const rules = route.rules.map((rule, index) => compileRule(route, rule, index, report));
  const mirrors = route.mirrors.map((mirror, index) => compileMirror(route, mirror, index, report));
  if (!rules.every((rule) => rule !== undefined) || !mirrors.every((mirror) => mirror !== undefined)) {
    return undefined;
  }
  return Object.freeze({ rules: Object.freeze(rules), mirrors: Object.freeze(mirrors) });
}

function compileRule(
  { slug }: RuledRoute,
  rule: RouteRule,
  index: number,
  report: Report,
): CompiledRule | undefined {
  const field = `rules[${index}]`;
  const title = rule.name === '' ? `rule ${index + 1}` : `rule "${rule.name}"`;
  const applies = compileApplies(rule, field, report);
  // By its name, so that inserting another rule above does not place everybody anew.
  const purpose = `${slug}\0${rule.name === '' ? index : rule.name}`;
  const outcome = compileOutcome(rule.outcome, { field, purpose, report });
  return applies && outcome && Object.freeze({ title, applies, outcome });
}

function compileApplies(
  { when, unless }: Pick<RouteRule, 'when' | 'unless'>,
  field: string,
  report: Report,
): Holds | undefined {
  const wanted = compileConditions(when, `${field}.when`, report);
  const unwanted = compileConditions(unless, `${field}.unless`, report);
  if (wanted === undefined || unwanted === undefined) return undefined;
  return (facts, offer) =>
    wanted.every((holds) => holds(facts, offer)) && !unwanted.some((holds) => holds(facts, offer));
}

function compileOutcome(
  outcome: RouteRule['outcome'],
  { field, purpose, report }: { readonly field: string; readonly purpose: string; readonly report: Report },
): Outcome | undefined {
  switch (outcome.case) {
    case 'use':
      return { kind: 'use', names: Object.freeze([...outcome.value.names]) };
    case 'exclude':
      return { kind: 'exclude', matches: matchesAny(outcome.value.names) };
    case 'pin':
      return { kind: 'pin', name: outcome.value };
    case 'split': {
      const shares = outcome.value.shares.map(({ name, percent }): Share => ({ name, percent }));
      if (!shares.some(({ percent }) => percent > 0)) {
        return report(`${field}.split.shares`, 'missing', 'The split gives nobody a share.');
      }
      const ownerOf = compileOwner(outcome.value.by, `${field}.split.by`, report);
      return ownerOf && { kind: 'split', shares: Object.freeze(shares), ownerOf, purpose };
    }
    case 'only':
      return { kind: 'only', whyNot: compileOnly(outcome.value) };
    case 'costMax':
      return { kind: 'cost', costMax: Number(outcome.value) };
    default:
      return report(field, 'unknown_outcome', 'This build does not know what the rule is to do.');
  }
}

function compileOnly({
  providers,
  regions,
  tags,
}: {
  readonly providers: readonly string[];
  readonly regions: readonly string[];
  readonly tags: readonly string[];
}): (deployment: DeploymentTraits) => string | undefined {
  const checks = [
    { what: 'provider', wanted: providers, of: ({ provider }: DeploymentTraits) => [provider.name] },
    { what: 'region', wanted: regions, of: ({ region }: DeploymentTraits) => [region] },
    { what: 'tags', wanted: tags, of: (traits: DeploymentTraits) => traits.tags },
  ]
    .filter(({ wanted }) => wanted.length > 0)
    .map(({ what, wanted, of }) => ({ what, wanted: wanted.join(' or '), of, matches: matchesAny(wanted) }));
  return (deployment) => {
    const failing = checks.find(({ of, matches }) => !of(deployment).some(matches));
    if (failing === undefined) return undefined;
    const has = failing.of(deployment).join(', ');
    return `its ${failing.what} ("${has}") would have to be ${failing.wanted}`;
  };
}

function compileMirror(
  { slug }: RuledRoute,
  mirror: Mirror,
  index: number,
  report: Report,
): CompiledMirror | undefined {
  const field = `mirrors[${index}]`;
  const { to } = mirror;
  const applies = compileApplies({ when: mirror.when, unless: [] }, field, report);
  const ownerOf = compileOwner(mirror.by, `${field}.by`, report);
  if (applies === undefined || ownerOf === undefined) return undefined;
  return Object.freeze({
    to,
    share: mirror.percent / PERCENT,
    applies,
    ownerOf,
    purpose: `${slug}\0mirror\0${to}`,
  });
}
