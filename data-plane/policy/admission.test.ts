import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { principalOf, snapshotOf } from '#test/harness/snapshots.ts';
import { admissionOrder, admitHead, admitRequest } from './admission.ts';

const NOW = 1_000_000;
const snapshot = snapshotOf({
  keys: {
    'sb-good': principalOf('key_good'),
    'sb-old': principalOf('key_old', { expiresAtMs: NOW }),
  },
});

function present(authorization?: string, apiKey?: string) {
  return admitHead({ snapshot, credentials: { authorization, apiKey }, nowMs: NOW });
}

function refusal(attempt: () => unknown): SignalboxError {
  try {
    attempt();
  } catch (thrown) {
    return thrown as SignalboxError;
  }
  throw new RangeError('it was let through');
}

describe('admission', () => {
  test('authenticates before everything else', () => {
    expect(admissionOrder).toEqual(['authenticate', 'authorize-model']);
  });

  test.each([
    ['Bearer sb-good', undefined],
    ['bearer   sb-good ', undefined],
    [undefined, 'sb-good'],
    ['', 'sb-good'],
  ])('knows a key sent as authorization %j, x-api-key %j', (authorization, apiKey) => {
    expect(present(authorization, apiKey).keyId).toBe('key_good');
  });

  test('knows a key sent in Google’s header, and none that stands in the address', () => {
    const credentials = { authorization: undefined, apiKey: undefined, googleApiKey: 'sb-good' };
    expect(admitHead({ snapshot, credentials, nowMs: NOW }).keyId).toBe('key_good');
    const inAddress = { ...credentials, isInAddress: true };
    const error = refusal(() => admitHead({ snapshot, credentials: inAddress, nowMs: NOW }));
    expect(error).toMatchObject({
      code: 'invalid_api_key',
      message: expect.stringContaining('x-goog-api-key'),
    });
  });

  test.each([
    [undefined, undefined, 'missing_api_key'],
    ['', '', 'missing_api_key'],
    ['Bearer sb-unknown', undefined, 'invalid_api_key'],
    ['Bearer ', undefined, 'invalid_api_key'],
    ['Basic c2ItZ29vZA==', undefined, 'invalid_api_key'],
    ['Bearer sb-unknown', 'sb-good', 'invalid_api_key'],
    ['Bearer sb-old', undefined, 'expired_api_key'],
  ])('refuses authorization %j, x-api-key %j as %s', (authorization, apiKey, code) => {
    const error = refusal(() => present(authorization, apiKey));
    expect(error.code).toBe(code);
    expect(error.message).not.toContain('sb-');
  });

  test('lets a key use what it is allowed and refuses the rest without saying whether it exists', () => {
    const principal = principalOf('limited', { mayUse: (name) => name === 'fast' });
    expect(() => admitRequest({ principal, model: 'fast' })).not.toThrow();
    expect(refusal(() => admitRequest({ principal, model: 'gpt-4o' }))).toMatchObject({
      code: 'model_not_allowed',
      param: 'model',
    });
  });
});
