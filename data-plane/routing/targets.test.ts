import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { anyAskedName, anyConditions, anySnapshot, stateWith } from '#test/harness/any-routing.ts';
import { routedOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { isAboutKey } from './failures.ts';
import { KeyUsage } from './key-usage.ts';
import { keySubject, subjectsOf } from './members.ts';
import { type Candidate, planFor } from './plan.ts';
import { RetryBudget } from './retry-budget.ts';
import type { RoutingState } from './routing-state.ts';
import { type ChosenTarget, Targets } from './targets.ts';

const NOW_MS = 1000;
const codes: readonly ErrorCode[] = [
  'upstream_error',
  'upstream_timeout',
  'upstream_overloaded',
  'upstream_rate_limited',
  'upstream_unauthorized',
];
/** `beside`: another is asked beside it. It fails itself, and its key of the one that was there before. */
type Step = ErrorCode | 'impossible' | 'beside';
const anySteps = fc.array(fc.constantFrom<Step>(...codes, 'impossible', 'beside'), {
  minLength: 40,
  maxLength: 40,
});

interface Walk {
  readonly candidates: readonly Candidate[];
  readonly asked: readonly ChosenTarget[];
  /** What became of each of those asked. */
  readonly steps: readonly Step[];
  readonly passedOver: ReadonlySet<string>;
}

interface WalkOptions {
  readonly snapshot: Snapshot;
  readonly state: RoutingState;
  readonly name: string;
  readonly steps?: readonly Step[];
  readonly retries?: number;
  readonly attemptsMax?: number;
}

/** Asks until there is nobody left, as a request would to which nobody has an answer. */
function walk({ snapshot, state, name, ...options }: WalkOptions): Walk {
  const random = seededRandom(3);
  const plan = planFor(snapshot, name, { state, random, nowMs: NOW_MS, request: routedOf() });
  const candidates = plan?.candidates ?? [];
  const passedOver = new Set<string>();
  const targets = new Targets({
    candidates,
    state,
    keyUsage: new KeyUsage(),
    budget: new RetryBudget({ share: 0, floor: options.retries ?? 100, halfLifeMs: 1000 }),
    nowMs: () => NOW_MS,
    random,
    attemptsMax: options.attemptsMax ?? 100,
    onPassedOver: ({ deployment }) => void passedOver.add(deployment.id),
  });
  const asked: ChosenTarget[] = [];
  const steps: Step[] = [];
  for (let target = targets.next(); target !== undefined; target = targets.next()) {
    const given = options.steps?.[asked.length % options.steps.length] ?? 'upstream_error';
    const step = given === 'beside' ? 'upstream_rate_limited' : given;
    asked.push(target);
    steps.push(step);
    const [other] = given === 'beside' ? targets.others() : [];
    const second = other && targets.beside(other, () => true);
    if (second) {
      asked.push(second);
      steps.push('beside');
      targets.failed(new SignalboxError('upstream_error', 'It failed.'), { target: second });
    }
    if (step === 'impossible') targets.impossible();
    else targets.failed(new SignalboxError(step, 'It failed.'), { target });
    expect(asked.length).toBeLessThan(200);
  }
  return { candidates, asked, steps, passedOver };
}

function isShutOff(state: RoutingState, { deployment }: Candidate): boolean {
  return subjectsOf(deployment, undefined).some((subject) => !state.health.isAvailable(subject, NOW_MS));
}

const anyWalk = fc
  .record({
    snapshot: anySnapshot,
    name: anyAskedName,
    conditions: anyConditions,
    steps: anySteps,
    retries: fc.nat({ max: 10 }),
    attemptsMax: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ conditions, ...rest }) => ({ ...rest, state: stateWith(rest.snapshot, conditions, NOW_MS) }));

function holds(promise: (options: Required<WalkOptions>, made: Walk) => void): void {
  fc.assert(
    fc.property(anyWalk, (options) => promise(options, walk(options))),
    { numRuns: 150 },
  );
}

describe('whatever is configured, whoever is ill and however it fails', () => {
  test('each deployment is asked at most once with each key', () => {
    holds((_, { asked }) => {
      const targets = asked.map(({ candidate, key }) => `${candidate.deployment.id} ${key?.id}`);
      expect(new Set(targets).size).toBe(targets.length);
    });
  });

  test('no more is sent than the limit and the retry budget allow', () => {
    holds(({ attemptsMax, retries }, { steps }) => {
      const sent = steps.filter((step) => step !== 'impossible').length;
      const beside = steps.filter((step) => step === 'beside').length;
      expect(sent).toBeLessThanOrEqual(Math.min(attemptsMax, 1 + retries + beside));
    });
  });

  test('the same deployment is asked again only where its key was at fault', () => {
    holds((_, { asked, steps }) => {
      for (const [index, { candidate }] of asked.entries()) {
        const before = asked.slice(0, index).findLastIndex((target) => target.candidate === candidate);
        if (before === -1) continue;
        const step = steps[before]!;
        const isCode = step !== 'impossible' && step !== 'beside';
        expect(isCode && isAboutKey(new SignalboxError(step, ''))).toBe(true);
      }
    });
  });

  test('nobody who rests or is shut off is asked before everyone else has been', () => {
    holds(({ state }, { candidates, asked, passedOver }) => {
      for (const [index, { candidate, isLastResort }] of asked.entries()) {
        expect(isLastResort).toBe(isShutOff(state, candidate));
        if (!isLastResort) continue;
        const before = new Set(asked.slice(0, index).map((target) => target.candidate));
        const spared = candidates.filter(
          (other) => !isShutOff(state, other) && !before.has(other) && !passedOver.has(other.deployment.id),
        );
        expect(spared).toEqual([]);
      }
    });
  });

  test('somebody is asked as long as anyone has a key to be asked with', () => {
    holds(({ state }, { candidates, asked }) => {
      const canBeAsked = candidates.some(({ deployment: { provider } }) => {
        const { keys } = provider;
        return keys.length === 0 || keys.some((key) => state.health.restMs(keySubject(key), NOW_MS) === 0);
      });
      expect(asked.length > 0).toBe(canBeAsked);
    });
  });

  test('no resting key is used', () => {
    holds(({ state }, { asked }) => {
      for (const { key } of asked) {
        if (key !== undefined) expect(state.health.restMs(keySubject(key), NOW_MS)).toBe(0);
      }
    });
  });

  test('a key without weight is used only when no other is left', () => {
    holds(({ state }, { asked }) => {
      for (const [index, { candidate, key }] of asked.entries()) {
        if (key === undefined || key.weight > 0) continue;
        const used = asked.slice(0, index).filter((target) => target.candidate === candidate);
        const left = candidate.deployment.provider.keys.filter(
          (other) =>
            other.weight > 0 &&
            state.health.restMs(keySubject(other), NOW_MS) === 0 &&
            !used.some((target) => target.key === other),
        );
        expect(left).toEqual([]);
      }
    });
  });
});

describe('when members are shut off', () => {
  const names = ['a', 'b', 'c', 'd'];
  const deployments = names.map((name, index) =>
    deploymentOf('m', providerOf(name, { keys: [providerKeyOf(`${name}-key`)] }), {
      id: name,
      priority: index,
    }),
  );
  const snapshot = snapshotOf({ deployments });
  const order = (broken: readonly string[], options: Partial<WalkOptions> = {}) => {
    const state = stateWith(
      snapshot,
      names.map((name) => (broken.includes(name) ? 'broken' : 'well')).concat(Array(8).fill('well')),
      NOW_MS,
    );
    const { asked } = walk({ snapshot, state, name: 'm', ...options });
    return asked.map(({ candidate }) => candidate.deployment.id);
  };

  test('up to half of them are left alone, also after the others have failed', () => {
    expect(order([])).toEqual(['a', 'b', 'c', 'd']);
    expect(order(['a'])).toEqual(['b', 'c', 'd']);
    expect(order(['a', 'c'])).toEqual(['b', 'd']);
  });

  test('more than half is a panic: they are asked again, but after those who are well', () => {
    expect(order(['a', 'b', 'c'])).toEqual(['d', 'a', 'b', 'c']);
    expect(order(names)).toEqual(names);
  });

  test('a target that could not be asked costs no retry', () => {
    const steps: Step[] = ['upstream_error', 'impossible', 'upstream_error', 'upstream_error'];
    expect(order([], { steps, retries: 1 })).toEqual(['a', 'b', 'c']);
  });
});

describe('a target beside the one that is asked', () => {
  const names = ['a', 'b', 'c'];
  const deployments = names.map((name, index) => {
    const provider = providerOf(name, { keys: [providerKeyOf(`${name}-1`), providerKeyOf(`${name}-2`)] });
    return deploymentOf('m', provider, { id: name, priority: index });
  });
  const snapshot = snapshotOf({ deployments });

  function open(options: { readonly retries: number; readonly attemptsMax?: number }): Targets {
    const state = stateWith(snapshot, Array(12).fill('well'), NOW_MS);
    const random = seededRandom(3);
    return new Targets({
      candidates: planFor(snapshot, 'm', { state, random, nowMs: NOW_MS, request: routedOf() })!.candidates,
      state,
      keyUsage: new KeyUsage(),
      budget: new RetryBudget({ share: 0, floor: options.retries, halfLifeMs: 1000 }),
      nowMs: () => NOW_MS,
      random,
      attemptsMax: options.attemptsMax ?? 8,
      onPassedOver: () => {},
    });
  }
  const idOf = (target: ChosenTarget | undefined) => target?.candidate.deployment.id;
  const failed = (code: ErrorCode) => new SignalboxError(code, 'It failed.');

  test('costs no retry, and is not asked again', () => {
    const targets = open({ retries: 1 });
    const first = targets.next()!;
    const second = targets.beside(targets.others()[1]!, () => true)!;
    expect([idOf(first), idOf(second)]).toEqual(['a', 'c']);
    for (const target of [first, second]) targets.failed(failed('upstream_error'), { target });
    expect(idOf(targets.next())).toBe('b');
    targets.failed(failed('upstream_error'));
    expect(targets.next()).toBeUndefined();
  });

  test('keeps its place in the order when it is not asked after all', () => {
    const targets = open({ retries: 8 });
    targets.next();
    expect(targets.beside(targets.others()[0]!, () => false)).toBeUndefined();
    targets.failed(failed('upstream_error'));
    expect(idOf(targets.next())).toBe('b');
  });

  test('is asked again with another key where its key was at fault, and so is the first', () => {
    const targets = open({ retries: 8 });
    const first = targets.next()!;
    const second = targets.beside(targets.others()[0]!, () => true)!;
    for (const target of [first, second]) targets.failed(failed('upstream_unauthorized'), { target });
    const more: ChosenTarget[] = [];
    for (let target = targets.next(); target !== undefined; target = targets.next()) {
      more.push(target);
      targets.failed(failed('upstream_unauthorized'), { target });
    }
    expect(more.map(idOf)).toEqual(['a', 'b', 'c', 'c']);
    const used = [first, second, ...more].map(({ key }) => key?.id);
    expect(new Set(used).size).toBe(6);
  });

  test('asking on after nothing was sent takes no retry, after anything else one', () => {
    const targets = open({ retries: 0 });
    targets.next();
    targets.failed(failed('upstream_unreachable'), { wasSent: false });
    expect(idOf(targets.next())).toBe('b');
    targets.failed(failed('upstream_unreachable'));
    expect(targets.next()).toBeUndefined();
  });

  test('counts as one of those that a request may ask', () => {
    const targets = open({ retries: 8, attemptsMax: 2 });
    targets.next();
    expect(targets.beside(targets.others()[0]!, () => true)).toBeDefined();
    expect(targets.others()).toEqual([]);
    targets.failed(failed('upstream_error'));
    expect(targets.next()).toBeUndefined();
  });
});
