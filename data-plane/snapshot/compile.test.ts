import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { Encoding } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { newSealingKeyPair } from '#shared/crypto/sealed-key.ts';
import { limits } from '#shared/limits.ts';
import { ConfigurationSource } from '#test/harness/configuration-source.ts';
import { compatible } from '../providers/compatible.ts';
import { fixedCredential } from '../providers/credential.ts';
import type { Provider } from '../providers/provider.ts';
import { type ApplyResult, applyTransfer, type Configuration } from './configuration.ts';
import type { Transfer } from './receiver.ts';
import type { Snapshot } from './snapshot.ts';

const node = newSealingKeyPair();

const kinds: Readonly<Record<string, Provider>> = {
  openai: compatible('openai'),
  vllm: compatible('vllm'),
  demo: {
    type: 'demo',
    turns: () => [],
    services: {},
    credential: () => fixedCredential({}),
    async *answer() {},
  },
};

function toTransfer(source: ConfigurationSource, from?: bigint): Transfer {
  const messages = source.transfer({
    nonce: 1n,
    sealingKey: node.publicKey,
    ...(from !== undefined && { from }),
  });
  return {
    full: from === undefined,
    historyId: source.historyId,
    fromRevision: from ?? 0n,
    toRevision: source.revision,
    chunks: messages.flatMap((message) =>
      message.case === 'chunk' ? [message.value as Transfer['chunks'][number]] : [],
    ),
    sealedKeys: messages.flatMap((message) =>
      message.case === 'begin' ? [message.value.sealedKey as Transfer['sealedKeys'][number]] : [],
    ),
    digest: source.digest(),
    signature: source.sign(source.digest()),
  };
}

function apply(
  source: ConfigurationSource,
  running?: Configuration,
  transfer = toTransfer(source, running?.revision),
) {
  return applyTransfer({
    transfer,
    running,
    sealingKey: node.privateKey,
    signingKey: source.signingKey,
    providerFor: (type) => kinds[type],
    clock: systemClock,
  });
}

function applied(result: ApplyResult): Configuration {
  if (result.type === 'applied') return result.configuration;
  throw new Error(`refused: ${JSON.stringify(result.reasons)}`);
}

const snapshotOf = async (source: ConfigurationSource): Promise<Snapshot> =>
  applied(await apply(source)).compilation.snapshot;

function refusals(result: ApplyResult) {
  if (result.type === 'applied') throw new Error('the configuration was applied');
  return result.reasons.map(({ type, name, field, code }) => ({ type, name, field, code }));
}

function someSource(): ConfigurationSource {
  return new ConfigurationSource()
    .secret('openai-1', 'sk-first')
    .provider({
      name: 'openai',
      type: 'openai',
      keys: [{ id: 'pk_1', secret: 'openai-1', weight: 2, rpm: 500, tpm: 200_000n }],
      modelPatterns: ['gpt-*', 'o1'],
    })
    .deployment({
      id: 'd1',
      model: 'gpt-4o',
      provider: 'openai',
      upstreamModel: 'gpt-4o-2024-11-20',
      priority: 2,
    })
    .deployment({ id: 'd2', model: 'gpt-4o', provider: 'openai', priority: 1, timeoutMs: 5000, tags: ['eu'] })
    .alias('fast', 'gpt-4o')
    .route({ slug: 'smart', strategy: 'priority', members: [{ model: 'gpt-4o', weight: 1 }], enabled: true })
    .route({ slug: 'off', strategy: 'priority', enabled: false });
}

describe('a snapshot', () => {
  test('has everything a request needs, ready-made', async () => {
    const { providers, models, aliases, routes, revision } = await snapshotOf(someSource());
    const openai = providers.get('openai')!;
    expect(openai.origin).toEqual({
      secure: true,
      host: 'api.openai.com',
      port: 443,
      allowPrivateNetwork: false,
    });
    expect(openai.basePath).toBe('/v1');
    expect(openai.keys[0]).toMatchObject({ id: 'pk_1', weight: 2, rpm: 500, tpm: 200_000 });
    expect(openai.keys[0]?.credential.headers).toEqual({ authorization: 'Bearer sk-first' });
    expect(['gpt-5', 'o1', 'o1-mini', 'claude'].map(openai.matchesModel)).toEqual([true, true, false, false]);
    expect(models.get('gpt-4o')?.map(({ id }) => id)).toEqual(['d2', 'd1']);
    expect(models.get('gpt-4o')?.[0]).toMatchObject({
      upstreamModel: 'gpt-4o',
      timeoutMs: 5000,
      tags: ['eu'],
    });
    expect(models.get('gpt-4o')?.[1]).toMatchObject({
      timeoutMs: limits.upstreamTimeoutMs,
      provider: openai,
    });
    expect([...aliases]).toEqual([['fast', 'gpt-4o']]);
    expect([...routes.keys()]).toEqual(['smart']);
    expect(revision).toBe(8n);
  });

  test('says how requests are shared at every level, where that is said', async () => {
    const source = someSource()
      .provider({
        name: 'openai',
        type: 'openai',
        keys: [
          {
            id: 'pk_1',
            secret: 'openai-1',
            weight: 1,
            concurrency: { max: 3, waitingMax: 2, waitMsMax: 1000 },
          },
          { id: 'pk_2', secret: 'openai-1', weight: 1 },
        ],
        keyStrategy: 'least-busy',
        concurrency: { max: 50 },
      })
      .deployment({ id: 'd3', model: 'gpt-4o', provider: 'openai', strategy: 'adaptive' })
      .deployment({ id: 'd4', model: 'o1', provider: 'openai' });
    const { providers, modelStrategies } = await snapshotOf(source);
    expect([...modelStrategies]).toEqual([['gpt-4o', 'adaptive']]);
    const openai = providers.get('openai')!;
    expect(openai).toMatchObject({ keyStrategy: 'least-busy', concurrencyMax: 50, waitingMax: 0 });
    expect(openai.keys).toMatchObject([
      { priority: 0, concurrencyMax: 3, waitingMax: 2, waitMsMax: 1000 },
      { priority: 1, concurrencyMax: 0 },
    ]);
    expect((await snapshotOf(someSource())).providers.get('openai')?.keyStrategy).toBe('random');
  });

  test('is frozen', async () => {
    const { providers, models } = await snapshotOf(someSource());
    const values = [providers.get('openai'), providers.get('openai')?.keys, models.get('gpt-4o')?.[0]?.tags];
    expect(values.every((value) => Object.isFrozen(value))).toBe(true);
    expect(Object.isFrozen(providers.get('openai')?.keys[0]?.credential.headers)).toBe(true);
  });

  test.each([
    ['https://llm.example.com', 'openai', { secure: true, host: 'llm.example.com', port: 443 }, ''],
    ['https://llm.example.com/', 'openai', { secure: true, host: 'llm.example.com', port: 443 }, ''],
    ['http://10.0.0.7:8000/v1', 'vllm', { secure: false, host: '10.0.0.7', port: 8000 }, '/v1'],
    ['http://[::1]:8000/v1//', 'vllm', { secure: false, host: '::1', port: 8000 }, '/v1'],
  ])('dials %s', async (baseUrl, type, origin, basePath) => {
    const source = new ConfigurationSource().provider({
      name: 'p',
      type,
      baseUrl,
      allowPrivateNetwork: true,
    });
    const provider = (await snapshotOf(source)).providers.get('p');
    expect(provider?.origin).toEqual({ ...origin, allowPrivateNetwork: true });
    expect(provider?.basePath).toBe(basePath);
  });

  test('dials nothing for a provider that answers locally', async () => {
    const { providers } = await snapshotOf(
      new ConfigurationSource().provider({ name: 'demo', type: 'demo' }),
    );
    expect(providers.get('demo')).toMatchObject({ origin: undefined, basePath: '', keys: [] });
  });
});

describe('keys', () => {
  test('are found by what their owner presents, and by nothing else', async () => {
    const source = new ConfigurationSource();
    const presented = source.key('key_1', { name: 'ci', models: ['gpt-4o', 'claude-*'], expiresAtMs: 5000n });
    const { keys } = await snapshotOf(source);
    const principal = keys.find(presented);
    expect(principal).toMatchObject({
      keyId: 'key_1',
      name: 'ci',
      expiresAtMs: 5000,
      dropsUnsupported: false,
      metadata: {},
      queuePriority: 5,
    });
    expect(['gpt-4o', 'gpt-4o-mini', 'claude-x'].map((name) => principal?.mayUse(name))).toEqual([
      true,
      false,
      true,
    ]);
    expect(keys.find(new ConfigurationSource().key('other'))).toBeUndefined();
    expect(keys.find(presented.slice(0, -1))).toBeUndefined();
    expect(keys.find('')).toBeUndefined();
  });

  test('without limits may use everything, for ever', async () => {
    const source = new ConfigurationSource();
    const presented = source.key('key_1');
    const principal = (await snapshotOf(source)).keys.find(presented);
    expect(principal?.mayUse('anything')).toBe(true);
    expect(principal?.expiresAtMs).toBe(Number.POSITIVE_INFINITY);
    const dropping = source.key('key_3', { dropUnsupported: true });
    expect((await snapshotOf(source)).keys.find(dropping)?.dropsUnsupported).toBe(true);
  });

  test.each([
    [0, 0],
    [7, 7],
    [undefined, 5],
    [12, 9],
  ])('that are told to wait with the urgency %s wait with %s', async (queuePriority, expected) => {
    const source = new ConfigurationSource();
    const presented = source.key('key_1', queuePriority === undefined ? {} : { queuePriority });
    expect((await snapshotOf(source)).keys.find(presented)?.queuePriority).toBe(expected);
  });

  test('may trade places in one transfer', async () => {
    const source = new ConfigurationSource();
    const [first, second] = [source.key('key_1'), source.key('key_2')];
    const before = applied(await apply(source));
    const payload = (name: string) => before.compilation.resources.get(ResourceType.API_KEY, name)!.payload;
    source
      .put(ResourceType.API_KEY, 'key_1', payload('key_2'))
      .put(ResourceType.API_KEY, 'key_2', payload('key_1'));
    const { keys } = applied(await apply(source, before)).compilation.snapshot;
    expect([keys.find(first)?.keyId, keys.find(second)?.keyId, keys.size]).toEqual(['key_1', 'key_2', 2]);
  });
});

describe('the next snapshot', () => {
  test('after a key was added and one removed shares everything else with the one before', async () => {
    const source = someSource();
    const revoked = source.key('key_1');
    const before = applied(await apply(source));
    const created = source.key('key_2');
    source.remove(ResourceType.API_KEY, 'key_1');
    const after = applied(await apply(source, before));
    const [one, other] = [before.compilation.snapshot, after.compilation.snapshot];
    expect(other.models).toBe(one.models);
    expect(other.providers).toBe(one.providers);
    expect([other.keys.find(revoked), other.keys.find(created)?.keyId]).toEqual([undefined, 'key_2']);
    expect(one.keys.find(revoked)?.keyId).toBe('key_1');
    expect(one.keys.find(created)).toBeUndefined();
  });

  test('after a model was added takes its providers over as they are', async () => {
    const source = someSource();
    const before = applied(await apply(source));
    source.deployment({ id: 'd3', model: 'gpt-4o-mini', provider: 'openai' });
    const after = applied(await apply(source, before)).compilation.snapshot;
    expect(after.providers.get('openai')).toBe(before.compilation.snapshot.providers.get('openai'));
    expect(after.models.get('gpt-4o')?.[0]).toBe(before.compilation.snapshot.models.get('gpt-4o')?.[0]);
    expect(after.models.get('gpt-4o-mini')).toHaveLength(1);
  });

  test('after a secret was rotated uses the new one everywhere', async () => {
    const source = someSource();
    const before = applied(await apply(source));
    source.secret('openai-1', 'sk-second');
    const after = applied(await apply(source, before)).compilation.snapshot;
    expect(after.models.get('gpt-4o')?.[0]?.provider.keys[0]?.credential.headers).toEqual({
      authorization: 'Bearer sk-second',
    });
    expect(after.providers.get('openai')).toBe(after.models.get('gpt-4o')?.[0]?.provider);
  });

  test('from a full transfer is the same as from deltas', async () => {
    const source = someSource();
    const before = applied(await apply(source));
    source.alias('quick', 'gpt-4o').remove(ResourceType.ALIAS, 'fast').remove(ResourceType.DEPLOYMENT, 'd1');
    const stepped = applied(await apply(source, before)).compilation;
    const whole = applied(await apply(source, before, toTransfer(source))).compilation;
    expect(stepped.resources.digest()).toEqual(whole.resources.digest());
    expect([...stepped.snapshot.aliases]).toEqual([...whole.snapshot.aliases]);
    expect(stepped.snapshot.models).toEqual(whole.snapshot.models);
  });
});

describe('a configuration is refused with the resource and the field', () => {
  const provider = ResourceType.PROVIDER;
  test.each([
    {
      what: 'a provider type this build does not know',
      change: (source: ConfigurationSource) => source.provider({ name: 'p', type: 'quantum' }),
      reason: { type: provider, name: 'p', field: 'type', code: 'unknown_provider_type' },
    },
    {
      what: 'a base URL that is none',
      change: (source: ConfigurationSource) =>
        source.provider({ name: 'p', type: 'openai', baseUrl: 'example' }),
      reason: { type: provider, name: 'p', field: 'base_url', code: 'invalid_url' },
    },
    {
      what: 'a base URL with credentials',
      change: (source: ConfigurationSource) =>
        source.provider({ name: 'p', type: 'openai', baseUrl: 'https://a:b@c/' }),
      reason: { type: provider, name: 'p', field: 'base_url', code: 'invalid_url' },
    },
    {
      what: 'no base URL where the type has none',
      change: (source: ConfigurationSource) => source.provider({ name: 'p', type: 'vllm' }),
      reason: { type: provider, name: 'p', field: 'base_url', code: 'missing' },
    },
    {
      what: 'a secret that is not there',
      change: (source: ConfigurationSource) =>
        source.provider({ name: 'p', type: 'openai', keys: [{ id: 'k', secret: 'nowhere' }] }),
      reason: { type: provider, name: 'p', field: 'keys[0].secret', code: 'secret_unavailable' },
    },
    {
      what: 'a secret that does not open',
      change: (source: ConfigurationSource) =>
        source
          .put(ResourceType.SECRET, 'broken', Buffer.from('not a message'))
          .provider({ name: 'p', type: 'openai', keys: [{ id: 'k', secret: 'broken' }] }),
      reason: { type: provider, name: 'p', field: 'keys[0].secret', code: 'secret_unavailable' },
    },
    {
      what: 'the box of another secret',
      change: (source: ConfigurationSource) =>
        source
          .put(ResourceType.SECRET, 'moved', source.payload(ResourceType.SECRET, 'openai-1'))
          .provider({ name: 'p', type: 'openai', keys: [{ id: 'k', secret: 'moved' }] }),
      reason: { type: provider, name: 'p', field: 'keys[0].secret', code: 'secret_unavailable' },
    },
    {
      what: 'a secret that no header can carry',
      change: (source: ConfigurationSource) =>
        source
          .secret('s', 'sk\r\nx: y')
          .provider({ name: 'p', type: 'openai', keys: [{ id: 'k', secret: 's' }] }),
      reason: { type: provider, name: 'p', field: 'keys[0].secret', code: 'invalid_secret' },
    },
    {
      what: 'a deployment of a provider that is not there',
      change: (source: ConfigurationSource) => source.deployment({ id: 'd9', model: 'm', provider: 'p' }),
      reason: { type: ResourceType.DEPLOYMENT, name: 'd9', field: 'provider', code: 'unknown_provider' },
    },
    {
      what: 'a strategy between keys that this build does not know',
      change: (source: ConfigurationSource) =>
        source.provider({ name: 'p', type: 'openai', keyStrategy: 'dice' }),
      reason: { type: ResourceType.PROVIDER, name: 'p', field: 'key_strategy', code: 'unknown_strategy' },
    },
    {
      what: 'a strategy between deployments that this build does not know',
      change: (source: ConfigurationSource) =>
        source.deployment({ id: 'd', model: 'm', provider: 'openai', strategy: 'dice' }),
      reason: { type: ResourceType.DEPLOYMENT, name: 'd', field: 'strategy', code: 'unknown_strategy' },
    },
    {
      what: 'a strategy this build does not know',
      change: (source: ConfigurationSource) => source.route({ slug: 'r', strategy: 'dice', enabled: true }),
      reason: { type: ResourceType.ROUTE, name: 'r', field: 'strategy', code: 'unknown_strategy' },
    },
    {
      what: 'a payload that is no such message',
      change: (source: ConfigurationSource) => source.put(ResourceType.ALIAS, 'a', Buffer.from([0xff, 0xff])),
      reason: { type: ResourceType.ALIAS, name: 'a', field: '', code: 'malformed' },
    },
    {
      what: 'a key whose hash is too short',
      change: (source: ConfigurationSource) => void source.key('key_9', { hmac: Buffer.alloc(8) }),
      reason: { type: ResourceType.API_KEY, name: 'key_9', field: 'hmac', code: 'malformed' },
    },
    {
      what: 'keys without the pepper they were hashed under',
      change: (source: ConfigurationSource) => {
        source.key('key_9');
        source.remove(ResourceType.SECRET, 'api-key-pepper');
      },
      reason: { type: ResourceType.SECRET, name: 'api-key-pepper', field: 'box', code: 'secret_unavailable' },
    },
  ])('$what', async ({ change, reason }) => {
    const source = someSource();
    const before = applied(await apply(source));
    change(source);
    expect(refusals(await apply(source, before))).toEqual([reason]);
    expect(refusals(await apply(source))).toEqual([reason]);
  });

  test('a secret under a key that this node was not given', async () => {
    const source = someSource();
    const transfer = { ...toTransfer(source), sealedKeys: [] };
    expect(refusals(await apply(source, undefined, transfer))).toContainEqual(
      expect.objectContaining({ field: 'keys[0].secret', code: 'secret_unavailable' }),
    );
  });

  test('a fleet key sealed to another node', async () => {
    const transfer = toTransfer(someSource());
    const result = await applyTransfer({
      transfer,
      running: undefined,
      sealingKey: newSealingKeyPair().privateKey,
      signingKey: someSource().signingKey,
      providerFor: (type) => kinds[type],
      clock: systemClock,
    });
    expect(refusals(result)[0]?.code).toBe('signature');
    const source = someSource();
    const foreign = await applyTransfer({
      transfer: toTransfer(source),
      running: undefined,
      sealingKey: newSealingKeyPair().privateKey,
      signingKey: source.signingKey,
      providerFor: (type) => kinds[type],
      clock: systemClock,
    });
    expect(refusals(foreign)).toEqual([{ field: 'sealed_key', code: 'secret_unavailable' }]);
  });

  test('two keys with the same hash', async () => {
    const source = new ConfigurationSource();
    source.key('key_1');
    const before = applied(await apply(source));
    const payload = before.compilation.resources.get(ResourceType.API_KEY, 'key_1')!.payload;
    source.put(ResourceType.API_KEY, 'key_2', payload);
    expect(refusals(await apply(source, before))[0]).toMatchObject({ name: 'key_2', code: 'duplicate' });
  });

  test('everything at once, but no more reasons than anyone reads', async () => {
    const source = new ConfigurationSource();
    for (let index = 0; index < limits.syncNackErrorsMax + 10; index++) {
      source.deployment({ id: `d${index}`, model: 'm', provider: 'nobody' });
    }
    expect(refusals(await apply(source))).toHaveLength(limits.syncNackErrorsMax);
  });
});

describe('a transfer that leads somewhere else than it says', () => {
  test('is refused when the digest is another', async () => {
    const source = someSource();
    const before = applied(await apply(source));
    source.alias('quick', 'gpt-4o');
    const transfer = { ...toTransfer(source, before.revision), chunks: [] };
    expect(refusals(await apply(source, before, transfer))[0]?.code).toBe('digest_mismatch');
  });

  test('is refused when someone else signed it', async () => {
    const source = someSource();
    const transfer = { ...toTransfer(source), signature: new ConfigurationSource().sign(source.digest()) };
    expect(refusals(await apply(source, undefined, transfer))[0]?.code).toBe('signature');
  });

  test('is refused when a chunk unfolds to more than a chunk may hold', async () => {
    const source = someSource();
    const data = gzipSync(Buffer.alloc(limits.syncChunkDecodedBytesMax + 1));
    const transfer = { ...toTransfer(source), chunks: [{ data, encoding: Encoding.GZIP }] };
    expect(refusals(await apply(source, undefined, transfer))[0]?.code).toBe('malformed');
  });

  test('changes nothing when it leads to where the node already is', async () => {
    const source = someSource();
    const before = applied(await apply(source));
    expect(applied(await apply(source, before, toTransfer(source)))).toBe(before);
  });

  test('is kept when it holds resources of a kind this build does not know', async () => {
    const source = someSource().put(99 as ResourceType, 'later', Buffer.from('from the future'));
    const configuration = applied(await apply(source));
    expect(configuration.compilation.resources.get(99 as ResourceType, 'later')?.payload).toEqual(
      Buffer.from('from the future'),
    );
  });
});
