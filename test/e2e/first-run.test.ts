// The first minutes with Signalbox: one command, an empty directory, no account anywhere. And the first mistakes: a port that is
// taken, a directory that cannot be written, a typo in the configuration, Ctrl-C, kill -9.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type AllInOne, launchAllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { waitFor } from '#test/harness/cluster.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { complete } from '#test/harness/traffic.ts';

const running: AllInOne[] = [];
const providers: FakeProvider[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.remove()));
  await Promise.all(providers.splice(0).map((each) => each.stop()));
});

async function start(...options: Parameters<typeof startAllInOne>): Promise<AllInOne> {
  const started = await startAllInOne(...options);
  running.push(started);
  return started;
}

async function launch(...options: Parameters<typeof launchAllInOne>): Promise<AllInOne> {
  const launched = await launchAllInOne(...options);
  running.push(launched);
  return launched;
}

describe('the first start', () => {
  test('prints commands that work as they are, with no provider key at all', async () => {
    const up = await start();
    await up.program.waitForOutput(/curl/);
    const commands = shellCommands(up.program.output());
    expect(commands.length).toBeGreaterThanOrEqual(2);
    const answers = commands.map((command) => execFileSync('sh', ['-c', command], { encoding: 'utf8' }));
    expect(answers[0]).toContain('"chat.completion"');
    expect(answers[1]).toContain('data: [DONE]');
    expect(up.program.output()).toContain('admin.key');
    expect(statSync(join(up.directory, 'data', 'admin.key')).mode & 0o777).toBe(0o600);
  });

  test('serves API, documentation, health and metrics on its one port', async () => {
    const up = await start();
    for (const path of [
      '/health',
      '/health/live',
      '/health/ready',
      '/ready',
      '/livez',
      '/readyz',
      '/metrics',
      '/swagger',
      '/docs',
      '/api/openapi.json',
    ]) {
      expect({ path, status: (await fetch(up.url + path)).status }).toEqual({ path, status: 200 });
    }
    const metrics = await (await fetch(`${up.url}/metrics`)).text();
    expect(metrics).toContain('signalbox_sync_revision');
    expect(metrics).toContain('signalbox_config_revision');
    expect((await fetch(`${up.url}/api/v1/keys`)).status).toBe(401);
    const listed = await fetch(`${up.url}/api/v1/keys`, {
      headers: { authorization: `Bearer ${up.adminKey()}` },
    });
    expect(listed.status).toBe(200);
  });

  test('offers the models of a provider whose key is in the environment', async () => {
    const provider = await startFakeProvider({ requiredKey: 'sk-from-environment' });
    providers.push(provider);
    const up = await start({
      configuration: `providers: [{ name: openai, base_url: "${provider.baseUrl}", api_keys: ["\${OPENAI_API_KEY}"], allow_private_network: true }]\n`,
      environment: { OPENAI_API_KEY: 'sk-from-environment', MISTRAL_API_KEY: 'mistral-key' },
    });
    for (const model of ['gpt-4o-mini', 'openai/gpt-4o']) {
      const answer = await complete(up.url, up.key(), { model, messages: [{ role: 'user', content: 'hi' }] });
      expect(answer.status).toBe(200);
    }
    expect(provider.bill().map((call) => call.model)).toEqual(['gpt-4o-mini', 'gpt-4o']);
    const found = await fetch(`${up.url}/api/v1/providers/mistral`, {
      headers: { authorization: `Bearer ${up.adminKey()}` },
    });
    expect(await found.json()).toMatchObject({ name: 'mistral', source: 'environment' });
    expect(up.program.output()).toMatch(/mistral/i);
    expect(up.program.output()).not.toContain('mistral-key');
  });
});

describe('the second start', () => {
  test('keeps keys, objects and usage', async () => {
    const first = await start();
    const key = first.key();
    await complete(first.url, key, { model: 'demo', messages: [{ role: 'user', content: 'remember me' }] });
    await first.program.stop({ withinMs: 30_000 });
    const second = await start({ directory: first.directory });
    expect(second.key()).toBe(key);
    expect(
      (await complete(second.url, key, { model: 'demo', messages: [{ role: 'user', content: 'again' }] }))
        .status,
    ).toBe(200);
    await waitFor('the usage of both', async () => {
      const usage = await fetch(`${second.url}/api/v1/usage`, {
        headers: { authorization: `Bearer ${second.adminKey()}` },
      });
      return ((await usage.json()) as { totals: { attempts: number } }).totals.attempts === 2;
    });
  });
});

describe('stopping', () => {
  test('Ctrl-C lets a stream finish and leaves no process behind', async () => {
    const up = await start();
    const family = descendants(up.program.pid);
    expect(family.length).toBeGreaterThan(1);
    const response = await fetch(`${up.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${up.key()}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'demo-slow',
        stream: true,
        messages: [{ role: 'user', content: 'take your time' }],
      }),
    });
    up.program.signal('SIGINT');
    expect(await response.text()).toContain('data: [DONE]');
    expect((await up.program.exited).code).toBe(0);
    await waitFor('its processes to be gone', () => family.every((pid) => !alive(pid)));
  });

  test('kill -9 leaves no process behind, and the next start works', async () => {
    const up = await start();
    const family = descendants(up.program.pid);
    await up.program.kill();
    await waitFor('its processes to be gone', () => family.every((pid) => !alive(pid)));
    const again = await start({ directory: up.directory });
    expect(
      (await complete(again.url, again.key(), { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }))
        .status,
    ).toBe(200);
  });
});

describe('the first mistakes', () => {
  test('a port that is taken is named, with what to do', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const up = await launch({ port });
    expect((await up.program.exited).code).toBe(69);
    expect(up.program.output()).toContain(String(port));
    expect(up.program.output()).toMatch(/SIGNALBOX_PORT|--port/);
    expect(up.program.output()).not.toMatch(/\n\s+at /);
    server.close();
  });

  test('a data directory that cannot be used is named', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-readonly-'));
    writeFileSync(join(directory, 'data'), 'a file where a directory should be');
    const up = await launch({ directory });
    expect((await up.program.exited).code).toBe(73);
    expect(up.program.output()).toContain(join(directory, 'data'));
    expect(up.program.output()).not.toMatch(/\n\s+at /);
  });

  test('a typo in the configuration is shown with its place and the nearest key', async () => {
    const up = await launch({ configuration: 'providers:\n  - name: demo2\n    tpye: demo\n' });
    expect((await up.program.exited).code).toBe(78);
    expect(up.program.output()).toMatch(/signalbox\.yaml:3:5.*tpye.*type/s);
  });

  test('a typo made later is refused, and what ran keeps running', async () => {
    const up = await start({ configuration: 'aliases: { first: demo }\n' });
    writeFileSync(up.configurationFile, 'aliases: { first: demo, second: dmeo }\n');
    await waitFor('the refusal', async () => (await fileStatus(up)).includes('dmeo'));
    const ask = (model: string) =>
      complete(up.url, up.key(), { model, messages: [{ role: 'user', content: 'hi' }] });
    expect((await ask('first')).status).toBe(200);
    writeFileSync(up.configurationFile, 'aliases: { second: demo }\n');
    await waitFor('the change', async () => (await ask('second')).status === 200);
    await waitFor('the removal', async () => (await ask('first')).status === 404);
  });

  test('a second instance on the same directory says who holds it', async () => {
    const up = await start();
    const second = await launch({ directory: up.directory });
    expect((await second.program.exited).code).not.toBe(0);
    expect(second.program.output()).toContain(String(up.program.pid));
    running.splice(running.indexOf(second), 1);
    expect(
      (await complete(up.url, up.key(), { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }))
        .status,
    ).toBe(200);
  });
});

async function fileStatus(up: AllInOne): Promise<string> {
  const response = await fetch(`${up.url}/api/v1/configuration/file`, {
    headers: { authorization: `Bearer ${up.adminKey()}` },
  });
  return response.text();
}

/** The commands of the banner: each begins with `curl` and goes on while lines end in a backslash. */
function shellCommands(output: string): string[] {
  return [...output.matchAll(/^\s*(curl (?:.*\\\n)*.*)$/gm)].map((match) => match[1]!);
}

function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const stat = readStat(Number(name));
    if (stat !== undefined) parents.set(Number(name), stat);
  }
  const family = [pid];
  for (const member of family)
    family.push(...[...parents].filter(([, parent]) => parent === member).map(([child]) => child));
  return family;
}

function readStat(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]);
  } catch {
    return undefined;
  }
}

function alive(pid: number): boolean {
  return readStat(pid) !== undefined;
}
