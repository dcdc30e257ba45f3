// What a control plane is started with, and what whoever started it can do with it. Values come from the command line and
// the environment, which are read in cli/ only.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Bus } from '#shared/bus/bus.ts';
import type { Environment } from '#shared/configuration/expansion.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Secret } from '#shared/secret.ts';

export interface ControlPlaneOptions {
  readonly databaseUrl: string;
  readonly dataDirectory: string;
  readonly host: string;
  /** Undefined: do not listen; requests are handed over with `handle`. */
  readonly adminPort: number | undefined;
  readonly syncHost: string;
  readonly syncPort: number;
  readonly syncTls: boolean;
  /** The admin key; undefined: make one in the data directory. */
  readonly masterKey: Secret | undefined;
  /** Undefined: make one in the data directory. */
  readonly encryptionKey: Secret | undefined;
  readonly configurationFile: string | undefined;
  /** Where `${NAME}` in the configuration file and provider keys are looked up. */
  readonly environment: Environment;
  /** Whether the very first start creates the demo provider and its models. */
  readonly demo: boolean;
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface ControlPlane {
  readonly adminKey: Secret;
  /** Where the admin key is kept; undefined when it was given. */
  readonly adminKeyFile: string | undefined;
  readonly adminAddress: { readonly host: string; readonly port: number } | undefined;
  readonly syncUrl: string;
  /** A token with which the data plane on this machine can join; those given out before it end. */
  localJoinToken(): Promise<Secret>;
  /** The key in the answer cannot be had again. */
  createApiKey(input: { name: string }): Promise<{ id: string; key: string }>;
  /** Whether this key exists and has not been revoked. */
  apiKeyExists(id: string): Promise<boolean>;
  /** Answers one request that arrived at another server. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  close(): Promise<void>;
}
