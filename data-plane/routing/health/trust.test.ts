import { describe, expect, test } from 'vitest';
import { reportOf } from '#test/harness/health-reports.ts';
import { vitalsOf } from '#test/harness/vitals.ts';
import { addUp } from './other-nodes.ts';
import {
  noExperience,
  type OwnExperience,
  type RemoteEvidence,
  stanceTowards,
  type Trouble,
  withOthers,
} from './trust.ts';

const NOW_MS = 100_000;
const trouble = (sketch: Partial<Trouble> = {}): Trouble => ({
  sinceMs: NOW_MS - 1000,
  openUntilMs: NOW_MS + 2000,
  isNear: true,
  seen: 5,
  failed: 5,
  ...sketch,
});
const halfOpen = trouble({ openUntilMs: NOW_MS - 1 });
const far = trouble({ isNear: false });
const own = (sketch: Partial<OwnExperience> = {}): OwnExperience => ({ ...noExperience, ...sketch });
const succeeded = (agoMs: number) => own({ lastSuccessMs: NOW_MS - agoMs });
const failed = (agoMs: number) => own({ lastFailureMs: NOW_MS - agoMs });

describe('of a fleet of several, this node', () => {
  test.each<[string, readonly Trouble[], OwnExperience, string]>([
    ['trusts whom nobody has trouble with', [], own(), 'trusting'],
    ['is cautious with whom one has shut off', [trouble()], own(), 'cautious'],
    ['is cautious with whom one is trying again', [halfOpen], own(), 'cautious'],
    ['avoids whom two have shut off', [trouble(), trouble()], own(), 'avoiding'],
    ['avoids whom one has shut off and it fails with itself', [trouble()], failed(500), 'avoiding'],
    ['is cautious with whom two are trying again', [halfOpen, halfOpen], own(), 'cautious'],
    ['is cautious with whom one of two is trying again', [trouble(), halfOpen], own(), 'cautious'],
    ['avoids nobody for what only other regions see', [far, far, trouble()], own(), 'cautious'],
    ['takes other regions for no witness beside itself', [far], failed(500), 'cautious'],
    [
      'looks for itself when that has gone on for a minute',
      [trouble({ sinceMs: NOW_MS - 60_000 }), trouble()],
      own({ lastFailureMs: NOW_MS - 61_000, lastBegunMs: NOW_MS - 61_000 }),
      'cautious',
    ],
    [
      'looks once a minute then',
      [trouble({ sinceMs: NOW_MS - 60_000 }), trouble()],
      own({ lastBegunMs: NOW_MS - 59_000 }),
      'avoiding',
    ],
    ['trusts whom it has an answer of since the trouble began', [trouble()], succeeded(900), 'trusting'],
    ['trusts its own answers against two others as well', [trouble(), trouble()], succeeded(900), 'trusting'],
    ['does not take an answer from before the trouble for proof', [trouble()], succeeded(1100), 'cautious'],
    [
      'does not take an answer of long ago for proof',
      [trouble({ sinceMs: 0 })],
      succeeded(31_000),
      'cautious',
    ],
    ['does not take a failure of long ago for a witness', [trouble()], failed(31_000), 'cautious'],
    [
      'does not take a failure before its last success for a witness',
      [trouble()],
      own({ lastFailureMs: NOW_MS - 1300, lastSuccessMs: NOW_MS - 1200 }),
      'cautious',
    ],
  ])('%s', (_what, troubles, experience, kind) => {
    expect(stanceTowards({ troubles, otherNodes: 4 }, experience, NOW_MS).kind).toBe(kind);
  });

  test('avoids until fewer than two have it shut off', () => {
    const troubles = [1000, 5000, 3000].map((ms) => trouble({ openUntilMs: NOW_MS + ms }));
    expect(stanceTowards({ troubles, otherNodes: 4 }, own(), NOW_MS)).toEqual({
      kind: 'avoiding',
      untilMs: NOW_MS + 3000,
    });
    expect(stanceTowards({ troubles, otherNodes: 4 }, own(), NOW_MS + 3000).kind).toBe('cautious');
  });
});

test('of a fleet of two, the word of the other is enough, unless own requests succeed', () => {
  expect(stanceTowards({ troubles: [trouble()], otherNodes: 1 }, own(), NOW_MS).kind).toBe('avoiding');
  expect(stanceTowards({ troubles: [trouble()], otherNodes: 1 }, succeeded(10), NOW_MS).kind).toBe(
    'trusting',
  );
});

describe('the figures of others', () => {
  const evidence = (sketch: Parameters<typeof reportOf>[1], subject = 'deployment:a'): RemoteEvidence =>
    addUp([{ nodeId: 'other', region: '', atMs: NOW_MS, report: reportOf(subject, sketch) }], {
      otherNodes: 3,
      region: '',
    });
  const read = (vitals: Parameters<typeof vitalsOf>[1], remote: RemoteEvidence, experience = own()) =>
    withOthers(vitalsOf('a', vitals), remote, experience, NOW_MS);

  test('stand in where this node has none', () => {
    const vitals = read({}, evidence({ seen: 8, failed: 2, firstByteMs: 300, latencyMs: 900 }));
    expect(vitals).toMatchObject({ weight: 4, successShare: 0.75, firstByteMs: 300, latencyMs: 900 });
  });

  test('weigh less than its own, however many there are', () => {
    const vitals = read(
      { weight: 50, successShare: 1, firstByteMs: 100 },
      evidence({ seen: 100_000, failed: 100_000, firstByteMs: 500 }),
    );
    expect(vitals.successShare).toBe(0.5);
    expect(vitals.firstByteMs).toBe(300);
    const little = read({ weight: 50, firstByteMs: 100 }, evidence({ seen: 10, firstByteMs: 500 }));
    expect(little.firstByteMs).toBeCloseTo((100 * 50 + 500 * 5) / 55);
  });

  test('replace those that this node has almost forgotten', () => {
    const vitals = read({ weight: 0.01, firstByteMs: 9000 }, evidence({ seen: 40, firstByteMs: 200 }));
    expect(vitals.firstByteMs).toBeLessThan(220);
  });

  test('do not lower its opinion when the trouble is another node’s own', () => {
    const remote = evidence({ seen: 20, failed: 20, breaker: 'open', openMs: 2000, troubledMs: 3000 });
    const vitals = read({ weight: 30, successShare: 1 }, remote, succeeded(100));
    expect(vitals).toMatchObject({ successShare: 1, breaker: 'closed', warmth: 1, coolingUntilMs: 0 });
  });

  test('show in doubt as half open, and avoided as open until it may be asked', () => {
    const remote = evidence({ seen: 5, failed: 5, breaker: 'open', openMs: 2000, troubledMs: 3000 });
    expect(read({}, remote)).toMatchObject({ breaker: 'half-open', warmth: 0.1, coolingUntilMs: 0 });
    expect(read({}, remote, failed(10))).toMatchObject({ breaker: 'open', coolingUntilMs: NOW_MS + 2000 });
  });

  test('add up where an account’s limits count all of them', () => {
    const remote = evidence({
      requestsPerMinute: 30,
      tokensPerMinute: 500,
      rateLimitedPerMinute: 2,
      headroom: 0.1,
    });
    expect(read({ requestsPerMinute: 10, tokensPerMinute: 100, headroom: 0.4 }, remote)).toMatchObject({
      requestsPerMinute: 40,
      tokensPerMinute: 600,
      rateLimitedPerMinute: 2,
      headroom: 0.1,
    });
  });

  test('rest a key here too, because the limit is the account’s, and nobody else', () => {
    const remote = evidence({ restMs: 5000 }, 'key:k');
    expect(
      withOthers({ ...vitalsOf('k'), subject: 'key:k' }, remote, succeeded(1), NOW_MS).coolingUntilMs,
    ).toBe(NOW_MS + 5000);
    expect(read({}, evidence({ restMs: 5000 })).coolingUntilMs).toBe(0);
  });
});
