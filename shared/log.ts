// Structured logs: JSON lines, or readable ones on a terminal. Credentials are removed by name wherever they may appear,
// on top of `Secret`, which never prints itself.
import { pino, stdSerializers } from 'pino';
import pretty from 'pino-pretty';

export type Logger = Pick<pino.Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child'>;

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const credentialNames = [
  'authorization',
  'api-key',
  'x-api-key',
  'x-goog-api-key',
  'cookie',
  'set-cookie',
  'apiKey',
  'api_key',
  'token',
  'password',
  'secret',
];
const redact = credentialNames.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]);

/** Keys that found their way into a message: ours, and the shapes providers use. */
const keyShapes = /\b(sb-|sk-|sbj-|gsk_|xai-|AIza)[A-Za-z0-9_-]{8,}/g;

export function createLogger(level: LogLevel, bindings: Record<string, unknown> = {}): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: bindings,
    redact: { paths: redact, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: (error: Error) => scrub(stdSerializers.err(error)) },
    hooks: {
      logMethod(args, method) {
        method.apply(
          this,
          args.map((arg) =>
            typeof arg === 'string' ? arg.replace(keyShapes, '$1[redacted]') : arg,
          ) as Parameters<typeof method>,
        );
      },
    },
  };
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(
    options,
    pretty({
      colorize: true,
      destination: 2,
      sync: true,
      ignore: 'pid,hostname',
      translateTime: 'SYS:HH:MM:ss',
    }),
  );
}

function scrub<T extends { message?: string; stack?: string }>(error: T): T {
  const clean = (text: string | undefined) => text?.replace(keyShapes, '$1[redacted]');
  return { ...error, message: clean(error.message), stack: clean(error.stack) };
}
