import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AskSchema,
  type ExplainedRequest,
  ExplainedRequestSchema,
  Probe,
  Question,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { startTokenServer, type TokenServer } from '#test/harness/token-server.ts';
import { compatible } from '../providers/compatible.ts';
import { demoProvider } from '../providers/demo.ts';
import { createUpstreamClient } from '../upstream/client.ts';
import { answerAsk } from './ask.ts';
import type { ProviderEntry } from './snapshot.ts';

const upstream = createUpstreamClient();
let fake: FakeProvider;
let picky: FakeProvider;
let odd: TokenServer;

beforeAll(async () => {
  fake = await startFakeProvider();
  picky = await startFakeProvider({ requiredKey: 'provider-secret-good' });
  odd = await startTokenServer();
});
afterAll(async () => {
  upstream.close();
  await Promise.all([fake.stop(), picky.stop(), odd.stop()]);
});

function ask(
  provider: ProviderEntry,
  question: Question = Question.CHECK,
  more: { timeoutMs?: number } = {},
) {
  const asked = create(AskSchema, { id: 7n, provider: provider.name, question, ...more });
  return answerAsk(asked, snapshotOf({ providers: [provider] }), { upstream, clock: systemClock });
}

/** A provider whose list is whatever the test says. */
function listing(status: number, body: object | string): ProviderEntry {
  odd.answer = () => ({ status, body });
  return providerOf('odd', { baseUrl: `http://127.0.0.1:${odd.port}/v1` });
}

test('a provider that works names its models', async () => {
  const answer = await ask(providerOf('fake', { baseUrl: fake.baseUrl }));
  expect(answer).toEqual({
    id: 7n,
    durationMs: expect.any(Number),
    probe: Probe.MODEL_LIST,
    models: ['ok', 'fake-small', 'fake-large'],
    moreModels: false,
    keys: [{ keyId: '', durationMs: expect.any(Number) }],
  });
});

describe('of several keys', () => {
  const keys = ['bad', 'good', 'worse'].map((id) => providerKeyOf(id));

  test('each is tried when the provider is checked', async () => {
    const { keys: found, models } = await ask(providerOf('picky', { baseUrl: picky.baseUrl, keys }));
    expect(found!.map(({ keyId, error }) => [keyId, error?.code])).toEqual([
      ['bad', 'upstream_unauthorized'],
      ['good', undefined],
      ['worse', 'upstream_unauthorized'],
    ]);
    expect(models).toHaveLength(3);
  });

  test('the first that works is enough for a list of models', async () => {
    picky.reset();
    const answer = await ask(providerOf('picky', { baseUrl: picky.baseUrl, keys }), Question.MODELS);
    expect(answer.keys!.map(({ keyId }) => keyId)).toEqual(['bad', 'good']);
    expect(answer.models).toHaveLength(3);
    expect(picky.requests()).toHaveLength(2);
  });

  test('no more than a few are tried', async () => {
    const many = Array.from({ length: limits.askKeysMax + 3 }, (_, index) => providerKeyOf(`k${index}`));
    const answer = await ask(providerOf('picky', { baseUrl: picky.baseUrl, keys: many }));
    expect(answer.keys).toHaveLength(limits.askKeysMax);
  });
});

test('a key whose token cannot be fetched is told with the reason', async () => {
  const credential = { headers: {}, authorise: () => Promise.reject(new Error('secret detail')) };
  const keys = [providerKeyOf('token', { credential })];
  const { keys: found } = await ask(providerOf('fake', { baseUrl: fake.baseUrl, keys }));
  expect(found![0]!.error).toMatchObject({ code: 'internal' });
  expect(JSON.stringify(found)).not.toContain('secret detail');
});

test.each([
  ['a place without a list', 404, {}, 'upstream_invalid', 'Check its base_url'],
  ['another kind of answer', 200, { models: [] }, 'upstream_invalid', 'not with a list of models'],
  ['a page', 200, '<html>', 'upstream_invalid', 'not with a list of models'],
  ['a redirect', 302, '', 'upstream_error', ''],
  ['a limit', 429, {}, 'upstream_rate_limited', ''],
])('%s is a failure that says so', async (_, status, body, code, text) => {
  const { keys } = await ask(listing(status, body));
  expect(keys![0]!.error?.code).toBe(code);
  expect(keys![0]!.error?.message).toContain(text);
});

test('a long list is cut, and said to be; names come once', async () => {
  const names = Array.from({ length: limits.modelListNamesMax + 5 }, (_, index) => `model-${index}`);
  const data = [...names, 'model-0', 'x'.repeat(limits.modelListNameLengthMax + 1)].map((id) => ({ id }));
  const answer = await ask(listing(200, { data }));
  expect(answer.models).toEqual(names.slice(0, limits.modelListNamesMax));
  expect(answer.moreModels).toBe(true);
});

test('a provider that does not answer is given up', async () => {
  odd.answer = () => new Promise(() => {});
  const entry = providerOf('odd', { baseUrl: `http://127.0.0.1:${odd.port}/v1` });
  const { keys } = await ask(entry, Question.CHECK, { timeoutMs: 1 });
  expect(keys![0]!.error?.code).toBe('upstream_timeout');
});

describe('a provider without a list of models', () => {
  const kind = compatible('perplexity', { listsNoModels: true });

  test('is reached, and nothing is asked', async () => {
    fake.reset();
    const answer = await ask(providerOf('quiet', { kind, baseUrl: fake.baseUrl }));
    expect(answer).toMatchObject({ probe: Probe.CONNECTION, keys: [{ keyId: '' }] });
    expect(answer.keys![0]!.error).toBeUndefined();
    expect(fake.requests()).toHaveLength(0);
  });

  test('that is away is said to be', async () => {
    // Nothing listens on a port of this kind.
    const { keys } = await ask(providerOf('quiet', { kind, baseUrl: 'http://127.0.0.1:1/v1' }));
    expect(keys![0]!.error?.code).toBe('upstream_unreachable');
  });
});

test('one that answers here needs no question', async () => {
  expect(await ask(providerOf('demo', { kind: demoProvider }))).toMatchObject({ probe: Probe.LOCAL });
});

describe('what would become of a request', () => {
  const request = create(ExplainedRequestSchema, { model: 'm' });
  const asked = create(AskSchema, { id: 9n, question: Question.EXPLAIN, request });
  const tools = { upstream, clock: systemClock };

  test('is said by what was given for that', async () => {
    const explain = ({ model }: ExplainedRequest) => ({ route: `of ${model}` });
    expect(await answerAsk(asked, undefined, { ...tools, explain })).toMatchObject({
      id: 9n,
      explanation: { route: 'of m' },
    });
  });

  test('is an error where the client would be told one at once', async () => {
    const explain = () => {
      throw new SignalboxError('model_not_found', 'There is no m.');
    };
    expect(await answerAsk(asked, undefined, { ...tools, explain })).toMatchObject({
      error: { code: 'model_not_found', message: 'There is no m.' },
    });
  });
});

test('one that is not configured here is unknown', async () => {
  const asked = create(AskSchema, { id: 8n, provider: 'nobody' });
  const tools = { upstream, clock: systemClock };
  expect(await answerAsk(asked, undefined, tools)).toMatchObject({ id: 8n, error: { code: 'not_found' } });
});
