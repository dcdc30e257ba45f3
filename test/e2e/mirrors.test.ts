// Copies from a configuration file to the sums of the ledger, through a whole program.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

let up: AllInOne;
let first: FakeProvider;
let second: FakeProvider;

beforeAll(async () => {
  [first, second] = await Promise.all([startFakeProvider(), startFakeProvider()]);
  const at = ({ baseUrl }: FakeProvider) => `base_url: "${baseUrl}", allow_private_network: true`;
  up = await startAllInOne({
    configuration: [
      'providers:',
      `  - { name: first, type: openai-compatible, ${at(first)}, api_keys: [sk-first-0123456789] }`,
      `  - { name: second, type: openai-compatible, ${at(second)}, api_keys: [sk-second-0123456789] }`,
      'models:',
      '  - { name: proven, provider: first, model: chunks-3 }',
      '  - { name: tried, provider: second, model: chunks-7 }',
      'routes:',
      '  - slug: smart',
      '    strategy: priority',
      '    models: [{ model: proven }]',
      '    mirrors:',
      '      - { to: tried, percent: 100, when: { tags: copy } }',
    ].join('\n'),
  });
});

afterAll(async () => {
  await up?.remove();
  await Promise.all([first?.stop(), second?.stop()]);
});

async function admin(path: string): Promise<ReturnType<typeof JSON.parse>> {
  const headers = { authorization: `Bearer ${up.adminKey()}` };
  return (await fetch(`${up.url}/api/v1${path}`, { headers })).json();
}

async function ask(tags: string): Promise<Response> {
  const response = await fetch(`${up.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${up.key()}`, 'content-type': 'application/json' },
      'x-signalbox-tags': tags,
    },
    body: JSON.stringify({ model: 'smart', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await response.arrayBuffer();
  return response;
}

test('what is copied is billed by its target, stands apart in the ledger, and is no traffic of the route', async () => {
  for (const tags of ['copy', 'plain', 'copy']) {
    const response = await ask(tags);
    expect([response.status, response.headers.get('x-signalbox-model')]).toEqual([200, 'proven']);
  }
  const summed = async () => {
    const [all, copies] = await Promise.all([admin('/usage'), admin('/usage?shadow=true')]);
    return [all.totals.attempts, copies.totals.attempts];
  };
  await expect.poll(summed, { timeout: 20_000 }).toEqual([3, 2]);
  expect(second.bill()).toMatchObject([{ completionTokens: 7 }, { completionTokens: 7 }]);

  const usage = await admin('/usage?group_by=model');
  expect(usage.totals).toMatchObject({ requests: 3, tokens: { output: 9 } });
  expect(usage.groups).toMatchObject([{ group: 'proven', attempts: 3 }]);
  const shadow = await admin('/usage?group_by=model&shadow=true');
  expect(shadow.groups).toMatchObject([{ group: 'tried', completed: 2, tokens: { output: 14 } }]);

  const { items } = await admin('/requests?shadow=true');
  expect(items).toHaveLength(2);
  for (const item of items) {
    expect(item).toMatchObject({ shadow: true, model: 'tried', route: 'smart', tags: ['copy'] });
    const { items: both } = await admin(`/requests?request_id=${item.request_id}`);
    expect(both.map(({ model }: { model: string }) => model).toSorted()).toEqual(['proven', 'tried']);
  }

  const statistics = await admin('/routes/smart/stats');
  expect(statistics).toMatchObject({ requests: 3, success_share: 1, totals: { attempts: 3 } });
  expect(statistics.members).toMatchObject([{ model: 'proven', traffic_share: 1 }]);
  expect(statistics.copies).toMatchObject([{ model: 'tried', attempts: 2, success_share: 1 }]);
});
