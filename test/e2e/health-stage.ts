// Three data planes over one model at two providers, of which the first is asked as long as it is thought to be well. What they make of it
// is looked at as operators and scrapers do.
import { Cluster, type ClusterOptions, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete } from '#test/harness/traffic.ts';

export class HealthStage {
  readonly cluster: Cluster;
  readonly first: FakeProviderProcess;
  readonly second: FakeProviderProcess;
  #key = '';

  private constructor(cluster: Cluster, { first, second }: Pick<HealthStage, 'first' | 'second'>) {
    this.cluster = cluster;
    this.first = first;
    this.second = second;
  }

  static async start(options: ClusterOptions): Promise<HealthStage> {
    const [cluster, first, second] = await Promise.all([
      Cluster.start({ ...options, dataPlanes: 3 }),
      startFakeProviderProcess(),
      startFakeProviderProcess(),
    ]);
    const stage = new HealthStage(cluster, { first, second });
    try {
      await stage.#offer();
    } catch (error) {
      // Nobody else knows of what has started so far.
      await stage.stop();
      throw error;
    }
    return stage;
  }

  async #offer(): Promise<void> {
    for (const [index, name] of (['first', 'second'] as const).entries()) {
      await this.cluster.must('POST', '/api/v1/providers', {
        name,
        type: 'openai-compatible',
        base_url: this[name].baseUrl,
        allow_private_network: true,
        api_keys: [`sk-${name}-provider-key`],
      });
      const model = { name: 'm', provider: name, model: 'gpt', priority: index + 1 };
      await this.cluster.must('POST', '/api/v1/models', model);
    }
    const made = await this.cluster.must<{ key: string }>('POST', '/api/v1/keys', { name: 'application' });
    this.#key = made.key;
    await this.everyoneAnswers('m');
  }

  get key(): string {
    return this.#key;
  }

  get urls(): readonly string[] {
    return this.cluster.dataPlanes.map(({ url }) => url);
  }

  ask(url: string, model = 'm'): ReturnType<typeof complete> {
    return complete(url, this.key, { model, messages: [{ role: 'user', content: 'hello' }] });
  }

  async everyoneAnswers(model: string): Promise<void> {
    for (const url of this.urls)
      await waitFor(`${url} to answer`, async () => (await this.ask(url, model)).status === 200);
  }

  /** Well, and known to be: whatever the test before has done is over. */
  async begin(): Promise<void> {
    await this.first.setBehaviour('ok');
    await waitFor('everyone to ask the first provider', async () => {
      await Promise.all(this.urls.map((url) => this.ask(url)));
      return (await this.breakers()).every((level) => level === 0);
    });
    await Promise.all([this.first.reset(), this.second.reset()]);
  }

  /** Only the first data plane is used until it has shut the first provider off. Resolves with how long the others took to know. */
  async letOneFindOut(): Promise<number> {
    await this.first.setBehaviour('error-500');
    await waitFor('the first data plane to shut it off', async () => {
      const { status } = await this.ask(this.urls[0]!);
      if (status !== 200) throw new Error(`The second provider should have answered: ${status}`);
      return (await this.breakers())[0] === 2;
    });
    const learnedMs = performance.now();
    await waitFor('the others to know', async () => (await this.breakers()).every((level) => level > 0));
    return performance.now() - learnedMs;
  }

  /** 0 closed, 1 half open, 2 open, by data plane. Only the deployment at the first provider ever fails here. */
  breakers(): Promise<readonly number[]> {
    const count = (text: string, state: string) =>
      figure(text, `signalbox_breakers{kind="deployment",state="${state}"}`);
    return this.#scraped((text) => (count(text, 'open') > 0 ? 2 : count(text, 'half-open')));
  }

  /** By data plane, how many digests there have been with this outcome. */
  digests(outcome: string): Promise<readonly number[]> {
    return this.#scraped((text) => figure(text, `signalbox_health_digests_total{outcome="${outcome}"}`));
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await Promise.all([this.first.stop(), this.second.stop()]);
  }

  #scraped(read: (text: string) => number): Promise<readonly number[]> {
    return Promise.all(this.urls.map(async (url) => read(await (await fetch(`${url}/metrics`)).text())));
  }
}

function figure(text: string, series: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length) ?? 0);
}

export async function callsAt(provider: FakeProviderProcess): Promise<number> {
  return (await provider.requests()).filter(({ path }) => path.endsWith('/chat/completions')).length;
}

/** How long all but the slowest hundredth of these took, one after the other. */
export async function slowestUsual(calls: readonly (() => Promise<void>)[]): Promise<number> {
  const times: number[] = [];
  for (const call of calls) {
    const startMs = performance.now();
    await call();
    times.push(performance.now() - startMs);
  }
  return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)]!;
}
