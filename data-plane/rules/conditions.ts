// What a rule can ask of a request, as a table. Each row turns what a configuration says into a pure question; what a row cannot make
// sense of is reported with the field at fault, because a rule that is half understood is worse than none.
import type { Condition } from '#proto/signalbox/config/v1/config_pb.ts';
import { capabilityNames, isCapability } from '#shared/capabilities.ts';
import { metadataOf, type Offer, type RequestFacts } from './facts.ts';
import { matchesAny } from './name-patterns.ts';
import { compileTimeWindow } from './time-windows.ts';

export type Holds = (facts: RequestFacts, offer: Offer) => boolean;

/** Gives nothing, so that whoever reports can return it. */
export type Report = (field: string, code: string, message: string) => undefined;

type Compile = (
  condition: Condition,
  report: (code: string, message: string) => undefined,
) => Holds | undefined;

const rows: Readonly<Record<string, Compile>> = {
  keys: anyWord(({ keyId, keyName }) => [keyId, keyName]),
  teams: anyWord(({ keyMetadata }) => present(keyMetadata.team)),
  users: anyWord(({ user }) => present(user)),
  metadata: anyWord((facts, field) => present(metadataOf(facts, field))),
  tags: anyWord(({ tags }) => tags),
  headers: anyWord(({ header }, field) => present(header(field))),
  models: anyWord(({ model }) => [model]),
  regions: anyWord(({ region }) => present(region)),
  input_tokens: within(({ inputTokens }) => inputTokens),
  cost: within((_, { names, costOf }) => cheapest(names.map(costOf))),
  needs: compileNeeds,
  stream: compileStream,
  times: compileTimes,
};

/** Every kind there is, to be compared with what configuration accepts. */
export const conditionKinds: readonly string[] = Object.keys(rows);

/** All of them together; undefined, and reported, when one of them cannot work. */
export function compileConditions(
  conditions: readonly Condition[],
  field: string,
  report: Report,
): readonly Holds[] | undefined {
  const compiled = conditions.map((condition) => {
    const { kind } = condition;
    const place = condition.field === '' ? `${field}.${kind}` : `${field}.${kind}.${condition.field}`;
    const row = Object.hasOwn(rows, kind) ? rows[kind] : undefined;
    if (row === undefined) {
      return report(place, 'unknown_condition', `This build does not know the condition "${kind}".`);
    }
    return row(condition, (code, message) => report(place, code, message));
  });
  return compiled.every((holds) => holds !== undefined) ? compiled : undefined;
}

function anyWord(wordsOf: (facts: RequestFacts, field: string) => readonly string[]): Compile {
  return ({ field, values }, report) => {
    if (values.length === 0)
      return report('missing', 'The condition has no values, so nothing could meet it.');
    const matches = matchesAny(values);
    return (facts) => wordsOf(facts, field).some(matches);
  };
}

function within(figureOf: (facts: RequestFacts, offer: Offer) => number | undefined): Compile {
  return ({ min, max }, report) => {
    if (min === undefined && max === undefined) {
      return report('missing', 'The condition has neither a least nor a most.');
    }
    return (facts, offer) => {
      const figure = figureOf(facts, offer);
      // What nobody knows meets no condition.
      return figure !== undefined && figure >= (min ?? 0) && figure <= (max ?? Number.POSITIVE_INFINITY);
    };
  };
}

function compileNeeds({ values }: Condition, report: (code: string, message: string) => undefined) {
  const wanted = values.filter(isCapability);
  const unknown = values.find((value) => !isCapability(value));
  if (unknown !== undefined || wanted.length === 0) {
    const known = capabilityNames.join(', ');
    return report('unknown_capability', `"${unknown ?? ''}" is none of the capabilities ${known}.`);
  }
  return ({ needs }: RequestFacts) => wanted.some((capability) => needs.has(capability));
}

function compileStream({ values }: Condition, report: (code: string, message: string) => undefined) {
  const [wanted] = values;
  if (wanted !== 'true' && wanted !== 'false') {
    return report('malformed', `The condition has to be true or false, not "${wanted ?? ''}".`);
  }
  return ({ isStream }: RequestFacts) => isStream === (wanted === 'true');
}

function compileTimes({ times }: Condition, report: (code: string, message: string) => undefined) {
  if (times.length === 0) return report('missing', 'The condition has no times, so it would never hold.');
  const windows = times.map((window) => {
    const compiled = compileTimeWindow(window);
    if (compiled !== undefined) return compiled;
    return report('unknown_zone', `This machine does not know the time zone "${window.zone}".`);
  });
  if (!windows.every((window) => window !== undefined)) return undefined;
  return ({ wallMs }: RequestFacts) => windows.some((isNow) => isNow(wallMs));
}

function present(word: string | undefined): readonly string[] {
  return word === undefined || word === '' ? [] : [word];
}

function cheapest(costs: readonly (number | undefined)[]): number | undefined {
  const known = costs.filter((cost) => cost !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
