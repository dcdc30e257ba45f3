// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references as they stand in a file
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { SignalboxError } from '../errors.ts';
import { strategyNames } from '../routing-strategies.ts';
import { loadConfiguration, problemText } from './load.ts';
import type { Configuration } from './objects.ts';

const openai = `
providers:
  - { name: openai, api_keys: [sk-1] }
`;

function load(text: string, env: Record<string, string> = {}, demo = false): Configuration {
  return loadConfiguration({ file: 'f.yaml', text, env, demo }).configuration;
}

function problems(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof SignalboxError)
      return error.problems.map((problem) => problemText('f.yaml', problem));
    throw error;
  }
  return [];
}

describe('a valid file', () => {
  test('is read with everything filled in that follows from the rest', () => {
    const { providers, models, aliases, routes } = load(
      `
providers:
  - name: openai            # any unique name
    type: openai            # a known type; default: the name
    base_url: https://api.openai.com/v1
    api_keys: [\${OPENAI_API_KEY}, { key: \${OPENAI_API_KEY_2:}, weight: 2, rpm: 500, tpm: 200000 }]
models:                     # several entries with one name are deployments of that model
  - { name: gpt-4o, provider: openai, model: gpt-4o-2024-11-20, timeout: 60s, region: eu, tags: [chat] }
  - { name: gpt-4o-mini, provider: openai }
aliases: { fast: gpt-4o-mini }
routes:
  - { slug: smart, strategy: priority, models: [{ model: gpt-4o, weight: 50, priority: 1 }], fallbacks: [gpt-4o-mini] }
`,
      { OPENAI_API_KEY: 'sk-1' },
    );
    expect(providers[0]).toMatchObject({ name: 'openai', type: 'openai', allow_private_network: false });
    expect(providers[0]!.api_keys.map(({ key, ...rest }) => ({ key: key.reveal(), ...rest }))).toEqual([
      { key: 'sk-1', weight: 1, rpm: 0, tpm: 0 },
    ]);
    expect(models.map(({ id }) => id)).toEqual([
      'gpt-4o:openai:gpt-4o-2024-11-20:eu',
      'gpt-4o-mini:openai:gpt-4o-mini',
    ]);
    expect(models[1]).toMatchObject({ weight: 1, priority: 1, region: '', tags: [] });
    expect(aliases).toEqual([{ name: 'fast', target: 'gpt-4o-mini' }]);
    expect(routes[0]).toMatchObject({ slug: 'smart', enabled: true, strategy: 'priority' });
  });

  test('may be empty, and keys without a value count as left out', () => {
    const nothing = { providers: [], models: [], aliases: [], routes: [] };
    expect(load('')).toEqual(nothing);
    expect(load('# only a comment\n')).toEqual(nothing);
    expect(load('models:\naliases:\n')).toEqual(nothing);
  });

  test('may name models that a provider claims by pattern, by address, and through the environment', () => {
    const names = `${openai}aliases: { a: gpt-9, b: openai/whatever, c: a }`;
    expect(load(names).aliases).toHaveLength(3);
    expect(load('aliases: { large: mistral-large-latest }', { MISTRAL_API_KEY: 'x' }).aliases).toHaveLength(
      1,
    );
    expect(load('models: [{ name: m, provider: groq }]', { GROQ_API_KEY: 'x' }).models).toHaveLength(1);
    expect(load('aliases: { d: demo }', {}, true).aliases).toHaveLength(1);
  });

  test('implies the private network for types that live on this machine', () => {
    const [ollama] = load('providers: [{ name: ollama }]').providers;
    expect(ollama!.allow_private_network).toBe(true);
  });

  test('gives a provider the names of its vendor unless it has a list of its own', () => {
    expect(load(openai).providers[0]!.model_patterns).toContain('gpt-*');
    const own = 'providers: [{ name: openai, api_keys: [x], model_patterns: [] }]';
    expect(load(own).providers[0]!.model_patterns).toEqual([]);
  });
});

describe('variables', () => {
  const provider = (key: string) => `providers:\n  - name: openai\n    api_keys: [${key}]\n`;
  const keyOf = (configuration: Configuration) => configuration.providers[0]!.api_keys[0]!.key.reveal();

  test('stand for their values anywhere in a scalar, quoted or not', () => {
    expect(keyOf(load(provider('a-${K}-b'), { K: 'x' }))).toBe('a-x-b');
    expect(keyOf(load(provider('"${K}"'), { K: 'x' }))).toBe('x');
    expect(keyOf(load(provider("'${K}${L:y}'"), { K: 'x' }))).toBe('xy');
  });

  test('cannot change the structure of the file', () => {
    const value = 'x], type: demo, "\n  - name: evil # {';
    expect(keyOf(load(provider('${K}'), { K: value }))).toBe(value);
  });

  test('have defaults, which may hold anything but a brace, for when they are unset or empty', () => {
    expect(keyOf(load(provider('${K:a: [b, "c"] #d}')))).toBe('a: [b, "c"] #d');
    expect(keyOf(load(provider('${K:d}'), { K: '' }))).toBe('d');
  });

  test('become numbers and booleans where those are expected', () => {
    const [entry] = load(
      'providers: [{ name: ollama, allow_private_network: ${P:true}, api_keys: [{ key: k, rpm: ${RPM:500} }] }]',
    ).providers;
    expect(entry).toMatchObject({ allow_private_network: true, api_keys: [{ rpm: 500 }] });
  });

  test('are written literally after a second dollar sign', () => {
    expect(keyOf(load(provider('$${K}')))).toBe('${K}');
  });

  test('that are unset and have no default are named, with what to do', () => {
    expect(problems(provider('${OPENAI_KEY}'), { OPENAI_KYE: 'x' })).toEqual([
      'f.yaml:3:16  providers[0].api_keys[0]: the environment variable OPENAI_KEY is not set; set it, or give a default as in ${OPENAI_KEY:default}; did you mean "OPENAI_KYE"?',
    ]);
    expect(problems(provider('"${K"'))[0]).toMatch(/f\.yaml:3:16 .* does not begin a reference/);
    expect(problems(provider('${K:-x}'))[0]).toMatch(/a default is written \$\{K:x\}, without "-"/);
  });

  test('that expand to nothing leave the key out, so a provider can end up with none', () => {
    expect(problems(provider('${K:}, { key: ${L:} }'))).toEqual([
      expect.stringMatching(
        /^f\.yaml:3:15 {2}providers\[0\]\.api_keys: the type "openai" needs at least one key/,
      ),
    ]);
  });

  test('never appear in a message', () => {
    const secret = 'super-secret';
    const text = 'providers: [{ name: openai, base_url: "${S}", api_keys: [{ key: x, rpm: "${S}" }] }]';
    expect(problems(text, { S: secret })).toHaveLength(2);
    expect(problems(text, { S: secret }).join()).not.toContain(secret);
  });
});

describe('a problem', () => {
  const cases: readonly { readonly name: string; readonly text: string; readonly problem: string }[] = [
    {
      name: 'a key that does not exist',
      text: 'providers:\n  - name: openai\n    tpye: openai\n    api_keys: [x]\n',
      problem: 'f.yaml:3:5  providers[0].tpye: unknown key; did you mean "type"?',
    },
    {
      name: 'a key that resembles none',
      text: `${openai}routes:\n  - slug: r\n    models: [{ model: gpt-4o, zzzzzzz: 1 }]\n`,
      problem: 'f.yaml:6:31  routes[0].models[0].zzzzzzz: unknown key; known: model, weight, priority',
    },
    {
      name: 'a section that does not exist',
      text: 'modles: []\n',
      problem: 'f.yaml:1:1  modles: unknown key; did you mean "models"?',
    },
    {
      name: 'a key inside an API key entry',
      text: 'providers:\n  - name: openai\n    api_keys:\n      - key: x\n        wieght: 2\n',
      problem: 'f.yaml:5:9  providers[0].api_keys[0].wieght: unknown key; did you mean "weight"?',
    },
    {
      name: 'a value of the wrong type',
      text: `${openai}models: [{ name: m, provider: openai, weight: heavy }]`,
      problem: 'f.yaml:4:47  models[0].weight: must be a number; got "heavy"',
    },
    {
      name: 'a number out of range',
      text: `${openai}models: [{ name: m, provider: openai, weight: -1 }]`,
      problem: 'f.yaml:4:47  models[0].weight: must be at least 0; got -1',
    },
    {
      name: 'a boolean in the words of an older YAML',
      text: `${openai}routes: [{ slug: r, models: [{ model: gpt-4o }], enabled: yes }]`,
      problem: 'f.yaml:4:59  routes[0].enabled: must be true or false; got "yes"',
    },
    {
      name: 'a strategy that does not exist',
      text: `${openai}routes: [{ slug: r, models: [{ model: gpt-4o }], strategy: prioritiy }]`,
      problem: 'f.yaml:4:60  routes[0].strategy: unknown value; got "prioritiy"; did you mean "priority"?',
    },
    {
      name: 'a duration that is none',
      text: `${openai}models: [{ name: m, provider: openai, timeout: 60x }]`,
      problem: 'f.yaml:4:48  models[0].timeout: must be a duration such as 500ms, 60s or 2m; got "60x"',
    },
    {
      name: 'a duration out of range',
      text: `${openai}models: [{ name: m, provider: openai, timeout: 2h }]`,
      problem: 'f.yaml:4:48  models[0].timeout: must be between 1ms and 1h; got "2h"',
    },
    {
      name: 'a missing key',
      text: `${openai}models:\n  - provider: openai\n`,
      problem: 'f.yaml:5:5  models[0].name: is required',
    },
    {
      name: 'a route without models',
      text: `${openai}routes:\n  - slug: r\n    models: []\n`,
      problem: 'f.yaml:6:13  routes[0].models: must have at least 1 entry',
    },
    {
      name: 'an unknown provider type',
      text: 'providers: [{ name: o, type: opnai, api_keys: [x] }]',
      problem: 'f.yaml:1:30  providers[0].type: unknown provider type "opnai"; did you mean "openai"?',
    },
    {
      name: 'a provider without a type whose name is none',
      text: 'providers: [{ name: opnai, api_keys: [x] }]',
      problem:
        'f.yaml:1:21  providers[0].name: has no type, and its name "opnai" is not one; did you mean "openai"?',
    },
    {
      name: 'a type that needs a base_url',
      text: 'providers:\n  - { name: v, type: vllm }\n',
      problem: 'f.yaml:2:5  providers[0].base_url: is required for the type "vllm"',
    },
    {
      name: 'half an Entra application',
      text: 'providers: [{ name: azure, base_url: "https://x.openai.azure.com", api_keys: [k], tenant_id: t }]',
      problem: 'f.yaml:1:13  providers[0].client_id: is needed too: tenant_id and client_id go together',
    },
    {
      name: "a machine's own account without its project",
      text: 'providers: [{ name: vertex }]',
      problem: 'f.yaml:1:13  providers[0].project: is required for the type "vertex" without api_keys',
    },
    {
      name: 'a setting of another vendor',
      text: 'providers: [{ name: vertex, api_keys: [k], api_version: v1 }]',
      problem:
        'f.yaml:1:57  providers[0].api_version: has no effect: the type "vertex" has no api_version; remove it',
    },
    {
      name: 'a base_url with credentials',
      text: 'providers: [{ name: ollama, base_url: "http://a:b@h/v1" }]',
      problem:
        'f.yaml:1:39  providers[0].base_url: must be an http or https URL without credentials, query or fragment; got "http://a:b@h/v1"',
    },
    {
      name: 'a private address that was not allowed',
      text: 'providers: [{ name: v, type: vllm, base_url: "http://10.1.2.3/v1" }]',
      problem:
        'f.yaml:1:46  providers[0].base_url: "http://10.1.2.3/v1" is in a private network or on this machine; set allow_private_network: true if that is meant',
    },
    {
      name: 'a setting without effect',
      text: 'providers: [{ name: demo, base_url: "http://x/v1" }]',
      problem:
        'f.yaml:1:37  providers[0].base_url: has no effect: the type "demo" answers by itself; remove it',
    },
    {
      name: 'the same key twice',
      text: `${openai}aliases:\n  a: gpt-4o\n  a: gpt-4\n`,
      problem: 'f.yaml:6:3  aliases.a: the key "a" is already given in line 5',
    },
    {
      name: 'two providers of one name',
      text: 'providers:\n  - { name: ollama }\n  - { name: ollama }\n',
      problem: 'f.yaml:3:13  providers[1].name: there are two providers "ollama"',
    },
    {
      name: 'two deployments that cannot be told apart',
      text: `${openai}models:\n  - { name: m, provider: openai }\n  - { name: m, provider: openai }\n`,
      problem: 'f.yaml:6:5  models[1]: there are two deployments "m:openai:m"; give one an id of its own',
    },
    {
      name: 'two routes of one name',
      text: `${openai}routes:\n  - { slug: r, models: [{ model: gpt-4o }] }\n  - { slug: r, models: [{ model: gpt-4o }] }\n`,
      problem: 'f.yaml:6:13  routes[1].slug: there are two routes "r"',
    },
    {
      name: 'a provider that does not exist',
      text: `${openai}models: [{ name: m, provider: opnai }]`,
      problem: 'f.yaml:4:31  models[0].provider: there is no provider "opnai"; did you mean "openai"?',
    },
    {
      name: 'a route to nowhere',
      text: `${openai}models: [{ name: qwen, provider: openai }]\nroutes: [{ slug: r, models: [{ model: qwne }] }]`,
      problem:
        'f.yaml:5:39  routes[0].models[0].model: there is no model, alias or route "qwne"; did you mean "qwen"?',
    },
    {
      name: 'a fallback to nowhere',
      text: `${openai}models: [{ name: qwen, provider: openai }]\nroutes: [{ slug: r, models: [{ model: qwen }], fallbacks: [qwne] }]`,
      problem:
        'f.yaml:5:60  routes[0].fallbacks[0]: there is no model, alias or route "qwne"; did you mean "qwen"?',
    },
    {
      name: 'a route to itself',
      text: `${openai}routes: [{ slug: r, models: [{ model: r }] }]`,
      problem: 'f.yaml:4:39  routes[0].models[0].model: the route "r" names itself',
    },
    {
      name: 'an alias to nowhere',
      text: `${openai}models: [{ name: qwen, provider: openai }]\naliases:\n  fast: qwne\n`,
      problem: 'f.yaml:6:9  aliases.fast: there is no model, alias or route "qwne"; did you mean "qwen"?',
    },
    {
      name: 'an alias with the name of a model',
      text: `${openai}models: [{ name: m, provider: openai }]\naliases: { m: gpt-4o }`,
      problem: 'f.yaml:5:15  aliases.m: "m" is also the name of a model; clients could not tell them apart',
    },
    {
      name: 'an alias with the name of a route',
      text: `${openai}aliases: { r: gpt-4o }\nroutes: [{ slug: r, models: [{ model: gpt-4o }] }]`,
      problem: 'f.yaml:4:15  aliases.r: "r" is also the name of a route; clients could not tell them apart',
    },
    {
      name: 'a route with the name of a model',
      text: `${openai}models: [{ name: m, provider: openai }]\nroutes: [{ slug: m, models: [{ model: gpt-4o }] }]`,
      problem:
        'f.yaml:5:18  routes[0].slug: "m" is also the name of a model; clients could not tell them apart',
    },
    {
      name: 'a name that cannot be one',
      text: `${openai}aliases: { "a b": gpt-4o }`,
      problem:
        'f.yaml:4:12  aliases.a b: the name must begin with a letter or digit and hold only letters, digits and . _ : / @ + -',
    },
    {
      name: 'a list where a mapping belongs',
      text: 'providers:\n  - [a]\n',
      problem: 'f.yaml:2:5  providers[0]: must be a mapping; got a list',
    },
    {
      name: 'an API key that is neither text nor a mapping',
      text: 'providers: [{ name: openai, api_keys: [1] }]',
      problem: 'f.yaml:1:40  providers[0].api_keys[0]: must be text or a mapping',
    },
    {
      name: 'a file that is no mapping',
      text: '- a\n',
      problem: 'f.yaml:1:1  must be a mapping; got a list',
    },
  ];

  test.each(cases)('is reported alone and in its place: $name', ({ text, problem }) => {
    expect(problems(text)).toEqual([problem]);
  });

  test('with the YAML itself has its place', () => {
    expect(problems('providers:\n  - { name: openai\nmodels: []\n')[0]).toMatch(/^f\.yaml:\d+:\d+ {2}\S/);
    expect(problems('aliases: !secret x\n')[0]).toMatch(/^f\.yaml:1:10 {2}Unresolved tag/);
  });

  test('in a circle of aliases is reported at each of them', () => {
    expect(problems(`${openai}aliases: { a: b, b: c, c: a, d: a }`)).toEqual([
      'f.yaml:4:15  aliases.a: leads back to itself: a -> b -> c -> a',
      'f.yaml:4:21  aliases.b: leads back to itself: b -> c -> a -> b',
      'f.yaml:4:27  aliases.c: leads back to itself: c -> a -> b -> c',
    ]);
  });

  test('does not hide another: all are reported at once, in the order of the lines', () => {
    const found = problems(`
routes: [{ slug: r, models: [{ model: nowhere }], strategy: dice }]
models:
  - { name: m, provider: missing }
  - { nam: n }
providers:
  - { name: opnai }
`);
    expect(found.map((line) => line.split('  ')[1]!.split(':')[0])).toEqual([
      'routes[0].models[0].model',
      'routes[0].strategy',
      'models[0].provider',
      'models[1].name',
      'models[1].provider',
      'models[1].nam',
      'providers[0].name',
    ]);
  });

  test('in an API key never shows it', () => {
    expect(problems('providers: [{ name: openai, api_keys: [{ key: [sk-1] }] }]').join()).not.toContain(
      'sk-1',
    );
  });
});

test('references to anchors work, and one that would unfold without end is refused', () => {
  const shared =
    'providers:\n  - &p { name: ollama }\nmodels:\n  - { name: m, provider: ollama, tags: &t [a] }\n';
  expect(load(`${shared}  - { name: n, provider: ollama, tags: *t }\n`).models[1]!.tags).toEqual(['a']);
  const bomb = Array.from(
    { length: 9 },
    (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(10)}]`,
  );
  expect(problems(`a0: &a0 [x]\n${bomb.join('\n')}\n`).join()).toContain('unfolds to too much');
});

describe('any valid configuration', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,12}$/);
  const weight = fc.integer({ min: 0, max: 1_000_000 });
  const priority = fc.integer({ min: 0, max: 1000 });
  const share = fc.constantFrom(0.1, 0.5, 1);
  const price = fc.double({ min: 0, max: 1000, noNaN: true }).map(Math.abs);
  const concurrency = fc.oneof(
    fc.integer({ min: 0, max: 1000 }),
    fc.record({ max: fc.constant(5), queue: fc.integer({ min: 0, max: 10 }), wait: fc.constant('5s') }),
  );
  const apiKey = fc.record({
    key: fc.string({ minLength: 1, unit: 'grapheme' }).filter((key) => !key.includes('${')),
    weight,
    rpm: fc.nat(),
    tpm: fc.nat(),
    max_concurrency: concurrency,
  });
  const configuration = fc
    .uniqueArray(name, { minLength: 4, maxLength: 12 })
    .chain(([slug, alias, provider, ...models]) =>
      fc.record({
        providers: fc.tuple(
          fc.record({
            name: fc.constant(provider!),
            type: fc.constantFrom('openai', 'groq', 'openai-compatible'),
            base_url: fc.constant('https://example.com/v1'),
            api_keys: fc.array(apiKey, { minLength: 1, maxLength: 3 }),
            key_strategy: fc.constantFrom('random', 'least-busy', 'lowest-usage'),
            max_concurrency: concurrency,
            allow_private_network: fc.boolean(),
            model_patterns: fc.array(name.map((text) => `${text}*`)),
          }),
        ),
        models: fc.tuple(
          ...models.map((model) =>
            fc.record({
              id: fc.constant(`${model}-id`),
              name: fc.constant(model),
              provider: fc.constant(provider!),
              model: fc.stringMatching(/^\S{1,20}$/).filter((text) => !text.includes('${')),
              weight,
              priority,
              timeout: fc.constantFrom('500ms', '60s', '2m', 30),
              idle_timeout: fc.constantFrom('500ms', 30),
              strategy: fc.constantFrom(...strategyNames),
              rpm: fc.nat(),
              tpm: fc.nat(),
              max_concurrency: concurrency,
              price: fc.record({ input: price, cached_input: price, output: price }),
              region: name,
              tags: fc.array(name),
              capabilities: fc.constantFrom(['tools', 'vision'], []),
              context_tokens: fc.nat(),
            }),
          ),
        ),
        aliases: fc.constant([{ name: alias!, target: models[0]! }]),
        routes: fc.tuple(
          fc.record({
            slug: fc.constant(slug!),
            name: fc.string({ maxLength: 20 }).filter((text) => !text.includes('${')),
            strategy: fc.constantFrom(...strategyNames),
            context_window_fallbacks: fc.array(fc.constantFrom(...models)),
            content_policy_fallbacks: fc.array(fc.constantFrom(...models)),
            timeout: fc.constantFrom('500ms', 30),
            failover_timeout_multiple: share,
            stream_recovery: fc.constantFrom('error', 'continue'),
            max_concurrency: concurrency,
            models: fc.array(fc.record({ model: fc.constantFrom(...models), weight, priority }), {
              minLength: 1,
            }),
            fallbacks: fc.array(fc.constantFrom(...models, alias!)),
            rules: fc.array(
              fc.record({
                name,
                when: fc.record({ teams: fc.array(name, { minLength: 1 }), stream: fc.boolean() }),
                unless: fc.record({ input_tokens: fc.constantFrom('>=400', '<=0.5', '3..9') }),
                use: fc.array(fc.constantFrom(...models), { minLength: 1 }),
              }),
            ),
            mirrors: fc.array(
              fc.record({
                to: fc.constantFrom(...models),
                percent: fc.nat({ max: 100 }),
                by: fc.constantFrom('request', 'key', 'user', 'metadata.session'),
                when: fc.record({ tags: name }),
              }),
            ),
            hedge: fc.record({
              delay: fc.constantFrom('p95', '800ms', 2),
              requests: fc.nat({ max: 100 }),
              spend: fc.nat({ max: 100 }),
            }),
            enabled: fc.boolean(),
          }),
        ),
      }),
    );

  test('survives being written as YAML and loaded', () => {
    fc.assert(
      fc.property(configuration, ({ aliases, ...rest }) => {
        const mapping = Object.fromEntries(aliases.map(({ name: from, target }) => [from, target]));
        const loaded = load(stringify({ ...rest, aliases: mapping }));
        const revealed = loaded.providers.map((provider) => ({
          ...provider,
          api_keys: provider.api_keys.map((entry) => ({ ...entry, key: entry.key.reveal() })),
        }));
        expect({ ...loaded, providers: revealed }).toEqual({ ...rest, aliases });
      }),
      { numRuns: 200 },
    );
  });
});
