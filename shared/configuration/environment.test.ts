import { describe, expect, test } from 'vitest';
import { SignalboxError } from '../errors.ts';
import { environmentTable, flagOf, readSettings, type Variable } from './environment.ts';

function problemsOf(environment: Record<string, string>, flags = {}): string[] {
  try {
    readSettings(environment, flags);
  } catch (error) {
    if (error instanceof SignalboxError)
      return error.problems.map(({ path, message }) => `${path} ${message}`);
    throw error;
  }
  return [];
}

describe('settings', () => {
  test('have defaults that listen on this machine only', () => {
    expect(readSettings({}, {})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      adminPort: 8081,
      syncPort: 8082,
      syncTls: true,
      dataDirectory: './.signalbox',
      logLevel: 'info',
      controlPlaneUrls: [],
      databaseUrl: undefined,
    });
  });

  test('come from a flag before the environment before the default', () => {
    const environment = { SIGNALBOX_PORT: '1001', SIGNALBOX_REGION: 'eu' };
    expect(readSettings(environment, { port: '1002' })).toMatchObject({ port: 1002, region: 'eu' });
  });

  test('treat an empty variable as unset', () => {
    expect(readSettings({ SIGNALBOX_PORT: '', SIGNALBOX_NATS_URL: ' ' }, {})).toMatchObject({
      port: 8080,
      natsUrl: undefined,
    });
  });

  test('keep secrets from being printed', () => {
    const settings = readSettings(
      { SIGNALBOX_MASTER_KEY: 'top-secret-key', SIGNALBOX_DATABASE_URL: 'postgres://u:pass-word@h/d' },
      {},
    );
    expect(JSON.stringify(settings)).not.toMatch(/top-secret-key|pass-word/);
    expect(settings.databaseUrl?.reveal()).toBe('postgres://u:pass-word@h/d');
  });

  test('split lists of addresses', () => {
    const { controlPlaneUrls } = readSettings({ SIGNALBOX_CONTROL_PLANE_URL: 'https://a:1, http://b:2' }, {});
    expect(controlPlaneUrls).toEqual(['https://a:1', 'http://b:2']);
  });

  test.each([
    ['', []],
    ['*', ['*']],
    ['https://app.example.com', ['https://app.example.com']],
    ['http://localhost:3000, https://a.example,', ['http://localhost:3000', 'https://a.example']],
    ['chrome-extension://abcdef, app://obsidian.md', ['chrome-extension://abcdef', 'app://obsidian.md']],
  ])('take the origins %j as browsers write them', (value, origins) => {
    expect(readSettings({ SIGNALBOX_CORS_ORIGINS: value }, {}).corsOrigins).toEqual(origins);
  });
});

describe('a setting that cannot be used is an error', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['SIGNALBOX_PORT', '80a', /must be a port from 0 to 65535; got "80a"/],
    ['SIGNALBOX_CORS_ORIGINS', 'https://a.example/', /must be "\*", or origins such as https:/],
    ['SIGNALBOX_CORS_ORIGINS', 'HTTPS://A.example', /must be "\*", or origins/],
    ['SIGNALBOX_CORS_ORIGINS', 'https://a.example:443', /must be "\*", or origins/],
    ['SIGNALBOX_CORS_ORIGINS', 'https://*.example', /must be "\*", or origins/],
    ['SIGNALBOX_CORS_ORIGINS', 'a.example', /must be "\*", or origins/],
    ['SIGNALBOX_CORS_ORIGINS', 'null', /must be "\*", or origins/],
    ['SIGNALBOX_CORS_ORIGINS', 'https://a.example,'.repeat(101), /must be at most 100 origins/],
    ['SIGNALBOX_PORT', '65536', /must be a port/],
    ['SIGNALBOX_HOST', 'a b', /must be an IP address or a host name; got "a b"/],
    ['SIGNALBOX_SYNC_TLS', 'yes', /must be "on" or "off"; got "yes"/],
    ['SIGNALBOX_LOG_LEVEL', 'verbose', /must be one of trace, debug, info/],
    ['SIGNALBOX_CONTROL_PLANE_URL', 'control:8082', /must be one or several URLs such as https/],
    ['SIGNALBOX_NODE_ID', '../x', /must be at most 63 letters/],
    ['SIGNALBOX_DATABASE_URL', 'mysql://u:hidden@h/d', /must be a URL such as postgresql:[^;]*$/],
    ['SIGNALBOX_NATS_URL', 'http://user:hidden@h', /must be a URL such as nats:[^;]*$/],
    ['SIGNALBOX_MASTER_KEY', 'hidden key', /must not hold spaces or line breaks$/],
  ];

  test.each(cases)('%s=%s', (variable, value, message) => {
    const [problem, ...others] = problemsOf({ [variable]: value });
    expect(others).toEqual([]);
    expect(problem).toMatch(message);
    expect(problem).toMatch(new RegExp(`^${variable} `));
    expect(problem).not.toContain('hidden');
  });

  test('that names the flag when the flag is at fault', () => {
    expect(problemsOf({}, { dataDirectory: './x', port: 'x' })).toEqual([
      '--port must be a port from 0 to 65535; got "x"',
    ]);
  });

  test('together with all others', () => {
    expect(problemsOf({ SIGNALBOX_PORT: 'x', SIGNALBOX_HOST: '!', SIGNALBOX_PROT: '1' })).toHaveLength(3);
  });

  test('when it would send configuration in the clear to other machines', () => {
    const open = { SIGNALBOX_SYNC_TLS: 'off', SIGNALBOX_HOST: '0.0.0.0' };
    expect(problemsOf(open)).toEqual([
      'SIGNALBOX_SYNC_TLS must be "on" while listening on "0.0.0.0", which other machines can reach',
    ]);
    expect(problemsOf({ ...open, SIGNALBOX_HOST: '127.0.0.1' })).toEqual([]);
  });
});

describe('a variable that nobody reads', () => {
  test('is an error with the nearest one that is read', () => {
    expect(problemsOf({ SIGNALBOX_DATABSE_URL: 'x' })).toEqual([
      'SIGNALBOX_DATABSE_URL is not a variable that Signalbox reads; did you mean "SIGNALBOX_DATABASE_URL"?',
    ]);
  });

  test('is nobody’s business when it is not one of ours, or was made by Kubernetes for a service', () => {
    expect(
      problemsOf({
        PORT: 'x',
        SIGNALBOX_SERVICE_HOST: '10.0.0.1',
        SIGNALBOX_SERVICE_PORT_HTTP: '8080',
        SIGNALBOX_PORT: 'tcp://10.0.0.1:8080',
        SIGNALBOX_PORT_8080_TCP_ADDR: '10.0.0.1',
      }),
    ).toEqual([]);
  });
});

test('every variable has a flag of its own name', () => {
  expect(flagOf('SIGNALBOX_DATA_DIR')).toBe('--data-dir');
  const flags = (Object.keys(environmentTable) as Variable[]).map(flagOf);
  expect(new Set(flags).size).toBe(flags.length);
});
