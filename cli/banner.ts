// What the all-in-one says when it is ready: where it is, and one line that works when it is pasted into a shell.
import { styleText } from 'node:util';
import { version } from '#shared/build.ts';
import { providersFromEnvironment } from '#shared/configuration/provider-environment.ts';
import { type ProviderType, type ProviderTypeName, providerTypes } from '#shared/provider-types.ts';

export interface BannerFacts {
  readonly url: string;
  readonly apiKey: string;
  /** The file of the admin key, or undefined when it came from the environment. */
  readonly adminKeyFile: string | undefined;
  readonly dataDirectory: string;
  readonly hasOwnDatabase: boolean;
  readonly configurationFile: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly startedInMs: number;
}

/** A small current model of each vendor that has a key variable, as clients name it here. */
const exampleModels: Partial<Record<ProviderTypeName, string>> = {
  openai: 'gpt-4o-mini',
  anthropic: 'claude-sonnet-4-5',
  mistral: 'mistral-small-latest',
  groq: 'groq/llama-3.1-8b-instant',
  deepseek: 'deepseek-chat',
  xai: 'grok-3-mini',
  openrouter: 'openrouter/openrouter/auto',
  together: 'together/meta-llama/Llama-3.3-70B-Instruct-Turbo',
  fireworks: 'fireworks/accounts/fireworks/models/llama-v3p1-8b-instruct',
  perplexity: 'sonar',
  cerebras: 'cerebras/llama3.1-8b',
};

export function banner(facts: BannerFacts): string {
  const title = styleText('bold', `Signalbox ${version} is ready`);
  const database = facts.hasOwnDatabase ? ' (with its own PostgreSQL)' : '';
  const places: readonly (readonly [string, string])[] = [
    ['API', `${facts.url}/v1`],
    ['Swagger', `${facts.url}/swagger`],
    ['Admin key', facts.adminKeyFile ?? 'the one in SIGNALBOX_MASTER_KEY'],
    ['Data', `${facts.dataDirectory}${database}`],
    ['Configuration', facts.configurationFile ?? 'none; signalbox.example.yaml shows what one can hold'],
  ];
  return [
    '',
    `${title} (${(facts.startedInMs / 1000).toFixed(1)} s)`,
    '',
    ...places.map(([name, place]) => `  ${name.padEnd(15)}${place}`),
    '',
    'Try it; the built-in model "demo" needs no account anywhere:',
    '',
    curl(facts, false),
    '',
    'The same as a stream:',
    '',
    curl(facts, true),
    '',
    ...providerLines(facts.environment),
    '',
    'Ctrl-C stops it.',
    '',
  ].join('\n');
}

/** One line each, because that survives every shell and every copy. */
function curl({ url, apiKey }: BannerFacts, isStreamed: boolean): string {
  const body = {
    model: 'demo',
    ...(isStreamed && { stream: true }),
    messages: [{ role: 'user', content: 'Hello' }],
  };
  const headers = `-H "Authorization: Bearer ${apiKey}" -H "Content-Type: application/json"`;
  return `curl ${isStreamed ? '-N ' : ''}${url}/v1/chat/completions ${headers} -d '${JSON.stringify(body)}'`;
}

function providerLines(environment: BannerFacts['environment']): string[] {
  const found = providersFromEnvironment(environment);
  if (found.length === 0) {
    const { environmentKey }: ProviderType = providerTypes.openai;
    return [
      `No provider key was found in the environment. Set ${environmentKey}, or another vendor's, and start again.`,
    ];
  }
  return [
    'Provider keys found in the environment:',
    ...found.map(({ name }) => {
      const type: ProviderType = providerTypes[name as ProviderTypeName];
      const example = exampleModels[name as ProviderTypeName];
      const trial = example === undefined ? '' : `  try the model "${example}"`;
      return `  ${name.padEnd(15)}${(type.environmentKey ?? '').padEnd(20)}${trial}`;
    }),
  ];
}
