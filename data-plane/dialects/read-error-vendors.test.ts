import { describe, expect, test } from 'vitest';
import type { ErrorCode, Fault } from '#shared/errors.ts';
import { readError } from './read-error.ts';

function read(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
  return readError(status, headers, Buffer.from(JSON.stringify(body)));
}

const anthropic = (type: string, message: string) => ({
  type: 'error',
  error: { type, message },
  request_id: 'req_1',
});
const google = (code: number, status: string, message: string, details: object[] = []) => ({
  error: { code, message, status, details },
});
const openai = (message: string, more: object = {}) => ({
  error: { message, type: 'invalid_request_error', param: null, code: null, ...more },
});

describe('Anthropic', () => {
  test.each<[number, object, ErrorCode]>([
    [400, anthropic('invalid_request_error', 'max_tokens: Field required'), 'upstream_rejected'],
    [
      400,
      anthropic('invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
      'context_length_exceeded',
    ],
    [
      400,
      anthropic(
        'invalid_request_error',
        'input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000',
      ),
      'context_length_exceeded',
    ],
    [
      400,
      anthropic('invalid_request_error', 'Your credit balance is too low to access the API.'),
      'upstream_quota_exhausted',
    ],
    [
      400,
      anthropic('invalid_request_error', 'Output blocked by content filtering policy'),
      'content_filtered',
    ],
    [401, anthropic('authentication_error', 'invalid x-api-key'), 'upstream_unauthorized'],
    [403, anthropic('permission_error', 'Your account lacks permission'), 'upstream_unauthorized'],
    [404, anthropic('not_found_error', 'model: claude-none'), 'upstream_model_missing'],
    [413, anthropic('request_too_large', 'Request exceeds the maximum size'), 'request_too_large'],
    [
      429,
      anthropic('rate_limit_error', 'This request would exceed your rate limit'),
      'upstream_rate_limited',
    ],
    [500, anthropic('api_error', 'Internal server error'), 'upstream_error'],
    [529, anthropic('overloaded_error', 'Overloaded'), 'upstream_overloaded'],
  ])('%i %j', (status, body, code) => {
    expect(read(status, body).code).toBe(code);
  });
});

describe('Google', () => {
  const perDay = [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }] }];
  const perMinute = [
    { violations: [{ quotaId: 'GenerateRequestsPerMinutePerProjectPerModel' }] },
    { retryDelay: '48s' },
  ];

  test.each<[number, object, ErrorCode]>([
    [
      400,
      google(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [
        { reason: 'API_KEY_INVALID', domain: 'googleapis.com' },
      ]),
      'upstream_unauthorized',
    ],
    [
      400,
      google(
        400,
        'INVALID_ARGUMENT',
        'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
      ),
      'context_length_exceeded',
    ],
    [
      400,
      google(
        400,
        'INVALID_ARGUMENT',
        'Unable to submit request because the input token count is 9 but model only supports up to 8.',
      ),
      'context_length_exceeded',
    ],
    [400, google(400, 'INVALID_ARGUMENT', 'Invalid value at "contents"'), 'upstream_rejected'],
    [
      400,
      google(400, 'FAILED_PRECONDITION', 'User location is not supported for the API use.'),
      'upstream_error',
    ],
    [403, google(403, 'PERMISSION_DENIED', 'Permission denied on resource'), 'upstream_unauthorized'],
    [404, google(404, 'NOT_FOUND', 'models/x is not found for API version'), 'upstream_model_missing'],
    [429, google(429, 'RESOURCE_EXHAUSTED', 'You exceeded your quota', perMinute), 'upstream_rate_limited'],
    [429, google(429, 'RESOURCE_EXHAUSTED', 'You exceeded your quota', perDay), 'upstream_quota_exhausted'],
    [503, google(503, 'UNAVAILABLE', 'The model is overloaded.'), 'upstream_overloaded'],
    [504, google(504, 'DEADLINE_EXCEEDED', 'Deadline exceeded'), 'upstream_timeout'],
  ])('%i %j', (status, body, code) => {
    expect(read(status, body).code).toBe(code);
  });
});

describe('Amazon, who names the kind in a header', () => {
  const suffix = ':http://internal.amazon.com/coral/com.amazon.bedrock/';

  test.each<[number, string, string, ErrorCode]>([
    [400, 'ValidationException', 'Malformed input request', 'upstream_rejected'],
    [400, 'ValidationException', 'Input is too long for requested model.', 'context_length_exceeded'],
    [400, 'ValidationException', 'The provided model identifier is invalid.', 'upstream_model_missing'],
    [
      400,
      'ValidationException',
      'Invocation of model ID x with on-demand throughput isn’t supported.',
      'upstream_model_missing',
    ],
    [400, 'ServiceQuotaExceededException', 'Quota exceeded', 'upstream_quota_exhausted'],
    [400, 'ThrottlingException', 'Rate exceeded', 'upstream_rate_limited'],
    [400, 'ExpiredTokenException', 'The token has expired', 'upstream_unauthorized'],
    [
      403,
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
      'upstream_unauthorized',
    ],
    [
      403,
      'AccessDeniedException',
      'You don’t have access to the model with the specified model ID.',
      'upstream_model_missing',
    ],
    [404, 'ResourceNotFoundException', 'Could not resolve the foundation model', 'upstream_model_missing'],
    [408, 'ModelTimeoutException', 'Model timed out', 'upstream_timeout'],
    [424, 'ModelErrorException', 'The model failed', 'upstream_error'],
    [
      429,
      'ThrottlingException',
      'Too many tokens, please wait before trying again.',
      'upstream_rate_limited',
    ],
    [429, 'ModelNotReadyException', 'The model is not ready', 'upstream_overloaded'],
    [500, 'InternalServerException', 'Failed', 'upstream_error'],
    [503, 'ServiceUnavailableException', 'Unavailable', 'upstream_overloaded'],
  ])('%i %s: %s', (status, kind, message, code) => {
    expect(read(status, { message }, { 'x-amzn-errortype': kind + suffix }).code).toBe(code);
    expect(read(status, { message }, { 'x-amzn-errortype': kind }).code).toBe(code);
  });
});

describe('Cohere', () => {
  test.each<[number, object, ErrorCode]>([
    [
      400,
      { id: 'x', message: 'invalid request: all elements in history must have a message' },
      'upstream_rejected',
    ],
    [400, { id: 'x', message: 'invalid api token' }, 'upstream_unauthorized'],
    [401, { id: 'x', message: 'no api key supplied' }, 'upstream_unauthorized'],
    [
      400,
      {
        id: 'x',
        message: 'too many tokens: size limit exceeded by 7829 tokens. Try using shorter or fewer inputs.',
      },
      'context_length_exceeded',
    ],
    [
      400,
      { id: 'x', message: 'too many tokens: max tokens must be less than or equal to 4096' },
      'upstream_rejected',
    ],
    [404, { id: 'x', message: "model 'command-none' not found" }, 'upstream_model_missing'],
    [
      422,
      { id: 'x', message: 'invalid tool generation', error_type: 'INVALID_TOOL_GENERATION' },
      'upstream_rejected',
    ],
    [
      429,
      { id: 'x', message: 'You are using a Trial key, which is limited to 1000 API calls / month.' },
      'upstream_quota_exhausted',
    ],
    [
      429,
      { id: 'x', message: 'You are using a Trial key, which is limited to 20 API calls / minute.' },
      'upstream_rate_limited',
    ],
    [498, { id: 'x', message: 'invalid token' }, 'upstream_unauthorized'],
  ])('%i %j', (status, body, code) => {
    expect(read(status, body).code).toBe(code);
  });
});

describe('hosts that speak OpenAI’s API', () => {
  test.each<[string, number, object, ErrorCode]>([
    ['OpenAI, a token that is none', 400, openai('Invalid token in prompt: 123456.'), 'upstream_rejected'],
    [
      'Azure, flat',
      401,
      { statusCode: 401, message: 'Unauthorized. Access token is missing' },
      'upstream_unauthorized',
    ],
    [
      'GitHub',
      413,
      {
        error: {
          code: 'tokens_limit_reached',
          message: 'Request body too large for x model. Max size: 8000 tokens.',
        },
      },
      'context_length_exceeded',
    ],
    [
      'Hugging Face, a list',
      422,
      { error: ['Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000'] },
      'context_length_exceeded',
    ],
    [
      'NVIDIA',
      401,
      { status: 401, title: 'Unauthorized', detail: 'Authentication failed' },
      'upstream_unauthorized',
    ],
    [
      'Moonshot, too long',
      400,
      openai('Invalid request: Your request exceeded model token limit: 8192'),
      'context_length_exceeded',
    ],
    [
      'Moonshot, no balance',
      429,
      openai('Your account is suspended', { type: 'exceeded_current_quota_error' }),
      'upstream_quota_exhausted',
    ],
    [
      'Moonshot, busy',
      429,
      openai('The engine is currently overloaded', { type: 'engine_overloaded_error' }),
      'upstream_overloaded',
    ],
    [
      'DashScope, too long',
      400,
      openai('Range of input length should be [1, 30720]'),
      'context_length_exceeded',
    ],
    [
      'DashScope, content',
      400,
      openai('Input data may contain inappropriate content.', { code: 'data_inspection_failed' }),
      'content_filtered',
    ],
    [
      'Z.ai, no balance',
      429,
      { error: { code: '1113', message: 'Insufficient balance or no resource package.' } },
      'upstream_quota_exhausted',
    ],
    [
      'Z.ai, too long',
      400,
      { error: { code: '1261', message: 'Prompt exceeds max length' } },
      'context_length_exceeded',
    ],
    ['DeepSeek, no model', 400, openai('Model Not Exist'), 'upstream_model_missing'],
    [
      'OpenRouter, no model',
      400,
      { error: { message: 'x/y is not a valid model ID', code: 400 } },
      'upstream_model_missing',
    ],
    [
      'OpenRouter, free per day',
      429,
      { error: { message: 'Rate limit exceeded: free-models-per-day', code: 429 } },
      'upstream_quota_exhausted',
    ],
    [
      'OpenAI, no access',
      403,
      openai('Project `p` does not have access to model `m`', { code: 'model_not_found' }),
      'upstream_model_missing',
    ],
    [
      'OpenAI, region',
      403,
      openai('Country, region, or territory not supported', { code: 'unsupported_country_region_territory' }),
      'upstream_error',
    ],
    [
      'OpenAI, picture refused',
      400,
      openai('Rejected by our safety system', { code: 'moderation_blocked' }),
      'content_filtered',
    ],
    [
      'OpenAI, too long for the Responses API',
      400,
      openai('Your input exceeds the context window of this model.'),
      'context_length_exceeded',
    ],
    [
      'Cloudflare',
      400,
      { success: false, errors: [{ code: 7000, message: 'No route for that URI' }] },
      'upstream_rejected',
    ],
  ])('%s', (_, status, body, code) => {
    expect(read(status, body).code).toBe(code);
  });
});

test.each<[ErrorCode, Fault, boolean]>([
  ['context_length_exceeded', 'caller', false],
  ['content_filtered', 'caller', false],
  ['upstream_rejected', 'caller', false],
  ['upstream_unauthorized', 'credential', true],
  ['upstream_model_missing', 'credential', true],
  ['upstream_quota_exhausted', 'capacity', true],
  ['upstream_rate_limited', 'capacity', true],
  ['upstream_overloaded', 'capacity', true],
  ['upstream_error', 'provider', true],
  ['upstream_timeout', 'provider', true],
])('%s is the fault of: %s; another upstream may do better: %s', (code, fault, retryable) => {
  const samples: Readonly<Partial<Record<ErrorCode, [number, object]>>> = {
    context_length_exceeded: [400, openai('prompt is too long')],
    content_filtered: [400, openai('x', { code: 'content_filter' })],
    upstream_rejected: [400, openai('x')],
    upstream_unauthorized: [401, openai('x')],
    upstream_model_missing: [404, openai('x')],
    upstream_quota_exhausted: [402, openai('x')],
    upstream_rate_limited: [429, openai('x')],
    upstream_overloaded: [529, openai('x')],
    upstream_error: [500, openai('x')],
    upstream_timeout: [504, openai('x')],
  };
  expect(read(...samples[code]!).kind).toMatchObject({ fault, retryable });
});
