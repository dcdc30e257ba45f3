import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { environmentTable } from '#shared/configuration/environment.ts';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const launcher = fileURLToPath(new URL('signalbox.js', import.meta.url));
const example = fileURLToPath(new URL('../signalbox.example.yaml', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function signalbox(parameters: readonly string[], environment: Record<string, string> = {}, program = main) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...parameters], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...environment },
  });
  return { status, stdout, stderr };
}

describe('signalbox check', () => {
  test('accepts the example, through the launcher too', () => {
    const given = { OPENAI_API_KEY: 'sk-test' };
    expect(signalbox(['check', '--config', example], given)).toMatchObject({ status: 0, stderr: '' });
    expect(signalbox(['check', '--config', example], given, launcher).status).toBe(0);
  });

  test('prints each problem on a line of its own, with its place, and exits with 78', () => {
    writeFileSync(
      join(folder, 'signalbox.yaml'),
      'providers:\n  - name: ollama\n    tpye: ollama\nmodles: []\n',
    );
    expect(signalbox(['check'])).toEqual({
      status: 78,
      stdout: '',
      stderr:
        'signalbox.yaml:3:5  providers[0].tpye: unknown key; did you mean "type"?\n' +
        'signalbox.yaml:4:1  modles: unknown key; did you mean "models"?\n',
    });
  });

  test('says where it looked when there is no file', () => {
    expect(signalbox(['check'])).toMatchObject({
      status: 78,
      stderr: expect.stringMatching(/no signalbox\.yaml/),
    });
    const { status, stderr } = signalbox(['check', '--config', 'absent.yaml']);
    expect(status).toBe(78);
    expect(stderr).toMatch(/absent\.yaml.*check --config or SIGNALBOX_CONFIG/);
  });
});

test('a variable that nobody reads stops every command', () => {
  const { status, stderr } = signalbox(['check', '--config', example], { SIGNALBOX_CONFG: 'x' });
  expect(status).toBe(78);
  expect(stderr).toBe(
    'signalbox: SIGNALBOX_CONFG is not a variable that Signalbox reads; did you mean "SIGNALBOX_CONFIG"?\n',
  );
});

test.each([
  ['control-plane', {}, 'SIGNALBOX_DATABASE_URL'],
  ['control-plane', { SIGNALBOX_DATABASE_URL: 'postgresql://h/d' }, 'SIGNALBOX_NATS_URL'],
  ['data-plane', {}, 'SIGNALBOX_CONTROL_PLANE_URL'],
  ['data-plane', { SIGNALBOX_CONTROL_PLANE_URL: 'https://h:8082' }, 'SIGNALBOX_NATS_URL'],
])('%s with %j asks for %s', (command, environment, missing) => {
  const { status, stderr } = signalbox([command], environment);
  expect(status).toBe(78);
  expect(stderr).toMatch(new RegExp(`^signalbox: ${missing} is not set; `));
});

test('help lists a flag for every variable that is not a secret', () => {
  const { stdout } = signalbox(['control-plane', '--help']);
  expect(stdout).toContain('--sync-port');
  for (const [variable, row] of Object.entries(environmentTable)) {
    const isListed = stdout.includes(`[${variable}]`);
    expect([variable, isListed]).toEqual([
      variable,
      (row.commands as readonly string[]).includes('control-plane') && !('isSecret' in row),
    ]);
  }
});

describe('signalbox up refuses before it starts anything', () => {
  let server: Server;
  afterEach(() => server?.close());

  test('when the port is taken', async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { status, stderr } = signalbox(['up', '--port', String(port)]);
    expect(status).toBe(69);
    expect(stderr).toMatch(
      new RegExp(`^signalbox: port ${port} on 127\\.0\\.0\\.1 is taken by another program; .*--port`),
    );
  });

  test('when the data directory cannot be used', () => {
    writeFileSync(join(folder, 'file'), '');
    const { status, stderr } = signalbox(['up', '--port', '0', '--data-dir', 'file']);
    expect(status).toBe(73);
    expect(stderr).toMatch(/^signalbox: the data directory .*file cannot be written/);
  });

  test('when the configuration is not valid', () => {
    writeFileSync(join(folder, 'signalbox.yaml'), 'modles: []\n');
    const { status, stderr } = signalbox(['up']);
    expect(status).toBe(78);
    expect(stderr).toBe('signalbox.yaml:1:1  modles: unknown key; did you mean "models"?\n');
  });
});

describe('signalbox join-token', () => {
  let server: Server;
  afterEach(() => server.close());

  /** An admin API that answers one request as told, and what it was asked. */
  async function adminApi(status: number, answer: object): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = [];
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  async function joinToken(parameters: readonly string[], environment: Record<string, string>) {
    const child = spawn(process.execPath, [main, 'join-token', ...parameters], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...environment },
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data) => (output.stdout += data));
    child.stderr.on('data', (data) => (output.stderr += data));
    const [status] = await once(child, 'close');
    return { status, ...output };
  }

  test('prints the token alone', async () => {
    const { url, asked } = await adminApi(201, { token: 'sbj-token' });
    const answer = await joinToken(['--url', url], { SIGNALBOX_MASTER_KEY: 'a-master-key-for-tests' });
    expect(answer).toEqual({ status: 0, stdout: 'sbj-token\n', stderr: '' });
    expect(asked).toEqual(['POST /api/v1/nodes/join-tokens Bearer a-master-key-for-tests']);
  });

  test('finds the admin key in the data directory', async () => {
    const { url, asked } = await adminApi(201, { token: 'sbj-token' });
    writeFileSync(join(folder, 'admin.key'), 'key-from-file\n');
    await joinToken(['--url', url, '--data-dir', folder], {});
    expect(asked).toEqual([expect.stringContaining('Bearer key-from-file')]);
  });

  test('repeats why it was refused', async () => {
    const { url } = await adminApi(401, { title: 'The API key is not known', detail: 'Send the admin key.' });
    const answer = await joinToken(['--url', url], { SIGNALBOX_MASTER_KEY: 'wrong' });
    expect(answer).toMatchObject({ status: 1, stdout: '' });
    expect(answer.stderr).toMatch(/refused \(401\): Send the admin key\./);
  });
});
