// Rules, canaries and what models can do, as clients meet them.
import { describe, expect, test } from 'vitest';
import type { Capability } from '#shared/capabilities.ts';
import { type Ask, ask, errorOf, plainSnapshot } from '#test/harness/gateway.ts';
import { rulesOf } from '#test/harness/route-rules.ts';
import { deploymentOf, principalOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import type { Deployment, Route } from '../snapshot/snapshot.ts';

const { provider, gateway } = gatewayPerTest(() => ({ region: 'here' }));

const keys = {
  'sb-legal': principalOf('key_legal', { name: 'contracts', metadata: { team: 'legal' } }),
  ...Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`sb-${index}`, principalOf(`key_${index}`)]),
  ),
};

interface Offer {
  readonly rules?: readonly object[];
  readonly route?: Partial<Route>;
  readonly of?: Readonly<Record<string, Partial<Deployment>>>;
}

/** Two members and a fallback, each at a provider of its own. */
function offer({ rules = [], route = {}, of = {} }: Offer): void {
  const models = ['big', 'next', 'small', 'huge'];
  const deployments = models.map((model) =>
    deploymentOf(model, providerOf(`at-${model}`, { baseUrl: provider.baseUrl }), {
      id: model,
      upstreamModel: 'ok',
      ...of[model],
    }),
  );
  const smart = { ...routeOf('smart', ['big', 'next'], ['small']), rules: rulesOf({ rules }), ...route };
  gateway.snapshot = plainSnapshot(provider, {
    deployments,
    routes: [smart],
    aliases: { nick: 'smart' },
    keys,
  });
}

async function answeredBy(options: Ask = {}): Promise<string> {
  const response = await ask(gateway.url, { model: 'smart', ...options });
  const { error } = (await response.json()) as { error?: { code: string } };
  return error?.code ?? response.headers.get('x-signalbox-model') ?? '';
}

describe('a rule sends a request elsewhere', () => {
  test.each<[string, object, Ask]>([
    ['for a key', { keys: 'contracts' }, { key: 'sb-legal' }],
    ['for a team', { teams: 'legal' }, { key: 'sb-legal' }],
    ['for a user', { users: 'ada' }, { more: { user: 'ada' } }],
    ['for a tag', { tags: 'batch' }, { headers: { 'x-signalbox-tags': 'batch' } }],
    [
      'for metadata',
      { metadata: { feature: 'chat' } },
      { more: { 'x-gateway': { metadata: { feature: 'chat' } } } },
    ],
    [
      'for a header',
      { headers: { 'x-environment': 'staging' } },
      { headers: { 'X-Environment': 'staging' } },
    ],
    ['for the name that was asked for', { models: 'nick' }, { model: 'nick' }],
    [
      'for tools',
      { needs: 'tools' },
      { more: { tools: [{ type: 'function', function: { name: 'look' } }] } },
    ],
    ['for JSON', { needs: 'json' }, { more: { response_format: { type: 'json_object' } } }],
    ['for length', { input_tokens: '>=1000' }, { more: { metadata: { text: 'x'.repeat(4000) } } }],
  ])('%s, and no other', async (_what, when, matching) => {
    offer({ rules: [{ when, use: 'next' }] });
    expect(await answeredBy()).toBe('big');
    expect(await answeredBy(matching)).toBe('next');
  });

  test('where the data plane is', async () => {
    offer({
      rules: [
        { when: { regions: 'there' }, use: 'small' },
        { when: { regions: 'here' }, use: 'next' },
      ],
    });
    expect(await answeredBy()).toBe('next');
  });

  test('and says so in the trail', async () => {
    offer({ rules: [{ name: 'law', when: { teams: 'legal' }, pin: 'next' }] });
    const options = { model: 'smart', key: 'sb-legal', headers: { 'x-signalbox-debug': 'true' } };
    const response = await ask(gateway.url, options);
    expect(response.headers.get('x-signalbox-trail')).toMatch(/^next at \d+ ms, rule "law": only next, /);
    expect(gateway.ledger.entries.at(-1)?.intent.trail).toContain('rule "law": only next');
  });
});

describe('whom a rule forbids', () => {
  test('is not asked when all others fail', async () => {
    offer({
      rules: [{ exclude: 'small' }],
      of: { big: { upstreamModel: 'error-500' }, next: { upstreamModel: 'error-500' } },
    });
    expect(await answeredBy()).toBe('upstream_error');
    expect(gateway.ledger.entries.map(({ intent }) => intent.model)).toEqual(['big', 'next']);
  });

  test('is not asked when a prompt is too long either', async () => {
    offer({
      rules: [{ only: { regions: 'eu' } }],
      route: { contextWindowFallbacks: ['huge', 'small'] },
      of: {
        big: { region: 'eu', abilities: { can: undefined, contextTokens: 5 } },
        small: { region: 'eu' },
        huge: { region: 'us' },
      },
    });
    expect(await answeredBy({ more: { metadata: { text: 'x'.repeat(400) } } })).toBe('small');
  });

  test('leaves a request unanswered that nobody may answer, and says why in the caller’s words', async () => {
    offer({ rules: [{ name: 'residency', only: { regions: 'eu' } }] });
    const response = await ask(gateway.url, { model: 'smart' });
    expect(response.status).toBe(403);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'excluded_by_rules', type: 'permission_error', param: 'model' });
    expect(error.message).toContain('rule "residency": its region ("") would have to be eu');
    expect(gateway.ledger.entries).toEqual([]);
  });

  test('is not asked because the client wants to', async () => {
    offer({ rules: [{ exclude: 'big' }] });
    const at = (name: string) => answeredBy({ more: { 'x-gateway': { provider: name } } });
    expect(await at('at-next')).toBe('next');
    expect(await at('at-big')).toBe('invalid_request');
  });
});

test('a pinned request has no fallbacks of any kind', async () => {
  const tooSmall = { abilities: { can: undefined, contextTokens: 1 } };
  offer({
    rules: [{ pin: 'big' }],
    route: { contextWindowFallbacks: ['huge'] },
    of: { big: tooSmall },
  });
  expect(await answeredBy()).toBe('context_length_exceeded');
  offer({ rules: [{ pin: 'big' }], of: { big: { upstreamModel: 'error-500' } } });
  expect(await answeredBy()).toBe('upstream_error');
});

describe('a canary', () => {
  const split = (percent: number) => ({
    name: 'canary',
    split: {
      shares: [
        { model: 'big', percent: 100 - percent },
        { model: 'next', percent },
      ],
    },
  });
  const byKey = async () =>
    await Promise.all(Array.from({ length: 40 }, (_, index) => answeredBy({ key: `sb-${index}` })));

  test('is the same for a key every time, and keeps those it had when it grows', async () => {
    offer({ rules: [split(20)] });
    const few = await byKey();
    expect(await byKey()).toEqual(few);
    expect(new Set(few)).toEqual(new Set(['big', 'next']));
    offer({ rules: [split(60)] });
    const more = await byKey();
    expect(few.every((model, index) => model === 'big' || more[index] === 'next')).toBe(true);
  });

  test('that fails costs nobody an answer', async () => {
    offer({ rules: [split(100)], of: { next: { upstreamModel: 'error-500' } } });
    expect(await answeredBy()).toBe('small');
    offer({ rules: [split(99)], of: { next: { upstreamModel: 'error-500' } } });
    expect(new Set(await byKey())).toEqual(new Set(['big']));
  });
});

describe('what a model cannot do', () => {
  const can = (...names: Capability[]) => ({ abilities: { can: new Set(names), contextTokens: 0 } });
  const picture = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
  const seeing = {
    more: { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: picture } }] }] },
  };

  test('is asked of another', async () => {
    offer({ of: { big: can('tools'), next: can('tools', 'vision') } });
    expect(await answeredBy()).toBe('big');
    expect(await answeredBy(seeing)).toBe('next');
  });

  test('is refused where nobody can, with who cannot do what', async () => {
    offer({ of: { big: can('tools'), next: can(), small: can('json') } });
    const response = await ask(gateway.url, { model: 'smart', ...seeing });
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'unsupported_by_provider' });
    expect(error.message).toBe('The deployment "big" cannot do vision.');
    expect(gateway.ledger.entries).toEqual([]);
  });

  test('is not taken for a long prompt because its picture is large', async () => {
    const large = `${picture.slice(0, -8)}${'A'.repeat(400_000)}`;
    const more = {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: large } }] }],
    };
    offer({ of: { big: { abilities: { can: undefined, contextTokens: 8000 } } } });
    expect(await answeredBy({ more })).toBe('big');
    expect(await answeredBy({ more: { messages: [{ role: 'user', content: 'x'.repeat(400_000) }] } })).toBe(
      'next',
    );
  });
});
