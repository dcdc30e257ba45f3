// A control plane's core with its admin API on a real database, without delivery and ingestion: what tests of
// configuration, keys and secrets talk to. Several on one database are replicas.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configurationResources } from '#control-plane/api/resources.ts';
import { type Api, createApi } from '#control-plane/api/server.ts';
import { type Core, type CoreOptions, openCore } from '#control-plane/core.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';

export const testAdminKey = 'admin-key-for-tests-only';
const encryptionKey = new Secret(Buffer.alloc(32, 7).toString('base64'));

export interface AdminAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Tests look into answers freely. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface AdminApi {
  readonly core: Core;
  readonly api: Api;
  readonly url: string;
  request(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<AdminAnswer>;
  close(): Promise<void>;
}

export async function startAdminApi(
  databaseUrl: string,
  options: Partial<CoreOptions> = {},
): Promise<AdminApi> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'signalbox-test-admin-'));
  const log = options.log ?? createLogger('silent');
  const metrics = new Metrics();
  const core = await openCore({
    databaseUrl,
    dataDirectory,
    masterKey: new Secret(testAdminKey),
    encryptionKey,
    configurationFile: undefined,
    environment: {},
    demo: false,
    log,
    metrics,
    ...options,
  });
  const api = await createApi({
    plugins: configurationResources(core),
    adminKey: core.adminKey.key,
    health: () => ({ status: 'ready', revision: 1, database: core.databaseHealth.up ? 'up' : 'down' }),
    metrics,
    log,
  });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${port}`;
  return {
    core,
    api,
    url,
    async request(method, path, body, headers = {}) {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${testAdminKey}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: isJson ? JSON.parse(text) : undefined,
      };
    },
    async close() {
      await api.close();
      await core.close();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}
