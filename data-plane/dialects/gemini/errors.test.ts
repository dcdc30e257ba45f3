import { describe, expect, test } from 'vitest';
import { type ErrorCode, errorTable, SignalboxError } from '#shared/errors.ts';
import { gemini } from './index.ts';

const google = 'type.googleapis.com/google.rpc.';

function read(code: number, message: string, status: string, details: readonly object[] = []) {
  const body = { error: { code, message, status, details } };
  return gemini.readError(code, {}, Buffer.from(JSON.stringify(body)));
}

describe('what Google refuses with', () => {
  test.each<[string, Parameters<typeof read>, ErrorCode]>([
    [
      'a bad key',
      [
        400,
        'API key not valid.',
        'INVALID_ARGUMENT',
        [{ '@type': `${google}ErrorInfo`, reason: 'API_KEY_INVALID' }],
      ],
      'upstream_unauthorized',
    ],
    ['no permission', [403, 'Permission denied.', 'PERMISSION_DENIED'], 'upstream_unauthorized'],
    [
      'an unknown model',
      [404, 'models/x is not found for API version v1beta', 'NOT_FOUND'],
      'upstream_model_missing',
    ],
    ['a bad field', [400, 'Invalid value at contents[0]', 'INVALID_ARGUMENT'], 'upstream_rejected'],
    [
      'too long a prompt',
      [
        400,
        'The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).',
        'INVALID_ARGUMENT',
      ],
      'context_length_exceeded',
    ],
    [
      'a country',
      [400, 'User location is not supported for the API use.', 'FAILED_PRECONDITION'],
      'upstream_error',
    ],
    ['too many requests', [429, 'Quota exceeded', 'RESOURCE_EXHAUSTED'], 'upstream_rate_limited'],
    ['overload', [503, 'The model is overloaded.', 'UNAVAILABLE'], 'upstream_overloaded'],
    ['a fault', [500, 'An internal error has occurred.', 'INTERNAL'], 'upstream_error'],
    ['a deadline', [504, 'Deadline expired', 'DEADLINE_EXCEEDED'], 'upstream_timeout'],
  ])('is understood: %s', (_, refusal, code) => {
    expect(read(...refusal).code).toBe(code);
  });

  test('says how long to wait in its details', () => {
    const retry = { '@type': `${google}RetryInfo`, retryDelay: '48s' };
    expect(read(429, 'slow', 'RESOURCE_EXHAUSTED', [retry])).toMatchObject({
      code: 'upstream_rate_limited',
      retryAfterMs: 48_000,
    });
  });

  test('is no matter of waiting when the day’s share is used up', () => {
    const violations = [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }];
    const quota = { '@type': `${google}QuotaFailure`, violations };
    expect(read(429, 'slow', 'RESOURCE_EXHAUSTED', [quota]).code).toBe('upstream_quota_exhausted');
  });

  test.each(['', '<html>', '[]', '[{"error":{"message":"x"}}]'])('may be no such thing: %j', (body) => {
    expect(gemini.readError(429, {}, Buffer.from(body)).code).toBe('upstream_rate_limited');
  });
});

describe('what clients are told', () => {
  test('has the shape of Google’s errors', () => {
    const error = new SignalboxError('upstream_rate_limited', 'Slow down.', { retryAfterMs: 1500 });
    expect(gemini.renderError(error)).toEqual({
      error: {
        code: 429,
        message: 'Slow down.',
        status: 'RESOURCE_EXHAUSTED',
        details: [
          { '@type': `${google}ErrorInfo`, reason: 'UPSTREAM_RATE_LIMITED', domain: 'signalbox' },
          { '@type': `${google}RetryInfo`, retryDelay: '1.5s' },
        ],
      },
    });
  });

  test('names the field', () => {
    const error = new SignalboxError('invalid_request', 'No.', { param: 'contents' });
    expect(gemini.renderError(error)).toMatchObject({
      error: { code: 400, status: 'INVALID_ARGUMENT', details: [{ metadata: { field: 'contents' } }] },
    });
  });

  test.each(Object.keys(errorTable) as ErrorCode[])('of %s has a status of Google’s', (code) => {
    const { error } = gemini.renderError(new SignalboxError(code, 'x')) as {
      error: { status: string; code: number };
    };
    expect(error.status).toMatch(/^[A-Z_]+$/);
    expect(error.code).toBe(errorTable[code].status);
  });

  test('is one event in a stream', () => {
    const error = new SignalboxError('upstream_truncated', 'cut');
    expect(gemini.renderStreamError(error)).toEqual([{ data: JSON.stringify(gemini.renderError(error)) }]);
  });
});
