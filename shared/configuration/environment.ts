// Every environment variable there is, in one table, and how it becomes a setting: a command-line flag comes first, then
// the environment, then the default. A variable that nobody reads is an error, because its author believes it works.
import { type Problem, SignalboxError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type LogLevel, logLevels } from '../log.ts';
import { Secret } from '../secret.ts';
import type { Environment } from './expansion.ts';
import { hint } from './nearest.ts';

export const commands = ['up', 'control-plane', 'data-plane', 'join-token', 'explain', 'check'] as const;
export type Command = (typeof commands)[number];

interface VariableRow {
  /** The name of the setting, and of the flag that comes before the variable. */
  readonly setting: keyof Settings;
  /** Used when neither flag nor variable is given. */
  readonly default?: string;
  readonly meaning: string;
  readonly commands: readonly Command[];
  /** Its value is never repeated, and there is no flag for it, because other users can read command lines. */
  readonly isSecret?: true;
}

export interface Settings {
  readonly configurationFile: string | undefined;
  readonly dataDirectory: string;
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  readonly syncPort: number;
  readonly syncTls: boolean;
  readonly databaseUrl: Secret | undefined;
  readonly natsUrl: Secret | undefined;
  readonly redisUrl: Secret | undefined;
  readonly masterKey: Secret | undefined;
  readonly encryptionKey: Secret | undefined;
  readonly controlPlaneUrls: readonly string[];
  readonly joinToken: Secret | undefined;
  readonly nodeId: string | undefined;
  readonly region: string;
  readonly corsOrigins: readonly string[];
  readonly logLevel: LogLevel;
}

const planes = ['up', 'control-plane', 'data-plane'] as const;
const controlPlanes = ['up', 'control-plane'] as const;

export const environmentTable = {
  SIGNALBOX_CONFIG: {
    setting: 'configurationFile',
    meaning: 'The configuration file. Without it, `signalbox.yaml` in the current directory, if it is there.',
    commands: ['up', 'control-plane', 'check'],
  },
  SIGNALBOX_DATA_DIR: {
    setting: 'dataDirectory',
    default: './.signalbox',
    meaning: 'Where an instance keeps what it must not lose. Each instance needs one of its own.',
    commands: ['up', 'control-plane', 'data-plane', 'join-token', 'explain'],
  },
  SIGNALBOX_HOST: {
    setting: 'host',
    default: '127.0.0.1',
    meaning:
      'The address to listen on; `0.0.0.0` for all. `up` keeps its Sync port on this machine whatever is set here.',
    commands: planes,
  },
  SIGNALBOX_PORT: {
    setting: 'port',
    default: '8080',
    meaning: 'The port of the data plane; 0 takes any free one.',
    commands: ['up', 'data-plane'],
  },
  SIGNALBOX_ADMIN_PORT: {
    setting: 'adminPort',
    default: '8081',
    meaning: 'The port of the admin API.',
    commands: ['control-plane'],
  },
  SIGNALBOX_SYNC_PORT: {
    setting: 'syncPort',
    default: '8082',
    meaning: 'The port on which data planes fetch their configuration.',
    commands: ['control-plane'],
  },
  SIGNALBOX_SYNC_TLS: {
    setting: 'syncTls',
    default: 'on',
    meaning: '`on` or `off`. `off` is accepted only while listening on this machine alone.',
    commands: ['control-plane'],
  },
  SIGNALBOX_DATABASE_URL: {
    setting: 'databaseUrl',
    meaning:
      'A PostgreSQL 15 or newer: `postgresql://user:password@host:5432/database`. `up` brings its own without it.',
    commands: controlPlanes,
    isSecret: true,
  },
  SIGNALBOX_NATS_URL: {
    setting: 'natsUrl',
    meaning:
      'A NATS server with JetStream: `nats://host:4222`, several separated by commas. `up` works without one.',
    commands: planes,
    isSecret: true,
  },
  SIGNALBOX_REDIS_URL: {
    setting: 'redisUrl',
    meaning:
      'A Redis 7 in which data planes keep responses for each other, and over which they tell each other about health, beside NATS: `redis://host:6379`. Without it, each keeps responses in its own memory.',
    commands: ['up', 'data-plane'],
    isSecret: true,
  },
  SIGNALBOX_MASTER_KEY: {
    setting: 'masterKey',
    meaning: 'The admin key. Without it, one is made and kept in `<data dir>/admin.key`.',
    commands: ['up', 'control-plane', 'join-token', 'explain'],
    isSecret: true,
  },
  SIGNALBOX_ENCRYPTION_KEY: {
    setting: 'encryptionKey',
    meaning:
      '32 random bytes in base64, from which the keys that protect stored secrets are derived; the same for all control planes. Without it, one is made and kept in `<data dir>/encryption.key`.',
    commands: controlPlanes,
    isSecret: true,
  },
  SIGNALBOX_CONTROL_PLANE_URL: {
    setting: 'controlPlaneUrls',
    meaning: 'The Sync address of the control plane: `https://host:8082`, several separated by commas.',
    commands: ['data-plane'],
  },
  SIGNALBOX_JOIN_TOKEN: {
    setting: 'joinToken',
    meaning: 'Lets a data plane join for the first time; made by `signalbox join-token`.',
    commands: ['data-plane'],
    isSecret: true,
  },
  SIGNALBOX_NODE_ID: {
    setting: 'nodeId',
    meaning:
      'The name of this data plane among its fellows. Without it, one is made and kept in the data directory.',
    commands: ['up', 'data-plane'],
  },
  SIGNALBOX_REGION: {
    setting: 'region',
    default: '',
    meaning: 'Where this data plane runs; deployments of the same region are preferred among equals.',
    commands: ['up', 'data-plane'],
  },
  SIGNALBOX_CORS_ORIGINS: {
    setting: 'corsOrigins',
    meaning:
      'Origins whose pages may call the data plane from a browser: `https://app.example.com`, several separated by commas, or `*`. None without it.',
    commands: ['up', 'data-plane'],
  },
  SIGNALBOX_LOG_LEVEL: {
    setting: 'logLevel',
    default: 'info',
    meaning: `How much is logged: ${logLevels.map((level) => `\`${level}\``).join(', ')}.`,
    commands: planes,
  },
} as const satisfies Record<string, VariableRow>;

export type Variable = keyof typeof environmentTable;
export type Flags = Readonly<Partial<Record<keyof Settings, string>>>;

/** A value that cannot be used; the reader names its source and the value. */
class Unusable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

type Reader<Value> = (text: string) => Value | Unusable;

const readers: { readonly [Name in keyof Settings]: Reader<Settings[Name]> } = {
  configurationFile: text,
  dataDirectory: text,
  host: (value) => (/^[\w.:-]+$/.test(value) ? value : new Unusable('must be an IP address or a host name')),
  port,
  adminPort: port,
  syncPort: port,
  syncTls: (value) =>
    value === 'on' || value === 'off' ? value === 'on' : new Unusable('must be "on" or "off"'),
  databaseUrl: secretUrl(['postgres:', 'postgresql:'], 'postgresql://user:password@host:5432/database'),
  natsUrl: secretUrl(['nats:', 'tls:'], 'nats://host:4222'),
  redisUrl: secretUrl(['redis:', 'rediss:'], 'redis://host:6379'),
  masterKey: secret,
  encryptionKey: secret,
  controlPlaneUrls: urls,
  joinToken: secret,
  nodeId: (value) =>
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value)
      ? value
      : new Unusable('must be at most 63 letters, digits and . _ -, beginning with a letter or digit'),
  region: text,
  corsOrigins: origins,
  logLevel: (value) =>
    (logLevels as readonly string[]).includes(value)
      ? (value as LogLevel)
      : new Unusable(`must be one of ${logLevels.join(', ')}`),
};

/** All settings, or all that is wrong with them. */
export function readSettings(environment: Environment, flags: Flags): Settings {
  const given = withoutForeign(environment);
  const problems = unknownVariables(given);
  const settings = Object.fromEntries(
    Object.entries<VariableRow>(environmentTable).map(([variable, row]) => {
      const { source, value } = sourceOf(variable, row, given, flags);
      const result = value === undefined ? absent(row.setting) : readers[row.setting](value);
      if (!(result instanceof Unusable)) return [row.setting, result];
      const got = row.isSecret === true ? '' : `; got "${value}"`;
      problems.push({ path: source, message: `${result.reason}${got}` });
      return [row.setting, undefined];
    }),
  ) as unknown as Settings;
  if (settings.syncTls === false && !isLoopback(settings.host))
    problems.push({
      path: 'SIGNALBOX_SYNC_TLS',
      message: `must be "on" while listening on "${settings.host}", which other machines can reach`,
    });
  if (problems.length === 0) return Object.freeze(settings);
  const first = problems.map(({ path, message }) => `${path} ${message}`).join('\n');
  throw new SignalboxError('invalid_configuration', first, { problems });
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** `--data-dir` for `SIGNALBOX_DATA_DIR`. */
export function flagOf(variable: Variable): string {
  return `--${variable.slice(PREFIX.length).toLowerCase().replaceAll('_', '-')}`;
}

const PREFIX = 'SIGNALBOX_';

function sourceOf(
  variable: string,
  row: VariableRow,
  environment: Environment,
  flags: Flags,
): { source: string; value: string | undefined } {
  const flag = flags[row.setting];
  if (flag !== undefined) return { source: flagOf(variable as Variable), value: flag };
  // Compose files hand over an empty text for what is not set.
  return { source: variable, value: environment[variable]?.trim() || row.default };
}

function absent(setting: keyof Settings): undefined | readonly string[] {
  return setting === 'controlPlaneUrls' || setting === 'corsOrigins' ? [] : undefined;
}

/**
 * Kubernetes gives every container variables about every service: for one called "signalbox", SIGNALBOX_PORT becomes
 * "tcp://10.0.0.1:8080". Nobody meant those for us.
 */
function withoutForeign(environment: Environment): Environment {
  const isForeign = (name: string, value = '') =>
    /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(name) ||
    /^(tcp|udp|sctp):\/\//.test(value);
  return Object.fromEntries(
    Object.entries(environment).filter(([name, value]) => name.startsWith(PREFIX) && !isForeign(name, value)),
  );
}

function unknownVariables(environment: Environment): Problem[] {
  return Object.keys(environment)
    .filter((name) => !Object.hasOwn(environmentTable, name))
    .map((name) => ({
      path: name,
      message: `is not a variable that Signalbox reads${hint(name, Object.keys(environmentTable))}`,
    }));
}

function text(value: string): string {
  return value;
}

function secret(value: string): Secret | Unusable {
  return /\s/.test(value) ? new Unusable('must not hold spaces or line breaks') : new Secret(value);
}

function port(value: string): number | Unusable {
  const number = Number(value);
  return /^\d+$/.test(value) && number <= 65_535 ? number : new Unusable('must be a port from 0 to 65535');
}

/** As browsers write them, because they are compared letter for letter. */
function origins(value: string): readonly string[] | Unusable {
  const list = value.split(',').flatMap((part) => part.trim() || []);
  if (list.length > limits.corsOriginsMax) {
    return new Unusable(`must be at most ${limits.corsOriginsMax} origins, or "*"`);
  }
  return list.every(isOrigin)
    ? list
    : new Unusable('must be "*", or origins such as https://app.example.com, separated by commas');
}

function isOrigin(text: string): boolean {
  // Extensions and desktop programs have schemes of their own.
  if (text === '*' || !/^[a-z][a-z\d+.-]*:\/\/(\[[\da-f:]+\]|[\w.-]+)(:\d+)?$/.test(text))
    return text === '*';
  return !/^https?:/.test(text) || URL.parse(text)?.origin === text;
}

function secretUrl(protocols: readonly string[], example: string): Reader<Secret> {
  return (value) => {
    const isUsable = value
      .split(',')
      .every((part) => protocols.includes(URL.parse(part.trim())?.protocol ?? ''));
    return isUsable ? new Secret(value) : new Unusable(`must be a URL such as ${example}`);
  };
}

function urls(value: string): readonly string[] | Unusable {
  const list = value.split(',').map((part) => part.trim());
  const isUsable = list.every((part) => ['http:', 'https:'].includes(URL.parse(part)?.protocol ?? ''));
  return isUsable
    ? list
    : new Unusable('must be one or several URLs such as https://host:8082, separated by commas');
}
