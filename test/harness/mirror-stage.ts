// A route whose requests are copied: `big` answers them, and copies go to `shadow`, both at one fake provider that keeps the bill.
import { compatible } from '#data-plane/providers/compatible.ts';
import type { Deployment, ProviderEntry, Route } from '#data-plane/snapshot/snapshot.ts';
import {
  type FakeProvider,
  type LedgerEntry,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
  type TestGatewayOptions,
} from './gateway.ts';
import { rulesOf } from './route-rules.ts';
import { deploymentOf, providerOf, routeOf } from './snapshots.ts';

export interface Offer {
  /** How the fake provider behaves to whom the client waits for, and to the copy. */
  readonly big?: string;
  readonly shadow?: string;
  readonly mirrors?: readonly object[];
  readonly rules?: readonly object[];
  /** Of the copy's target. */
  readonly target?: Partial<Deployment>;
  readonly at?: Partial<ProviderEntry>;
  readonly routes?: readonly Route[];
  readonly deployments?: readonly Deployment[];
}

export class MirrorStage {
  readonly provider: FakeProvider;
  gateway: TestGateway;

  private constructor(provider: FakeProvider, gateway: TestGateway) {
    this.provider = provider;
    this.gateway = gateway;
  }

  static async open(): Promise<MirrorStage> {
    const provider = await startFakeProvider();
    return new MirrorStage(provider, await startGateway());
  }

  async reset(options?: TestGatewayOptions): Promise<void> {
    this.provider.reset();
    await this.gateway.stop();
    this.gateway = await startGateway(options);
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.provider.stop();
  }

  offer({
    big = 'ok.chunks-3',
    shadow = 'ok.chunks-2',
    mirrors = [{ to: 'shadow' }],
    rules = [],
    ...more
  }: Offer = {}): void {
    const { baseUrl } = this.provider;
    const kind = compatible('openai-compatible', { services: ['embeddings'] });
    const place = { ...providerOf('elsewhere', { baseUrl, kind }), ...more.at };
    this.gateway.snapshot = plainSnapshot(this.provider, {
      deployments: [
        deploymentOf('big', providerOf('here', { baseUrl, kind }), {
          id: 'big',
          upstreamModel: big,
          region: 'eu',
        }),
        deploymentOf('shadow', place, { id: 'shadow', upstreamModel: shadow, ...more.target }),
        ...(more.deployments ?? []),
      ],
      routes: [{ ...routeOf('smart', ['big']), rules: rulesOf({ rules, mirrors }) }, ...(more.routes ?? [])],
    });
  }

  get story(): readonly string[] {
    return this.gateway.ledger.story;
  }

  get copies(): readonly LedgerEntry[] {
    return this.gateway.ledger.entries.filter(({ intent }) => intent.shadow);
  }

  /** How many copies ended so. */
  async counted(outcome: string): Promise<number> {
    const text = await this.gateway.metrics.render();
    return Number(text.match(`signalbox_mirrors_total\\{outcome="${outcome}"\\} (\\d+)`)?.[1] ?? 0);
  }
}
