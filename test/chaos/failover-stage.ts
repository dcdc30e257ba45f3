// Three providers as processes of their own behind one data plane. Routes over all three are made anew for each test, under new names,
// so that nobody remembers what was the matter before.
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete } from '#test/harness/traffic.ts';

/** What one attempt may take to its first byte. */
export const attemptTimeoutMs = 1000;

export interface Member {
  /** Undefined while it is dead. */
  provider: FakeProviderProcess | undefined;
  readonly port: number;
}

const MEMBERS = 3;

export class FailoverStage {
  readonly members: readonly Member[];
  readonly #cluster: Cluster;
  readonly key: string;
  #routes = 0;

  private constructor(cluster: Cluster, members: readonly Member[], key: string) {
    this.#cluster = cluster;
    this.members = members;
    this.key = key;
  }

  static async start(): Promise<FailoverStage> {
    const [cluster, ...providers] = await Promise.all([
      Cluster.start(),
      ...Array.from({ length: MEMBERS }, () => startFakeProviderProcess()),
    ]);
    const { key } = await cluster.must<{ key: string }>('POST', '/api/v1/keys', { name: 'application' });
    const members = providers.map((provider): Member => ({ provider, port: provider.port }));
    return new FailoverStage(cluster, members, key);
  }

  get url(): string {
    return this.#cluster.dataPlanes[0]!.url;
  }

  /** A route that is known to the data plane, over everyone, who are all well. */
  async route(more: { strategy?: string; stream_recovery?: 'error' | 'continue' } = {}): Promise<string> {
    this.#routes += 1;
    const slug = `route-${this.#routes}`;
    const names = this.members.map((_, index) => `${slug}-${index}`);
    await Promise.all(this.members.map((member) => this.#heal(member)));
    await Promise.all(names.map((name, index) => this.#offer(name, this.members[index]!.port)));
    const models = names.map((model, priority) => ({ model, priority }));
    await this.#cluster.must('POST', '/api/v1/routes', { slug, strategy: 'priority', models, ...more });
    await waitFor('the route to be known', async () => (await this.ask(slug)).status === 200);
    return slug;
  }

  ask(model: string, stream = false): ReturnType<typeof complete> {
    return complete(this.url, this.key, { model, stream, messages: [{ role: 'user', content: 'hello' }] });
  }

  async kill(member: Member): Promise<void> {
    const { provider } = member;
    member.provider = undefined;
    provider?.process.signal('SIGKILL');
    await provider?.process.exited;
  }

  async revive(member: Member): Promise<void> {
    member.provider ??= await startFakeProviderProcess({ port: member.port });
  }

  async stop(): Promise<void> {
    for (const { provider } of this.members) provider?.process.thaw();
    await Promise.all(this.members.map(async ({ provider }) => provider?.stop()));
    await this.#cluster.stop();
  }

  async #heal(member: Member): Promise<void> {
    member.provider?.process.thaw();
    await this.revive(member);
    await member.provider!.setBehaviour('ok');
  }

  async #offer(name: string, port: number): Promise<void> {
    await this.#cluster.must('POST', '/api/v1/providers', {
      name,
      type: 'openai-compatible',
      base_url: `http://127.0.0.1:${port}/v1`,
      allow_private_network: true,
      api_keys: [`sk-${name}-provider-key`],
    });
    const timeout = `${attemptTimeoutMs}ms`;
    await this.#cluster.must('POST', '/api/v1/models', { name, provider: name, model: 'gpt', timeout });
  }
}
