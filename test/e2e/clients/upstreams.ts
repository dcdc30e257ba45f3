// One upstream of every kind, all of them the same fake provider in another dialect, and a whole Signalbox in front of them. Each
// is reached by two public names: one answers in words, one calls a tool.
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

interface Upstream {
  readonly name: string;
  readonly type: string;
  /** What the fake's address is followed by. */
  readonly path: string;
  readonly keys?: readonly string[];
  readonly settings?: string;
  /** Some providers tell by the name of a model how it is asked. */
  readonly model?: string;
  /** What the vendor does besides. */
  readonly behaviour?: string;
}

const upstreams: readonly Upstream[] = [
  { name: 'chat', type: 'openai-compatible', path: '/v1' },
  { name: 'openai', type: 'openai', path: '/v1', keys: ['sk-fake'] },
  {
    name: 'mistral',
    type: 'mistral',
    path: '/v1',
    keys: ['fake'],
    behaviour: '.usage-on-finish',
    model: 'mistral-fake',
  },
  { name: 'azure', type: 'azure', path: '', keys: ['fake'] },
  {
    name: 'azure-deployments',
    type: 'azure',
    path: '',
    keys: ['fake'],
    settings: 'api_version: "2024-10-21"',
  },
  { name: 'claude', type: 'anthropic', path: '/v1', keys: ['sk-ant-fake'] },
  { name: 'gemini', type: 'gemini', path: '/v1beta', keys: ['fake'], model: 'gemini-3-fake' },
  { name: 'vertex', type: 'vertex', path: '', keys: ['AIzaFake'], model: 'gemini-3-fake' },
  {
    name: 'bedrock',
    type: 'bedrock',
    path: '',
    keys: ['AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'],
    settings: 'region: us-east-1',
  },
  { name: 'cohere', type: 'cohere', path: '', keys: ['fake'], model: 'command-fake' },
];

/** Names of models that answer in words; with `-tools` behind them they call a tool. */
export const modelNames: readonly string[] = [...upstreams.map(({ name }) => name), 'demo'];

export interface Upstreams {
  readonly up: AllInOne;
  readonly provider: FakeProvider;
  remove(): Promise<void>;
}

export async function startUpstreams(): Promise<Upstreams> {
  const provider = await startFakeProvider();
  const origin = new URL(provider.baseUrl).origin;
  const providers = upstreams.map(
    ({ name, type, path, keys = [], settings = '' }) =>
      `  - { name: ${name}, type: ${type}, base_url: "${origin}${path}", allow_private_network: true, api_keys: [${keys.map((key) => `'${key}'`).join()}] ${settings === '' ? '' : `, ${settings}`} }`,
  );
  const models = upstreams.flatMap(({ name, model = 'model', behaviour = '' }) => {
    provider.setBehaviour(`ok${behaviour}`, { model });
    provider.setBehaviour(`tool-call${behaviour}`, { model: `${model}-tools` });
    return [
      `  - { name: ${name}, provider: ${name}, model: "${model}" }`,
      `  - { name: ${name}-tools, provider: ${name}, model: "${model}-tools" }`,
    ];
  });
  const aliases = ['aliases:', '  demo-tools: demo'];
  const up = await startAllInOne({
    configuration: ['providers:', ...providers, 'models:', ...models, ...aliases].join('\n'),
  });
  return {
    up,
    provider,
    async remove() {
      await up.remove();
      await provider.stop();
    },
  };
}
