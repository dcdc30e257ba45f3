// The vendors Signalbox knows, as data: adding an OpenAI-compatible host is one row. Both planes read it: the control
// plane to validate configuration and find keys in the environment, the data plane to call.

export type ProviderFamily = 'openai' | 'anthropic' | 'local';

export const providerSettingNames = ['region', 'project', 'api_version', 'tenant_id', 'client_id'] as const;
export type ProviderSettingName = (typeof providerSettingNames)[number];
export type SettingRule = 'required' | 'optional';

export interface ProviderType {
  /** Whose API it has; `local` answers inside the data plane. */
  readonly family: ProviderFamily;
  /** Where it lives unless configuration says otherwise; rows without one need a `base_url`. */
  readonly baseUrl?: string;
  /** What else an account there is known by. Settings that are not listed are refused. */
  readonly settings?: Readonly<Partial<Record<ProviderSettingName, SettingRule>>>;
  /** Its address follows from the settings, so that a `base_url` is possible but not needed. */
  readonly addressFromSettings?: boolean;
  /** The environment variable in which people keep this vendor's key. */
  readonly environmentKey?: string;
  /** Whether calls without a key are pointless. Local servers need none. */
  readonly needsKey: boolean;
  /** Model names that no other vendor here uses; they work as soon as a key is found in the environment. */
  readonly modelPatterns: readonly string[];
  /** It reports a stream's usage unasked and refuses the field `stream_options`. */
  readonly usageUnasked?: boolean;
  /** Where it wants the limit of the answer's length; `max_tokens` unless it says otherwise. */
  readonly outputLimitField?: 'max_completion_tokens';
}

const compatible = { family: 'openai', needsKey: true, modelPatterns: [] } as const;
const local = { family: 'openai', needsKey: false, modelPatterns: [] } as const;

export const providerTypes = {
  openai: {
    ...compatible,
    baseUrl: 'https://api.openai.com/v1',
    environmentKey: 'OPENAI_API_KEY',
    modelPatterns: ['gpt-*', 'chatgpt-*', 'o1*', 'o3*', 'o4*'],
    outputLimitField: 'max_completion_tokens',
  },
  anthropic: {
    family: 'anthropic',
    needsKey: true,
    baseUrl: 'https://api.anthropic.com/v1',
    environmentKey: 'ANTHROPIC_API_KEY',
    modelPatterns: ['claude-*'],
  },
  mistral: {
    ...compatible,
    baseUrl: 'https://api.mistral.ai/v1',
    environmentKey: 'MISTRAL_API_KEY',
    modelPatterns: ['mistral-*', 'ministral-*', 'codestral-*', 'magistral-*', 'devstral-*', 'pixtral-*'],
    usageUnasked: true,
  },
  groq: { ...compatible, baseUrl: 'https://api.groq.com/openai/v1', environmentKey: 'GROQ_API_KEY' },
  deepseek: {
    ...compatible,
    baseUrl: 'https://api.deepseek.com/v1',
    environmentKey: 'DEEPSEEK_API_KEY',
    modelPatterns: ['deepseek-*'],
  },
  xai: {
    ...compatible,
    baseUrl: 'https://api.x.ai/v1',
    environmentKey: 'XAI_API_KEY',
    modelPatterns: ['grok-*'],
  },
  openrouter: {
    ...compatible,
    baseUrl: 'https://openrouter.ai/api/v1',
    environmentKey: 'OPENROUTER_API_KEY',
  },
  together: { ...compatible, baseUrl: 'https://api.together.xyz/v1', environmentKey: 'TOGETHER_API_KEY' },
  fireworks: {
    ...compatible,
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    environmentKey: 'FIREWORKS_API_KEY',
  },
  perplexity: {
    ...compatible,
    baseUrl: 'https://api.perplexity.ai',
    environmentKey: 'PERPLEXITY_API_KEY',
    modelPatterns: ['sonar*'],
  },
  cerebras: { ...compatible, baseUrl: 'https://api.cerebras.ai/v1', environmentKey: 'CEREBRAS_API_KEY' },
  ollama: { ...local, baseUrl: 'http://127.0.0.1:11434/v1' },
  vllm: { ...local },
  'llama.cpp': { ...local, baseUrl: 'http://127.0.0.1:8080/v1' },
  'lm-studio': { ...local, baseUrl: 'http://127.0.0.1:1234/v1' },
  /** Any other server that speaks OpenAI's chat completions. */
  'openai-compatible': { ...local },
  /** Answers by itself, always the same, so that everything can be tried without any account. */
  demo: { family: 'local', needsKey: false, modelPatterns: [] },
} as const satisfies Record<string, ProviderType>;

export type ProviderTypeName = keyof typeof providerTypes;

export function providerType(name: string): ProviderType | undefined {
  return Object.hasOwn(providerTypes, name) ? providerTypes[name as ProviderTypeName] : undefined;
}
