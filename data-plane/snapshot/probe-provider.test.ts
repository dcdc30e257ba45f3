import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { freePort } from '#test/harness/process.ts';
import { providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { startTokenServer, type TokenServer } from '#test/harness/token-server.ts';
import { createUpstreamClient } from '../upstream/client.ts';
import { probeProvider } from './probe-provider.ts';
import type { ProviderEntry } from './snapshot.ts';

const upstream = createUpstreamClient();
let picky: FakeProvider;
let odd: TokenServer;

beforeAll(async () => {
  picky = await startFakeProvider({ requiredKey: 'provider-secret-good' });
  odd = await startTokenServer();
});
afterAll(async () => {
  upstream.close();
  await Promise.all([picky.stop(), odd.stop()]);
});

const probe = (provider: ProviderEntry) =>
  probeProvider(provider.name, snapshotOf({ providers: [provider] }), { upstream, clock: systemClock });

test.each(['good', 'bad'])(
  'a provider that answers a %s key is up, and no completion was asked for',
  async (id) => {
    expect(await probe(providerOf('p', { baseUrl: picky.baseUrl, keys: [providerKeyOf(id)] }))).toBe('up');
    expect(picky.requests().filter(({ path }) => !path.endsWith('/models'))).toEqual([]);
  },
);

test.each([
  [404, 'up'],
  [429, 'up'],
  [500, 'down'],
  [503, 'down'],
])('one whose list of models answers %i is %s', async (status, finding) => {
  odd.answer = () => ({ status, body: {} });
  expect(await probe(providerOf('odd', { baseUrl: `http://127.0.0.1:${odd.port}/v1` }))).toBe(finding);
});

test('one that does not listen is down, and so is one that is not there', async () => {
  expect(await probe(providerOf('gone', { baseUrl: `http://127.0.0.1:${await freePort()}/v1` }))).toBe(
    'down',
  );
  expect(await probeProvider('nobody', snapshotOf({}), { upstream, clock: systemClock })).toBe('down');
});
