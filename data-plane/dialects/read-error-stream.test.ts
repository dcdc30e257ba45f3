import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '#shared/errors.ts';
import { errorInStream } from './read-error.ts';

const anthropic = (type: string, message: string) => ({
  type: 'error',
  error: { type, message },
  request_id: 'req_1',
});
const google = (code: number, status: string, message: string, details: object[] = []) => ({
  error: { code, message, status, details },
});

describe('an error inside a stream that began well', () => {
  test.each<[string, unknown, ErrorCode]>([
    [
      'OpenRouter',
      { error: { code: 502, message: 'Provider returned error' }, choices: [] },
      'upstream_error',
    ],
    [
      'Groq',
      {
        error: {
          message: 'Failed to call a function.',
          type: 'invalid_request_error',
          code: 'tool_use_failed',
          status_code: 400,
        },
      },
      'upstream_rejected',
    ],
    [
      'Groq, too large',
      { error: { message: 'x', type: 'tokens', code: 'rate_limit_exceeded', status_code: 413 } },
      'request_too_large',
    ],
    ['Anthropic', anthropic('overloaded_error', 'Overloaded'), 'upstream_overloaded'],
    ['Anthropic, failed', anthropic('api_error', 'Internal server error'), 'upstream_error'],
    ['OpenAI, flat', { type: 'error', code: 'server_error', message: 'x', param: null }, 'upstream_error'],
    [
      'OpenAI, limited',
      { type: 'error', code: 'rate_limit_exceeded', message: 'x' },
      'upstream_rate_limited',
    ],
    [
      'OpenAI, nested',
      {
        type: 'error',
        error: { type: 'invalid_request_error', code: 'context_length_exceeded', message: 'x' },
      },
      'context_length_exceeded',
    ],
    ['Google', google(429, 'RESOURCE_EXHAUSTED', 'x'), 'upstream_rate_limited'],
    ['Google, as a list', [google(503, 'UNAVAILABLE', 'x')], 'upstream_overloaded'],
    ['Azure, a number in a string', { error: { code: '429', message: 'x' } }, 'upstream_rate_limited'],
    [
      'Amazon, throttled',
      { type: 'throttlingException', message: 'Too many tokens, please wait' },
      'upstream_rate_limited',
    ],
    [
      'Amazon, too long',
      { type: 'validationException', message: 'Input is too long for requested model' },
      'context_length_exceeded',
    ],
    ['Amazon, failed', { type: 'modelStreamErrorException', message: 'x' }, 'upstream_error'],
    ['Amazon, timed out', { type: 'modelTimeoutException', message: 'x' }, 'upstream_timeout'],
    ['Amazon, away', { type: 'serviceUnavailableException', message: 'x' }, 'upstream_overloaded'],
    ['Cohere', { message: 'invalid tool generation', type: 'INVALID_TOOL_GENERATION' }, 'upstream_error'],
    ['a string', { error: 'something broke' }, 'upstream_error'],
    ['no object', 'broken', 'upstream_error'],
    ['null', null, 'upstream_error'],
  ])('%s', (_, value, code) => {
    expect(errorInStream(value).code).toBe(code);
  });
});
