import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { readError } from './read-error.ts';

function read(status: number, body: unknown, headers: Record<string, string> = {}): SignalboxError {
  return readError(status, headers, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
}

const wrapped = (message: string, more: object = {}) => ({
  error: { message, type: 'invalid_request_error', param: null, code: null, ...more },
});

describe('what a vendor’s error means', () => {
  test.each<[string, number, unknown, string]>([
    [
      'OpenAI, bad key',
      401,
      wrapped('Incorrect API key provided: sk-abc123', { code: 'invalid_api_key' }),
      'upstream_unauthorized',
    ],
    [
      'OpenAI, no such model',
      404,
      wrapped('The model `x` does not exist', { code: 'model_not_found' }),
      'upstream_model_missing',
    ],
    [
      'OpenAI, too long',
      400,
      wrapped("This model's maximum context length is 8192 tokens.", { code: 'context_length_exceeded' }),
      'context_length_exceeded',
    ],
    [
      'OpenAI, out of quota',
      429,
      wrapped('You exceeded your current quota', { type: 'insufficient_quota', code: 'insufficient_quota' }),
      'upstream_quota_exhausted',
    ],
    [
      'OpenAI, too fast',
      429,
      wrapped('Rate limit reached', { type: 'tokens', code: 'rate_limit_exceeded' }),
      'upstream_rate_limited',
    ],
    [
      'OpenAI, bad request',
      400,
      wrapped('Unsupported value', { param: 'temperature', code: 'unsupported_value' }),
      'upstream_rejected',
    ],
    ['OpenAI, policy', 400, wrapped('Rejected', { code: 'content_policy_violation' }), 'content_filtered'],
    [
      'OpenAI, own failure',
      500,
      wrapped('The server had an error', { type: 'server_error' }),
      'upstream_error',
    ],
    ['OpenAI, overloaded', 503, wrapped('The engine is currently overloaded'), 'upstream_overloaded'],
    [
      'xAI, bad key',
      400,
      { code: 'invalid-argument', error: 'Incorrect API key provided: xa***23. You can obtain one' },
      'upstream_unauthorized',
    ],
    [
      'xAI, too long',
      400,
      {
        code: 'invalid',
        error: "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
      },
      'context_length_exceeded',
    ],
    [
      'xAI, no credits',
      403,
      { code: 'x', error: 'Your team has used all available credits' },
      'upstream_quota_exhausted',
    ],
    [
      'Azure, bad key',
      401,
      { error: { code: '401', message: 'Access denied due to invalid subscription key' } },
      'upstream_unauthorized',
    ],
    [
      'Azure, no deployment',
      404,
      { error: { code: 'DeploymentNotFound', message: 'The API deployment does not exist' } },
      'upstream_model_missing',
    ],
    [
      'Azure, filter',
      400,
      {
        error: {
          message: 'The response was filtered',
          code: 'content_filter',
          innererror: { code: 'ResponsibleAIPolicyViolation' },
        },
      },
      'content_filtered',
    ],
    [
      'Azure, too fast',
      429,
      { error: { code: 'RateLimitReached', message: 'Please retry after 6 seconds.' } },
      'upstream_rate_limited',
    ],
    ['Mistral, bad key', 401, { detail: 'Invalid API Key' }, 'upstream_unauthorized'],
    [
      'Mistral, bad field',
      422,
      {
        object: 'error',
        message: {
          detail: [
            { type: 'extra_forbidden', loc: ['body', 'logprobs'], msg: 'Extra inputs are not permitted' },
          ],
        },
        type: 'invalid_request_error',
      },
      'upstream_rejected',
    ],
    [
      'Mistral, no such model',
      400,
      { object: 'error', message: 'Invalid model: x', type: 'invalid_model', code: '1500' },
      'upstream_model_missing',
    ],
    [
      'Mistral, too long',
      400,
      {
        object: 'error',
        message: 'Prompt contains 40000 tokens, too large for model with 32768 maximum context length',
      },
      'context_length_exceeded',
    ],
    [
      'OpenRouter, bad key',
      401,
      { error: { message: 'No auth credentials found', code: 401 } },
      'upstream_unauthorized',
    ],
    [
      'OpenRouter, no credits',
      402,
      { error: { message: 'Insufficient credits', code: 402 } },
      'upstream_quota_exhausted',
    ],
    [
      'OpenRouter, moderation',
      403,
      { error: { message: 'Input was flagged', code: 403, metadata: { reasons: ['x'] } } },
      'content_filtered',
    ],
    [
      'OpenRouter, behind it',
      400,
      {
        error: {
          message: 'Provider returned error',
          code: 400,
          metadata: { raw: 'prompt is too long: 9 tokens > 8 maximum' },
        },
      },
      'context_length_exceeded',
    ],
    [
      'Groq, tool failed',
      400,
      wrapped('Failed to call a function.', { code: 'tool_use_failed', failed_generation: '<f>' }),
      'upstream_rejected',
    ],
    [
      'Groq, too long',
      400,
      wrapped('Please reduce the length of the messages or completion.', { code: 'context_length_exceeded' }),
      'context_length_exceeded',
    ],
    [
      'Groq, too large for the minute',
      413,
      wrapped('Request too large for model', { type: 'tokens', code: 'rate_limit_exceeded' }),
      'request_too_large',
    ],
    ['Groq, no capacity', 498, wrapped('capacity exceeded'), 'upstream_overloaded'],
    [
      'DeepSeek, no balance',
      402,
      wrapped('Insufficient Balance', { type: 'unknown_error' }),
      'upstream_quota_exhausted',
    ],
    [
      'DeepSeek, bad key',
      401,
      wrapped('Authentication Fails', { type: 'authentication_error' }),
      'upstream_unauthorized',
    ],
    [
      'Gemini’s compatible endpoint, bad key',
      400,
      [
        {
          error: {
            code: 400,
            message: 'API key not valid. Please pass a valid API key.',
            status: 'INVALID_ARGUMENT',
            details: [{ reason: 'API_KEY_INVALID' }],
          },
        },
      ],
      'upstream_unauthorized',
    ],
    [
      'Gemini’s compatible endpoint, too fast',
      429,
      [
        {
          error: {
            code: 429,
            message: 'You exceeded your current quota, please check your plan and billing details.',
            status: 'RESOURCE_EXHAUSTED',
          },
        },
      ],
      'upstream_rate_limited',
    ],
    [
      'Anthropic’s compatible endpoint, too long',
      400,
      wrapped('prompt is too long: 210000 tokens > 200000 maximum'),
      'context_length_exceeded',
    ],
    [
      'vLLM, too long',
      400,
      {
        object: 'error',
        message: "This model's maximum context length is 4096 tokens. However, you requested 5000",
        type: 'BadRequestError',
        code: 400,
      },
      'context_length_exceeded',
    ],
    [
      'llama.cpp, too long',
      400,
      {
        error: {
          code: 400,
          message: 'the request exceeds the available context size',
          type: 'exceed_context_size_error',
        },
      },
      'context_length_exceeded',
    ],
    [
      'Ollama, no such model',
      404,
      { error: { message: 'model "x" not found, try pulling it first', type: 'api_error' } },
      'upstream_model_missing',
    ],
    ['a proxy, HTML', 502, '<html><head><title>502 Bad Gateway</title></head></html>', 'upstream_error'],
    ['a proxy, timeout', 504, 'upstream request timeout', 'upstream_timeout'],
    ['a proxy, no bytes', 503, '', 'upstream_overloaded'],
    ['Cloudflare, timeout', 524, '<html></html>', 'upstream_timeout'],
    ['a redirect', 302, '', 'upstream_error'],
    ['a key without permission', 403, wrapped('You have insufficient permissions'), 'upstream_unauthorized'],
  ])('%s', (_, status, body, code) => {
    expect(read(status, body).code).toBe(code);
  });
});

describe('what the caller is told', () => {
  test('is the vendor’s message and field, where the caller can act on it', () => {
    const error = read(400, wrapped('Unsupported value: 3', { param: 'temperature' }));
    expect(error).toMatchObject({
      message: 'The provider answered 400: Unsupported value: 3',
      param: 'temperature',
    });
    expect(read(422, '{"detail":[{"loc":["body","messages",0],"msg":"Field required"}]}').message).toContain(
      'messages.0: Field required',
    );
    expect(read(500, '<html><style>p{}</style><p>Bad\n gateway</p></html>').message).toBe(
      'The provider answered 500: Bad gateway',
    );
    expect(read(500, '').message).toContain('said nothing more');
  });

  test.each([
    'Incorrect API key provided: sk-proj-abcDEF123456. Find yours',
    'bad key gsk_a1b2c3d4e5f6g7',
    'header Authorization: Bearer abcdef',
    'key AIzaSyA1234567890abcdef',
    'limit in organization org-a1B2c3D4e5 on tokens',
    'provided: bad-key-**********test.',
    'key 0123456789abcdef0123456789abcdef rejected',
    'token eyJhbGciOiJI.eyJzdWIi.abc123',
  ])('never holds anything like a credential: %s', (message) => {
    const secret = /sk-proj|gsk_|Bearer a|AIza|org-a|\*\*|0123456789abcdef|eyJ/;
    for (const status of [400, 429, 500]) expect(read(status, wrapped(message)).message).not.toMatch(secret);
    expect(read(401, wrapped(message)).message).toBe(
      'The provider refused the credentials that are configured for it. Check the API key of this provider.',
    );
    expect(String(read(401, wrapped(message)).cause)).not.toMatch(secret);
  });

  test('keeps ordinary names', () => {
    const message = 'model claude-3-5-sonnet-20240620 rejects 01890a5d-ac96-774b-bcce-b302099a8057';
    expect(read(400, wrapped(message)).message).toContain(message);
  });

  test('is bounded', () => {
    expect(read(400, wrapped('x '.repeat(50_000))).message.length).toBeLessThan(2100);
  });
});
