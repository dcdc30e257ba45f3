// What would become of a request, as operators ask: over the admin API and on the command line, of a whole program, and each time held
// against what then becomes of a real one. Nothing that is only asked about reaches a provider.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

const command = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
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
      `  - { name: ill, type: openai-compatible, ${at(first)}, api_keys: [sk-ill-0123456789] }`,
      `  - { name: full, type: openai-compatible, ${at(first)}, api_keys: [sk-full-0123456789] }`,
      `  - { name: claude, type: anthropic, ${at(second)}, api_keys: [sk-claude-0123456789] }`,
      'models:',
      '  - { name: calm, provider: first, model: ok-1, priority: 1 }',
      '  - { name: calm, provider: second, model: ok-2, priority: 2 }',
      '  - { name: ailing, provider: ill, model: gpt-ill, priority: 1 }',
      '  - { name: ailing, provider: second, model: gpt-3, priority: 2 }',
      '  - { name: limited, provider: full, model: gpt-full, priority: 1 }',
      '  - { name: limited, provider: second, model: gpt-4, priority: 2 }',
      '  - { name: mixed, provider: claude, model: claude-5, priority: 1 }',
      '  - { name: mixed, provider: second, model: gpt-5, priority: 2 }',
      '  - { name: only-claude, provider: claude, model: claude-6 }',
      '  - { name: short, provider: first, model: ok-short, context_tokens: 100, capabilities: [tools] }',
      '  - { name: long, provider: second, model: ok-long }',
      'aliases: { quiet: calm }',
      'routes:',
      '  - { slug: everything, strategy: priority, models: [{ model: quiet }], fallbacks: [mixed] }',
      '  - slug: ruled',
      '    models: [{ model: short }]',
      '    context_window_fallbacks: [long]',
      '    mirrors: [{ to: long, when: { tags: copy } }]',
      '    rules:',
      '      - { name: staging, when: { headers: { x-environment: staging } }, pin: quiet }',
      '      - { name: law, when: { tags: secret }, only: { providers: nobody } }',
      '  - { slug: hedged, strategy: priority, models: [{ model: calm }], hedge: { delay: 900ms, requests: 100, spend: 100 } }',
    ].join('\n'),
  });
});

afterAll(async () => {
  await up?.remove();
  await Promise.all([first?.stop(), second?.stop()]);
});

beforeEach(() => {
  first.reset();
  second.reset();
});

type Body = ReturnType<typeof JSON.parse>;

async function admin(method: string, path: string, body: object): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${up.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${up.adminKey()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function explain(request: object, query = ''): Promise<Body> {
  const { status, body } = await admin('POST', `/routes/explain${query}`, request);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

async function ask(model: string, more: object = {}, headers: object = {}): Promise<Response> {
  const response = await fetch(`${up.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${up.key()}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], ...more }),
  });
  await response.arrayBuffer();
  return response;
}

const turns = ({ candidates }: Body) => candidates.map(({ provider, turn }: Body) => [provider, turn]);

describe('an explanation', () => {
  test('says how the name was understood, who would be asked in which order, and why', async () => {
    const answer = await explain({ model: 'everything' });
    expect(answer).toMatchObject({
      model: 'everything',
      steps: [{ kind: 'route', name: 'everything' }],
      route: 'everything',
      fallbacks: ['mixed'],
      refusal: null,
      by_lot: false,
      node: { id: expect.stringMatching(/^node_/) },
    });
    expect(turns(answer)).toEqual([
      ['first', 1],
      ['second', 2],
      ['claude', 3],
      ['second', 4],
    ]);
    expect(answer.candidates[0]).toMatchObject({
      deployment: 'calm:first:ok-1',
      model: 'ok-1',
      via: 'quiet',
      strategy: 'priority',
      why: expect.stringMatching(/priority/),
      passed_over: null,
      first_share: 1,
      vitals: { deployment: { breaker: 'closed', resting_ms: 0 } },
      keys: [{ id: expect.stringMatching(/^sec_/), state: 'free', chosen: true }],
    });
    expect(JSON.stringify(answer)).not.toContain('sk-');
    expect(first.requests()).toEqual([]);
    expect(second.requests()).toEqual([]);
  });

  test('tells what rules do, as a real request shows', async () => {
    const headers = { 'X-Environment': 'staging' };
    const answer = await explain({ model: 'ruled', headers });
    expect(answer).toMatchObject({ rules: ['rule "staging": only quiet'], left_out: [], mirrors: [] });
    expect(turns(answer)).toEqual([
      ['first', 1],
      ['second', 2],
    ]);
    const response = await ask('ruled', {}, headers);
    expect(response.headers.get('x-signalbox-model')).toBe('calm');
    expect((await explain({ model: 'ruled', tags: ['copy'] })).mirrors).toEqual(['long']);
  });

  test('tells whom rules leave out, and what the client is told', async () => {
    const secret = { 'x-gateway': { tags: ['secret'] } };
    const answer = await explain({ model: 'ruled', tags: ['secret'] });
    expect(answer.refusal).toMatchObject({ code: 'excluded_by_rules' });
    expect(answer.candidates).toMatchObject([
      { deployment: 'short:first:ok-short', turn: null, passed_over: { code: 'excluded_by_rules' } },
    ]);
    expect((await ask('ruled', secret)).status).toBe(403);
    expect(first.requests()).toEqual([]);
  });

  test('tells who cannot do it, and who is asked instead of one that is too small', async () => {
    const picture = await explain({ model: 'ruled', vision: true });
    expect(picture.refusal).toMatchObject({
      code: 'unsupported_by_provider',
      message: 'The deployment "short:first:ok-short" cannot do vision.',
    });
    const long = await explain({ model: 'ruled', input_tokens: 4000 });
    expect(turns(long)).toEqual([
      ['second', 1],
      ['first', null],
    ]);
    const response = await ask('ruled', { messages: [{ role: 'user', content: 'x'.repeat(14_000) }] });
    expect(response.headers.get('x-signalbox-model')).toBe('long');
  });

  test('follows aliases', async () => {
    expect((await explain({ model: 'quiet' })).steps).toEqual([
      { kind: 'alias', name: 'quiet' },
      { kind: 'model', name: 'calm' },
    ]);
  });

  test('knows of a change that was made just now', async () => {
    const spec = { name: 'new', provider: 'second', model: 'ok' };
    expect((await admin('POST', '/models', spec)).status).toBe(201);
    expect(turns(await explain({ model: 'new' }))).toEqual([['second', 1]]);
  });

  test('shows an open breaker, and the next real request goes where it says', async () => {
    first.setBehaviour('error-500', { model: 'gpt-ill' });
    for (let failures = 0; failures < 5; failures += 1) await ask('ailing');
    const answer = await explain({ model: 'ailing' });
    expect(turns(answer)).toEqual([
      ['second', 1],
      ['ill', null],
    ]);
    expect(answer.candidates[1]).toMatchObject({
      passed_over: {
        code: 'upstream_error',
        message: expect.stringMatching(/breaker open for another .* s/),
      },
      vitals: { deployment: { breaker: 'open', resting_ms: expect.any(Number), success_share: 0 } },
    });
    first.reset();
    expect((await ask('ailing')).status).toBe(200);
    expect(first.requests()).toEqual([]);
  });

  test('shows a key that rests after it was told to wait', async () => {
    first.setBehaviour('error-429-retry-30', { model: 'gpt-full' });
    expect((await ask('limited')).status).toBe(200);
    const answer = await explain({ model: 'limited' });
    expect(turns(answer)).toEqual([
      ['second', 1],
      ['full', null],
    ]);
    expect(answer.candidates[1]).toMatchObject({
      passed_over: { code: 'upstream_rate_limited', message: expect.stringContaining('Every key') },
      keys: [{ state: 'resting', wait_ms: expect.any(Number), chosen: false }],
    });
    expect(answer.candidates[1].keys[0].wait_ms).toBeGreaterThan(20_000);
    expect((await explain({ model: 'full/other' })).refusal).toMatchObject({ code: 'upstream_rate_limited' });
  });

  test('says which key may not use a model', async () => {
    const { body: key } = await admin('POST', '/keys', { name: 'narrow', models: ['mixed'] });
    expect(turns(await explain({ model: 'mixed', key_id: key.id }))).toEqual([
      ['claude', 1],
      ['second', 2],
    ]);
    const answer = await explain({ model: 'calm', key_id: key.id });
    expect(answer.refusal).toMatchObject({
      code: 'model_not_allowed',
      message: expect.stringContaining('"narrow" may not use the model "calm"'),
    });
    expect(turns(answer)).toEqual([
      ['first', null],
      ['second', null],
    ]);
  });

  test('passes over whoever cannot be asked for a field of the body, as a real request does', async () => {
    const body = { messages: [{ role: 'user', content: 'Hello' }], logit_bias: { 50256: -100 } };
    const answer = await explain({ model: 'mixed', body });
    expect(turns(answer)).toEqual([
      ['second', 1],
      ['claude', null],
    ]);
    expect(answer.candidates[1].passed_over).toMatchObject({
      code: 'unsupported_field',
      message: expect.stringContaining('logit_bias'),
    });
    expect((await explain({ model: 'only-claude', body })).refusal).toMatchObject({
      code: 'unsupported_field',
    });
    expect((await ask('only-claude', { logit_bias: body.logit_bias })).status).toBe(400);
    const dropping = { ...body, 'x-gateway': { drop_unsupported: true } };
    expect(turns(await explain({ model: 'mixed', body: dropping }))[0]).toEqual(['claude', 1]);
  });

  test('keeps to the provider that the body asks for', async () => {
    const messages = [{ role: 'user', content: 'Hello' }];
    const only = (provider: string) => ({ messages, 'x-gateway': { provider } });
    expect(turns(await explain({ model: 'calm', body: only('second') }))).toEqual([
      ['second', 1],
      ['first', null],
    ]);
    const elsewhere = await explain({ model: 'calm', body: only('claude') });
    expect(elsewhere.refusal).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('first, second'),
    });
  });

  test.each(['chat', 'responses', 'messages', 'gemini', 'stream_generate_content'])(
    'is given of the API "%s", with tools, pictures and streams',
    async (api) => {
      const answer = await explain({ model: 'mixed', api, stream: true, tools: true, vision: true });
      expect(turns(answer)).toEqual([
        ['claude', 1],
        ['second', 2],
      ]);
    },
  );

  test('of a service needs its body', async () => {
    const request = { model: 'mixed', api: 'embeddings' };
    expect(await admin('POST', '/routes/explain', request)).toMatchObject({ status: 400 });
    const answer = await explain({ ...request, body: { input: 'Hello' } });
    expect(turns(answer)).toEqual([
      ['second', 1],
      ['claude', null],
    ]);
    expect(answer.candidates[1].passed_over.code).toBe('unsupported_by_provider');
  });

  test.each([
    [{ model: 'nobody-has-this' }, '', 404, 'model_not_found'],
    [{ model: 'calm', key_id: 'key_unknown' }, '', 404, 'not_found'],
    [{ model: 'calm', api: 'chatt' }, '', 400, 'invalid_request'],
    [{ model: 'calm', modle: 'calm' }, '', 400, 'invalid_request'],
    [{ model: 'calm', body: { messages: [] }, tools: true }, '', 400, 'invalid_request'],
    [{ model: 'calm', body: { messages: [], 'x-gateway': { providr: 'x' } } }, '', 400, 'invalid_request'],
    [{ model: 'calm', body: { messages: ['x'.repeat(300_000)] } }, '', 413, 'request_too_large'],
    [{ model: 'calm' }, '?node=elsewhere', 503, 'no_data_plane'],
    [{}, '', 400, 'invalid_request'],
  ])('of %o%s is a problem', async (request, query, status, code) => {
    const answer = await admin('POST', `/routes/explain${query}`, request);
    expect(answer, JSON.stringify(answer)).toMatchObject({
      status,
      body: { code, detail: expect.any(String) },
    });
  });

  test('says what becomes of a first that takes long, and it comes true', async () => {
    const request = { model: 'hedged' };
    const none = { deployment: null, after_ms: null };
    expect(await explain({ model: 'calm' })).toMatchObject({ second_attempt: null });
    expect(await explain(request)).toMatchObject({
      second_attempt: { ...none, why_not: expect.stringContaining('none left just now') },
    });
    expect(await explain({ ...request, body: { messages: [], n: 2 } })).toMatchObject({
      second_attempt: { ...none, why_not: expect.stringContaining('several answers') },
    });
    for (let count = 0; count < 3; count += 1) await ask('hedged');
    expect(await explain(request)).toMatchObject({
      second_attempt: { deployment: 'calm:second:ok-2', after_ms: 900, why_not: null },
    });
    first.setBehaviour('never-head', { times: 1 });
    const response = await ask('hedged');
    expect(response.headers.get('x-signalbox-provider')).toBe('second');
  });

  test('is for operators', async () => {
    const response = await fetch(`${up.url}/api/v1/routes/explain`, { method: 'POST' });
    expect(response.status).toBe(401);
  });
});

describe('signalbox explain', () => {
  function run(...parameters: string[]) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [command, 'explain', '--url', up.url, ...parameters],
      {
        cwd: up.directory,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, SIGNALBOX_DATA_DIR: join(up.directory, 'data') },
      },
    );
    return { status, stdout, stderr };
  }

  test('prints who would be asked, in order, and why', () => {
    const { status, stdout, stderr } = run('quiet', '--stream');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(
      /^quiet {2}alias quiet → model calm\n\norder +target +via +strategy +score +why\n1 /,
    );
    expect(stdout).toMatch(/\n1 +calm:first:ok-1 .*\n2 +calm:second:ok-2 /);
    expect(stdout).toContain('Nothing was sent.');
    expect(stdout).not.toContain('\u001b');
  });

  test('prints what becomes of a first that takes long', () => {
    expect(run('hedged').stdout).toMatch(
      /(calm:second:ok-2 is asked beside it|No second attempt beside a slow first: .*)\./,
    );
  });

  test('prints who is passed over and why', () => {
    const file = join(up.directory, 'request.json');
    writeFileSync(
      file,
      JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }], logit_bias: { 5: 1 } }),
    );
    const { status, stdout } = run('mixed', '--body', file);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /passed over\n.*\nmixed:claude:claude-5 +unsupported_field +The field "logit_bias"/,
    );
  });

  test('ends with 1 when nobody would be asked', () => {
    const file = join(up.directory, 'request.json');
    writeFileSync(
      file,
      JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }], logit_bias: { 5: 1 } }),
    );
    const { status, stdout } = run('only-claude', '--body', file);
    expect(status).toBe(1);
    expect(stdout).toContain('nobody would be asked: The field "logit_bias"');
  });

  test('prints the answer for programs', () => {
    const { status, stdout } = run('calm', '--json', '--input-tokens', '1000');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ model: 'calm', refusal: null });
  });

  test('says what is wrong', () => {
    expect(run('nobody-has-this')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/refused \(404\): The model "nobody-has-this" does not exist/),
    });
    expect(run('calm', '--body', 'absent.json').stderr).toContain('absent.json cannot be read as JSON');
  });
});
