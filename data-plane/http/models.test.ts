import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, goodKey, limitedKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';

const version = { 'anthropic-version': '2023-06-01' };
let gateway: TestGateway;

beforeAll(async () => {
  const elsewhere = providerOf('elsewhere');
  const names = ['ok', ...Array.from({ length: 25 }, (_, at) => `m${10 + at}`)];
  gateway = await startGateway({
    snapshot: snapshotOf({
      deployments: names.map((name) => deploymentOf(name, elsewhere)),
      keys: {
        [goodKey]: principalOf('key_good'),
        [limitedKey]: principalOf('key_limited', { mayUse: (name) => name === 'ok' }),
      },
    }),
  });
});

afterAll(() => gateway.stop());

interface Page {
  readonly data: readonly { readonly id: string }[];
  readonly has_more: boolean;
  readonly first_id: string | null;
  readonly last_id: string | null;
}

async function list(query = '', headers: Record<string, string> = version, key = goodKey) {
  const response = await fetch(`${gateway.url}/v1/models${query}`, {
    headers: { 'x-api-key': key, ...headers },
  });
  return { response, page: (await response.json()) as Page };
}

describe("Anthropic's list of models", () => {
  test('is for clients that name the version of its API, or anything else of its', async () => {
    for (const headers of [version, { 'anthropic-beta': 'x' }]) {
      const { page } = await list('?limit=2', headers);
      const created_at = '2025-01-01T00:00:00.000Z';
      expect(page).toEqual({
        data: [
          { type: 'model', id: 'm10', display_name: 'm10', created_at },
          { type: 'model', id: 'm11', display_name: 'm11', created_at },
        ],
        has_more: true,
        first_id: 'm10',
        last_id: 'm11',
      });
    }
    expect((await list('', {})).page).toMatchObject({ object: 'list' });
  });

  test.each([
    ['', 20, true, 'm10', 'm29'],
    ['?limit=1000', 26, false, 'm10', 'ok'],
    ['?after_id=m29', 6, false, 'm30', 'ok'],
    ['?after_id=m29&limit=2', 2, true, 'm30', 'm31'],
    ['?after_id=m33&limit=2', 2, false, 'm34', 'ok'],
    ['?before_id=m12', 2, false, 'm10', 'm11'],
    ['?before_id=m12&limit=1', 1, true, 'm11', 'm11'],
    ['?before_id=m10', 0, false, null, null],
    ['?after_id=ok', 0, false, null, null],
  ])('%s is a page', async (query, count, more, first, last) => {
    const { page } = await list(query);
    expect(page.data).toHaveLength(count);
    expect([page.has_more, page.first_id, page.last_id]).toEqual([more, first, last]);
  });

  test.each([
    ['?limit=0', 'limit'],
    ['?limit=1001', 'limit'],
    ['?limit=many', 'limit'],
    ['?after_id=nobody', 'after_id'],
    ['?before_id=', 'before_id'],
    ['?after_id=m10&before_id=m12', 'before_id'],
  ])('%s is refused', async (query, param) => {
    const { response, page } = await list(query);
    expect(response.status).toBe(400);
    expect(page).toMatchObject({ type: 'error', error: { type: 'invalid_request_error' } });
    expect(JSON.stringify(page)).toContain(param);
  });

  test('holds what the key may use, and nothing is told to strangers', async () => {
    expect((await list('', version, limitedKey)).page.data.map(({ id }) => id)).toEqual(['ok']);
    const stranger = await list('', version, 'sb-nobody');
    expect(stranger.response.status).toBe(401);
    expect(stranger.page).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  });

  test('is read to its end by the official SDK', async () => {
    const client = new Anthropic({ apiKey: goodKey, baseURL: gateway.url, maxRetries: 0 });
    const ids: string[] = [];
    for await (const model of client.models.list({ limit: 7 })) ids.push(model.id);
    expect(ids).toHaveLength(26);
    expect(new Set(ids).size).toBe(26);
    expect(await client.models.retrieve('ok')).toMatchObject({ type: 'model', id: 'ok', display_name: 'ok' });
    await expect(client.models.retrieve('nobody')).rejects.toMatchObject({ status: 404 });
  });
});

describe("OpenAI's list of models", () => {
  test('is read by the official SDK', async () => {
    const client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toHaveLength(26);
    expect(await client.models.retrieve('ok')).toMatchObject({ object: 'model', id: 'ok' });
  });

  test('has errors in its own words', async () => {
    const response = await fetch(`${gateway.url}/v1/models/nobody`, { headers: { 'x-api-key': goodKey } });
    expect(await errorOf(response)).toMatchObject({ code: 'model_not_found' });
  });
});
