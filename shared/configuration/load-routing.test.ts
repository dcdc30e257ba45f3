// What a file may say of routing, and what it is told when that cannot work.
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '../errors.ts';
import { strategyAliases, strategyNames } from '../routing-strategies.ts';
import { loadConfiguration, problemText } from './load.ts';
import type { Configuration } from './objects.ts';

const openai = `
providers:
  - { name: openai, api_keys: [sk-1] }
`;

function load(text: string): Configuration {
  return loadConfiguration({ file: 'f.yaml', text, env: {} }).configuration;
}

function problems(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof SignalboxError)
      return error.problems.map((problem) => problemText('f.yaml', problem));
    throw error;
  }
  return [];
}

describe('a strategy', () => {
  const written: readonly (readonly [string, string])[] = [
    ...strategyNames.map((name) => [name, name] as const),
    ...Object.entries(strategyAliases),
  ];

  test.each(written)('%s is %s, for a route and for a model', (name, real) => {
    const { routes, models } = load(`${openai}
models: [{ name: m, provider: openai, strategy: ${name} }]
routes: [{ slug: r, strategy: ${name}, models: [{ model: m }] }]`);
    expect([routes[0]!.strategy, models[0]!.strategy]).toEqual([real, real]);
  });

  test('of keys is one by which keys can differ', () => {
    const provider = (strategy: string) =>
      `providers: [{ name: openai, api_keys: [sk-1], key_strategy: ${strategy} }]`;
    expect(load(openai).providers[0]!.key_strategy).toBe('random');
    expect(load(provider('lowest-tpm-rpm')).providers[0]!.key_strategy).toBe('lowest-usage');
    for (const name of ['lowest-cost', 'cache-affinity'])
      expect(problems(provider(name))).toEqual([
        expect.stringMatching(/^f\.yaml:1:61 {2}providers\[0\]\.key_strategy: unknown value; got/),
      ]);
  });

  test('of a model may be said at one of its deployments, or the same at several', () => {
    const strategies = (...said: string[]) =>
      problems(
        `${openai}models:\n${said
          .map((strategy, index) => `  - { name: m, id: d${index}, provider: openai${strategy} }\n`)
          .join('')}`,
      );
    expect(strategies('', ', strategy: random', '')).toEqual([]);
    expect(strategies(', strategy: simple-shuffle', ', strategy: random')).toEqual([]);
    expect(strategies(', strategy: random', '', ', strategy: adaptive')).toEqual([
      'f.yaml:7:52  models[2].strategy: "adaptive" contradicts "random" at the deployment "d0" of the same name; say it at one of them only',
    ]);
  });
});

test('what is said of limits, prices and time is kept as it was written', () => {
  const { providers, models, routes } = load(`
providers:
  - { name: openai, max_concurrency: 100, api_keys: [{ key: k, max_concurrency: { max: 5, queue: 0 } }] }
models:
  - { name: m, provider: openai, rpm: 500, tpm: 200000, max_concurrency: 20, price: { input: 2.5, output: 10 } }
routes:
  - slug: r
    models: [{ model: m }]
    context_window_fallbacks: [m]
    content_policy_fallbacks: [openai/x]
    timeout: 90s
    failover_timeout_multiple: 0.25
    stream_recovery: continue
    max_concurrency: { max: 50, queue: 10, wait: 5s }`);
  expect(providers[0]).toMatchObject({
    max_concurrency: 100,
    api_keys: [{ max_concurrency: { max: 5, queue: 0, wait: '10000ms' } }],
  });
  expect(models[0]).toMatchObject({
    rpm: 500,
    tpm: 200_000,
    max_concurrency: 20,
    price: { input: 2.5, output: 10 },
  });
  expect(routes[0]).toMatchObject({
    context_window_fallbacks: ['m'],
    content_policy_fallbacks: ['openai/x'],
    timeout: '90s',
    failover_timeout_multiple: 0.25,
    stream_recovery: 'continue',
    max_concurrency: { max: 50, queue: 10, wait: '5s' },
  });
});

describe('a problem', () => {
  const route = (setting: string) =>
    `${openai}routes: [{ slug: r, models: [{ model: gpt-4o }], ${setting} }]`;
  const model = (setting: string) => `${openai}models: [{ name: m, provider: openai, ${setting} }]`;

  test.each([
    [
      'a fallback for long prompts that does not exist',
      `${openai}models: [{ name: large, provider: openai }]\nroutes: [{ slug: r, models: [{ model: gpt-4o }], context_window_fallbacks: [lrage] }]`,
      'f.yaml:5:77  routes[0].context_window_fallbacks[0]: there is no model, alias or route "lrage"; did you mean "large"?',
    ],
    [
      'a fallback for refused requests that is the route itself',
      route('content_policy_fallbacks: [r]'),
      'f.yaml:4:77  routes[0].content_policy_fallbacks[0]: the route "r" names itself',
    ],
    [
      'no share of the time at all',
      route('failover_timeout_multiple: 0'),
      'f.yaml:4:77  routes[0].failover_timeout_multiple: must be more than 0; got 0',
    ],
    [
      'more than all of the time',
      route('failover_timeout_multiple: 1.5'),
      'f.yaml:4:77  routes[0].failover_timeout_multiple: must be at most 1; got 1.5',
    ],
    [
      'a recovery that does not exist',
      route('stream_recovery: continues'),
      'f.yaml:4:67  routes[0].stream_recovery: must be error or continue; got "continues"; did you mean "continue"?',
    ],
    [
      'a time-out of no time',
      route('timeout: 0s'),
      'f.yaml:4:59  routes[0].timeout: must be between 1ms and 1h; got "0s"',
    ],
    [
      'a misspelt key of a queue',
      route('max_concurrency: { max: 5, que: 1 }'),
      'f.yaml:4:77  routes[0].max_concurrency.que: unknown key; did you mean "queue"?',
    ],
    [
      'a price of one side only',
      model('price: { input: 2 }'),
      'f.yaml:4:39  models[0].price.output: is required',
    ],
    [
      'a price below nothing',
      model('price: { input: -2, output: 0 }'),
      'f.yaml:4:55  models[0].price.input: must be at least 0; got -2',
    ],
    [
      'a limit of half a request',
      model('rpm: 0.5'),
      'f.yaml:4:44  models[0].rpm: must be a whole number; got 0.5',
    ],
  ])('is reported in its place: %s', (_, text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });
});
