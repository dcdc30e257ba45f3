import { describe, expect, test } from 'vitest';
import { bedrockConverse } from './index.ts';

const suffix = ':http://internal.amazon.com/coral/com.amazon.bedrock/';

function readError(status: number, type: string, message: string) {
  const body = Buffer.from(JSON.stringify({ message }));
  return bedrockConverse.readError(status, type === '' ? {} : { 'x-amzn-errortype': type + suffix }, body);
}

describe('a refusal is understood by its name and its words', () => {
  test.each([
    [400, 'ValidationException', 'The provided model identifier is invalid.', 'upstream_model_missing'],
    [
      400,
      'ValidationException',
      'Invocation of model ID x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.',
      'upstream_model_missing',
    ],
    [
      404,
      'ResourceNotFoundException',
      'This model version has reached the end of its life.',
      'upstream_model_missing',
    ],
    [400, 'ValidationException', 'Input is too long for requested model.', 'context_length_exceeded'],
    [
      400,
      'ValidationException',
      'The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum',
      'context_length_exceeded',
    ],
    [
      400,
      'ValidationException',
      'input length and `max_tokens` exceed context limit: 1 + 2 > 2',
      'context_length_exceeded',
    ],
    [400, 'ValidationException', 'The toolConfig field must be defined.', 'upstream_rejected'],
    [
      403,
      'ExpiredTokenException',
      'The security token included in the request is expired',
      'upstream_unauthorized',
    ],
    [403, 'UnrecognizedClientException', 'The security token is invalid.', 'upstream_unauthorized'],
    [403, 'InvalidSignatureException', 'The request signature does not match.', 'upstream_unauthorized'],
    [403, 'AccessDeniedException', 'User: arn:aws:iam::1:user/x is not authorized', 'upstream_unauthorized'],
    [403, 'MissingAuthenticationTokenException', 'Missing Authentication Token', 'upstream_unauthorized'],
    [
      429,
      'ThrottlingException',
      'Too many tokens, please wait before trying again.',
      'upstream_rate_limited',
    ],
    [429, 'ThrottlingException', 'Too many tokens per day, please wait.', 'upstream_quota_exhausted'],
    [400, 'ServiceQuotaExceededException', 'x', 'upstream_quota_exhausted'],
    [429, 'ModelNotReadyException', 'The model is not ready for inference.', 'upstream_overloaded'],
    [503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.', 'upstream_overloaded'],
    [408, 'ModelTimeoutException', 'x', 'upstream_timeout'],
    [424, 'ModelErrorException', 'x', 'upstream_error'],
    [500, 'InternalServerException', 'x', 'upstream_error'],
    [418, 'SomethingNewException', 'x', 'upstream_error'],
  ])('%i %s "%s" is %s', (status, type, message, code) => {
    expect(readError(status, type, message).code).toBe(code);
  });

  test('with or without a name space, wherever the name stands', () => {
    const body = Buffer.from('{"__type":"com.amazon.coral.service#ThrottlingException","Message":"slow"}');
    expect(bedrockConverse.readError(400, {}, body).code).toBe('upstream_rate_limited');
  });

  test.each([
    [403, 'upstream_unauthorized'],
    [429, 'upstream_rate_limited'],
    [503, 'upstream_overloaded'],
    [500, 'upstream_error'],
  ])('or by its status %i, where nobody says a name', (status, code) => {
    expect(bedrockConverse.readError(status, {}, Buffer.from('<html>no</html>')).code).toBe(code);
  });
});

test('what the operator has to mend is said with the remedy, and Bedrock’s own words are for the log', () => {
  const profile = readError(400, 'ValidationException', "on-demand throughput isn't supported");
  expect(profile.message).toMatch(/inference profile.*us\./);
  const denied = readError(403, 'AccessDeniedException', 'User: arn:aws:iam::123456789012:user/x may not');
  expect(denied.message).toMatch(/bedrock:InvokeModel/);
  expect(denied.message).toContain('AccessDeniedException');
  expect(denied.message).not.toContain('123456789012');
  expect(denied.cause).toContain('may not');
});

test('what the caller has to mend is said in Bedrock’s words, and a wait is passed on', () => {
  expect(readError(400, 'ValidationException', 'The field x is wrong.').message).toContain(
    'The field x is wrong.',
  );
  expect(readError(500, 'InternalServerException', '').message).toContain('InternalServerException');
  const headers = { 'x-amzn-errortype': 'ThrottlingException', 'retry-after': '3' };
  expect(bedrockConverse.readError(429, headers, Buffer.from('{}')).retryAfterMs).toBe(3000);
});
