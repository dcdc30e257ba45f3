import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { errorInAnswer, renderError, renderStreamError } from './openai-errors.ts';

test('our own errors look as OpenAI’s do', () => {
  const error = new SignalboxError('invalid_request', 'The field "n" is wrong.', { param: 'n' });
  const expected = {
    error: {
      message: 'The field "n" is wrong.',
      type: 'invalid_request_error',
      param: 'n',
      code: 'invalid_request',
    },
  };
  expect(renderError(error)).toEqual(expected);
  expect(renderStreamError(error)).toEqual([{ data: JSON.stringify(expected) }]);
  expect(renderError(new SignalboxError('internal', 'x'))).toMatchObject({ error: { param: null } });
});

describe('an error in an answer that is a success by its status', () => {
  test.each<[string, Record<string, unknown>, string | undefined]>([
    ['none', { choices: [{ index: 0 }], error: null }, undefined],
    ['an object', { error: { message: 'x', code: 503 } }, 'upstream_overloaded'],
    ['a string', { error: 'x' }, 'upstream_error'],
    ['an empty object', { choices: [{}], error: {} }, undefined],
    ['in a choice', { choices: [{ error: { message: 'x', code: 429 } }] }, 'upstream_rate_limited'],
    ['as the reason of the end', { choices: [{ finish_reason: 'error' }] }, 'upstream_error'],
    [
      'MiniMax’s',
      { choices: null, base_resp: { status_code: 1008, status_msg: 'no balance' } },
      'upstream_error',
    ],
    ['MiniMax’s, none', { choices: [{}], base_resp: { status_code: 0, status_msg: '' } }, undefined],
  ])('%s', (_, answer, code) => {
    expect(errorInAnswer(answer)?.code).toBe(code);
  });
});
