// The data plane's surface for responses over providers of every kind: one that keeps responses, another account there, one with two
// keys, one that keeps none, and two that are translated.
import { expect } from 'vitest';
import { anthropic } from '#data-plane/providers/anthropic.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { demoProvider } from '#data-plane/providers/demo.ts';
import type { ResponseStore } from '#data-plane/responses/store.ts';
import type { Snapshot } from '#data-plane/snapshot/snapshot.ts';
import {
  type FakeProvider,
  goodKey,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from './gateway.ts';
import { deploymentOf, principalOf, providerKeyOf, providerOf, routeOf } from './snapshots.ts';

export const otherKey = 'sb-other';
/** What the fake provider says. */
export const spoken = 'word1 word2 word3 word4 word5 ';

export interface Asked {
  readonly model?: string;
  readonly key?: string;
  readonly path?: string;
  readonly [field: string]: unknown;
}

export interface Answer {
  readonly id: string;
  readonly output: readonly { readonly id: string; readonly type: string }[];
  readonly [field: string]: unknown;
}

export class ResponsesStage {
  readonly provider: FakeProvider;
  gateway: TestGateway;

  private constructor(provider: FakeProvider, gateway: TestGateway) {
    this.provider = provider;
    this.gateway = gateway;
  }

  static async open(): Promise<ResponsesStage> {
    const provider = await startFakeProvider();
    return new ResponsesStage(provider, await startGateway({ snapshot: snapshotOver(provider) }));
  }

  /** As new, over a store of one's own where one is given. */
  async reset(responses?: ResponseStore): Promise<void> {
    this.provider.reset();
    await this.gateway.stop();
    const snapshot = snapshotOver(this.provider);
    this.gateway = await startGateway({ snapshot, ...(responses && { responses }) });
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.provider.stop();
  }

  post(body: string, { key = goodKey, path = '/v1/responses' } = {}): Promise<Response> {
    return fetch(this.gateway.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body,
    });
  }

  ask({ key = goodKey, path = '/v1/responses', ...body }: Asked): Promise<Response> {
    return this.post(JSON.stringify({ input: 'hello', ...body }), { key, path });
  }

  async answerTo(asked: Asked): Promise<Answer> {
    const response = await this.ask(asked);
    expect(response.status).toBe(200);
    return (await response.json()) as Answer;
  }

  kept(path: string, { key = goodKey, method = 'GET' } = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${key}` };
    return fetch(`${this.gateway.url}/v1/responses/${path}`, { method, headers });
  }

  /** What the provider was sent last. */
  sent(): Record<string, unknown> {
    return JSON.parse(this.provider.requests().at(-1)!.body.toString()) as Record<string, unknown>;
  }
}

function snapshotOver(provider: FakeProvider): Snapshot {
  const { baseUrl } = provider;
  const keeping = compatible('openai', { responses: 'kept' });
  const keys = [providerKeyOf('one'), providerKeyOf('two')];
  const providers = [
    providerOf('native', { baseUrl, kind: keeping }),
    providerOf('native-b', { baseUrl, kind: keeping }),
    providerOf('two-keys', { baseUrl, kind: keeping, keys }),
    providerOf('stateless', { baseUrl, kind: compatible('groq', { responses: 'not-kept' }) }),
    providerOf('chat', { baseUrl }),
    providerOf('claude', { baseUrl, kind: anthropic('anthropic') }),
    providerOf('demo', { kind: demoProvider }),
  ];
  const [native, , , , chat] = providers;
  return plainSnapshot(provider, {
    providers,
    deployments: [
      deploymentOf('broken-native', native!, { upstreamModel: 'error-500' }),
      deploymentOf('good-chat', chat!, { upstreamModel: 'ok' }),
    ],
    routes: [routeOf('native-then-chat', ['broken-native', 'good-chat'])],
    keys: { [otherKey]: principalOf('key_other') },
  });
}
