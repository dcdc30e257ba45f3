import { describe, expect, test } from 'vitest';
import { vitalsOf } from '#test/harness/vitals.ts';
import { type HedgeFacts, type HedgeInput, type HedgeTarget, planHedge } from './hedge-plan.ts';

const usual = { delayMs: undefined, requestShareMax: 0.05, spendShareMax: 0.1 };
const settled = { ...usual, delayMs: 800 };
const stream: HedgeFacts = {
  isStream: true,
  choices: 1,
  isKept: false,
  hasEffects: false,
  isBound: false,
};
const known = vitalsOf('a', { weight: 100, firstByteP95Ms: 640 });

const target = (id: string, provider: string): HedgeTarget => ({
  deployment: { id, provider: { name: provider } },
});

function plan(sketch: Partial<HedgeInput<HedgeTarget>> = {}) {
  return planHedge({
    settings: usual,
    facts: stream,
    first: target('a', 'openai'),
    others: [target('a', 'openai'), target('b', 'openai'), target('c', 'azure')],
    vitals: known,
    ...sketch,
  });
}

describe('a second attempt', () => {
  test('is sent when the first is slower than nineteen of twenty, to another provider', () => {
    expect(plan()).toEqual({ kind: 'hedge', delayMs: 640, target: target('c', 'azure') });
  });

  test('goes to another deployment of the same provider where there is no other provider', () => {
    expect(plan({ others: [target('a', 'openai'), target('b', 'openai')] })).toMatchObject({
      target: target('b', 'openai'),
    });
  });

  test('waits as long as somebody has set, for whole answers too', () => {
    const facts = { ...stream, isStream: false };
    expect(plan({ settings: settled, facts, vitals: vitalsOf('a') })).toMatchObject({ delayMs: 800 });
  });

  test('is never sent at once', () => {
    expect(plan({ vitals: vitalsOf('a', { weight: 100, firstByteP95Ms: 2 }) })).toMatchObject({
      delayMs: 20,
    });
  });

  test.each<[string, Partial<HedgeInput<HedgeTarget>>, string]>([
    ['nobody wants any', { settings: undefined }, 'the route does not hedge'],
    ['it is of another kind', { facts: undefined }, 'of this kind'],
    ['there is nobody else', { others: [target('a', 'openai')] }, 'nobody else'],
    [
      'the first is not known well',
      { vitals: vitalsOf('a', { weight: 5, firstByteP95Ms: 9 }) },
      'too little',
    ],
    ['nothing is known of it', { vitals: vitalsOf('a') }, 'too little'],
    ['a whole answer is asked for', { facts: { ...stream, isStream: false } }, 'whole answer'],
    ['several answers are asked for', { facts: { ...stream, choices: 2 } }, 'several answers'],
    ['the answer is kept', { facts: { ...stream, isKept: true } }, 'kept by the provider'],
    ['more than an answer comes of it', { facts: { ...stream, hasEffects: true } }, 'must not happen twice'],
    ['only one can know what it refers to', { facts: { ...stream, isBound: true } }, 'only one provider has'],
  ])('is not sent when %s', (_, sketch, why) => {
    const none = plan(sketch);
    expect(none.kind).toBe('none');
    expect('why' in none && none.why).toContain(why);
  });
});
