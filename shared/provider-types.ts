// The vendors Signalbox knows, as data: adding an OpenAI-compatible host is one row. Both planes read it: the control
// plane to validate configuration and find keys in the environment, the data plane to call.

export type ProviderFamily =
  | 'openai'
  | 'anthropic'
  | 'gemini'
  | 'cohere'
  | 'vertex'
  | 'azure'
  | 'bedrock'
  | 'local';

export const providerSettingNames = ['region', 'project', 'api_version', 'tenant_id', 'client_id'] as const;
export type ProviderSettingName = (typeof providerSettingNames)[number];
export type SettingRule = 'required' | 'optional';

/** What can be asked of a model besides a turn. */
export type ServiceName =
  | 'embeddings'
  | 'images-generations'
  | 'images-edits'
  | 'images-variations'
  | 'audio-transcriptions'
  | 'audio-translations'
  | 'audio-speech'
  | 'moderations'
  | 'rerank'
  | 'count-tokens';

export interface ProviderType {
  /** Whose API it has; `local` answers inside the data plane. */
  readonly family: ProviderFamily;
  /** Where it lives unless configuration says otherwise; rows without one need a `base_url`. */
  readonly baseUrl?: string;
  /** What else an account there is known by. Settings that are not listed are refused. */
  readonly settings?: Readonly<Partial<Record<ProviderSettingName, SettingRule>>>;
  /** Settings that mean something only together. */
  readonly settingsTogether?: readonly ProviderSettingName[];
  /** What has to be said where there are no keys. */
  readonly settingWithoutKeys?: ProviderSettingName;
  /** Its address follows from the settings, so that a `base_url` is possible but not needed. */
  readonly addressFromSettings?: boolean;
  /** It does not say which models it has. */
  readonly listsNoModels?: true;
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
  /** It takes `top_k` beside OpenAI's own fields. */
  readonly topK?: boolean;
  /** What else it offers of OpenAI's API, at OpenAI's paths. */
  readonly services?: readonly Exclude<ServiceName, 'count-tokens'>[];
  /** It still has the older text completions: for all models, or for those whose names begin like this. */
  readonly completions?: true | readonly string[];
  /** It has the Responses API too, and keeps what it answered, so that one may go on from there, or keeps nothing. */
  readonly responses?: 'kept' | 'not-kept';
  /** Its accounts keep files and run batches, as OpenAI's do. */
  readonly files?: boolean;
  /** It holds conversations over a WebSocket, as OpenAI does. */
  readonly realtime?: boolean;
  /** It knows the role `developer`; others are told `system`. */
  readonly developerRole?: boolean;
  /** Where it takes back what a model reasoned in earlier turns; others are not sent it. */
  readonly reasoningField?: 'reasoning_content' | 'reasoning';
  /** It takes tool calls back with Google's signature; others are not sent it. */
  readonly callSignatures?: boolean;
  /** How ids of tool calls have to look; ids that look otherwise are exchanged, the same one for the same one. */
  readonly toolCallIds?: 'nine-alphanumerics';
  /** Its own names for fields of OpenAI's. */
  readonly renames?: Readonly<Record<string, string>>;
  /** Fields of OpenAI's that it refuses. */
  readonly lacks?: readonly string[];
}

/** All that an OpenAI-compatible server can have; whether this one has it, it says itself. */
const everyService = [
  'embeddings',
  'images-generations',
  'images-edits',
  'images-variations',
  'audio-transcriptions',
  'audio-translations',
  'audio-speech',
  'moderations',
  'rerank',
] as const;
const compatible = { family: 'openai', needsKey: true, modelPatterns: [] } as const;
const local = { family: 'openai', needsKey: false, modelPatterns: [] } as const;

export const providerTypes = {
  openai: {
    ...compatible,
    baseUrl: 'https://api.openai.com/v1',
    environmentKey: 'OPENAI_API_KEY',
    modelPatterns: [
      'gpt-*',
      'chatgpt-*',
      'o1*',
      'o3*',
      'o4*',
      'text-embedding-3-*',
      'text-embedding-ada-*',
      'dall-e-*',
      'whisper-1',
      'tts-1*',
      'omni-moderation-*',
    ],
    outputLimitField: 'max_completion_tokens',
    developerRole: true,
    completions: ['gpt-3.5-turbo-instruct', 'babbage-', 'davinci-', 'ft:babbage-', 'ft:davinci-'],
    services: everyService.filter((name) => name !== 'rerank'),
    files: true,
    realtime: true,
    responses: 'kept',
  },
  anthropic: {
    family: 'anthropic',
    needsKey: true,
    baseUrl: 'https://api.anthropic.com/v1',
    environmentKey: 'ANTHROPIC_API_KEY',
    modelPatterns: ['claude-*'],
  },
  gemini: {
    family: 'gemini',
    needsKey: true,
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
    environmentKey: 'GEMINI_API_KEY',
    modelPatterns: ['gemini-*'],
  },
  cohere: {
    family: 'cohere',
    needsKey: true,
    baseUrl: 'https://api.cohere.com',
    environmentKey: 'COHERE_API_KEY',
    modelPatterns: ['command-*', 'c4ai-*', 'embed-*', 'rerank-*'],
  },
  mistral: {
    ...compatible,
    baseUrl: 'https://api.mistral.ai/v1',
    environmentKey: 'MISTRAL_API_KEY',
    modelPatterns: ['mistral-*', 'ministral-*', 'codestral-*', 'magistral-*', 'devstral-*', 'pixtral-*'],
    usageUnasked: true,
    services: ['embeddings', 'moderations', 'audio-transcriptions'],
    toolCallIds: 'nine-alphanumerics',
    renames: { seed: 'random_seed' },
    lacks: ['user', 'service_tier', 'verbosity', 'logprobs', 'top_logprobs', 'logit_bias'],
  },
  groq: {
    ...compatible,
    baseUrl: 'https://api.groq.com/openai/v1',
    environmentKey: 'GROQ_API_KEY',
    outputLimitField: 'max_completion_tokens',
    reasoningField: 'reasoning',
    lacks: ['logprobs', 'top_logprobs', 'logit_bias'],
    services: ['audio-transcriptions', 'audio-translations', 'audio-speech'],
    files: true,
    responses: 'not-kept',
  },
  deepseek: {
    ...compatible,
    baseUrl: 'https://api.deepseek.com/v1',
    environmentKey: 'DEEPSEEK_API_KEY',
    modelPatterns: ['deepseek-*'],
    reasoningField: 'reasoning_content',
  },
  xai: {
    ...compatible,
    baseUrl: 'https://api.x.ai/v1',
    environmentKey: 'XAI_API_KEY',
    modelPatterns: ['grok-*'],
    outputLimitField: 'max_completion_tokens',
    reasoningField: 'reasoning_content',
    services: ['images-generations'],
    responses: 'kept',
  },
  openrouter: {
    topK: true,
    ...compatible,
    baseUrl: 'https://openrouter.ai/api/v1',
    environmentKey: 'OPENROUTER_API_KEY',
    developerRole: true,
    reasoningField: 'reasoning',
    completions: true,
    services: ['embeddings'],
    responses: 'not-kept',
  },
  together: {
    topK: true,
    ...compatible,
    baseUrl: 'https://api.together.xyz/v1',
    environmentKey: 'TOGETHER_API_KEY',
    completions: true,
    services: ['embeddings', 'images-generations', 'audio-speech', 'rerank'],
  },
  fireworks: {
    topK: true,
    ...compatible,
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    environmentKey: 'FIREWORKS_API_KEY',
    reasoningField: 'reasoning_content',
    completions: true,
    services: ['embeddings', 'rerank'],
    responses: 'kept',
  },
  perplexity: {
    ...compatible,
    baseUrl: 'https://api.perplexity.ai',
    environmentKey: 'PERPLEXITY_API_KEY',
    modelPatterns: ['sonar*'],
    listsNoModels: true,
    usageUnasked: true,
  },
  cerebras: {
    ...compatible,
    baseUrl: 'https://api.cerebras.ai/v1',
    environmentKey: 'CEREBRAS_API_KEY',
    outputLimitField: 'max_completion_tokens',
    completions: true,
  },
  'nvidia-nim': {
    ...compatible,
    baseUrl: 'https://integrate.api.nvidia.com/v1',
    environmentKey: 'NVIDIA_API_KEY',
    services: ['embeddings'],
  },
  /** Tokens for Hugging Face and GitHub serve many ends, so finding one means nothing. */
  huggingface: { ...compatible, baseUrl: 'https://router.huggingface.co/v1' },
  'github-models': {
    ...compatible,
    baseUrl: 'https://models.github.ai/inference',
    developerRole: true,
    services: ['embeddings'],
  },
  moonshot: {
    ...compatible,
    baseUrl: 'https://api.moonshot.ai/v1',
    environmentKey: 'MOONSHOT_API_KEY',
    modelPatterns: ['kimi-*', 'moonshot-*'],
    reasoningField: 'reasoning_content',
  },
  zai: {
    ...compatible,
    baseUrl: 'https://api.z.ai/api/paas/v4',
    environmentKey: 'ZAI_API_KEY',
    modelPatterns: ['glm-*'],
    reasoningField: 'reasoning_content',
  },
  dashscope: {
    ...compatible,
    baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
    environmentKey: 'DASHSCOPE_API_KEY',
    modelPatterns: ['qwen-max*', 'qwen-plus*', 'qwen-turbo*', 'qwen-flash*', 'qwen3-max*', 'qwen3.5-plus*'],
    services: ['embeddings'],
  },
  minimax: {
    ...compatible,
    baseUrl: 'https://api.minimax.io/v1',
    environmentKey: 'MINIMAX_API_KEY',
    modelPatterns: ['MiniMax-*'],
  },
  siliconflow: {
    ...compatible,
    baseUrl: 'https://api.siliconflow.com/v1',
    environmentKey: 'SILICONFLOW_API_KEY',
    services: ['embeddings', 'audio-transcriptions', 'audio-speech', 'rerank'],
  },
  deepinfra: {
    ...compatible,
    baseUrl: 'https://api.deepinfra.com/v1/openai',
    environmentKey: 'DEEPINFRA_API_KEY',
    completions: true,
    services: ['embeddings', 'images-generations'],
  },
  hyperbolic: {
    ...compatible,
    baseUrl: 'https://api.hyperbolic.xyz/v1',
    environmentKey: 'HYPERBOLIC_API_KEY',
    completions: true,
  },
  sambanova: {
    ...compatible,
    baseUrl: 'https://api.sambanova.ai/v1',
    environmentKey: 'SAMBANOVA_API_KEY',
    services: ['embeddings', 'audio-transcriptions'],
  },
  novita: {
    ...compatible,
    baseUrl: 'https://api.novita.ai/openai/v1',
    environmentKey: 'NOVITA_API_KEY',
    completions: true,
    services: ['embeddings'],
  },
  nebius: {
    ...compatible,
    baseUrl: 'https://api.tokenfactory.nebius.com/v1',
    environmentKey: 'NEBIUS_API_KEY',
    completions: true,
    services: ['embeddings'],
  },
  baseten: { ...compatible, baseUrl: 'https://inference.baseten.co/v1', environmentKey: 'BASETEN_API_KEY' },
  friendli: {
    ...compatible,
    baseUrl: 'https://api.friendli.ai/serverless/v1',
    environmentKey: 'FRIENDLI_TOKEN',
    completions: true,
  },
  /** Gemini, Claude and others at Google Cloud: with a service account, the machine's own account, or an API key. */
  vertex: {
    family: 'vertex',
    needsKey: false,
    settings: { project: 'optional', region: 'optional' },
    settingWithoutKeys: 'project',
    addressFromSettings: true,
    modelPatterns: [],
  },
  /** OpenAI's models at Azure: with an API key, or as an Entra application. */
  azure: {
    family: 'azure',
    needsKey: true,
    settings: { api_version: 'optional', tenant_id: 'optional', client_id: 'optional' },
    settingsTogether: ['tenant_id', 'client_id'],
    modelPatterns: [],
  },
  /** The models of many makers at AWS: with an API key, an access key, or the account of the machine. */
  bedrock: {
    family: 'bedrock',
    needsKey: false,
    settings: { region: 'required' },
    addressFromSettings: true,
    modelPatterns: ['anthropic.*', 'amazon.*', 'us.*', 'eu.*', 'apac.*', 'global.*', 'arn:aws:bedrock:*'],
  },
  ollama: {
    ...local,
    baseUrl: 'http://127.0.0.1:11434/v1',
    reasoningField: 'reasoning',
    completions: true,
    services: ['embeddings'],
    responses: 'not-kept',
  },
  vllm: {
    topK: true,
    ...local,
    reasoningField: 'reasoning_content',
    completions: true,
    services: ['embeddings', 'audio-transcriptions', 'audio-translations', 'rerank'],
    responses: 'not-kept',
  },
  sglang: {
    topK: true,
    ...local,
    baseUrl: 'http://127.0.0.1:30000/v1',
    reasoningField: 'reasoning_content',
    completions: true,
    services: ['embeddings', 'rerank'],
  },
  'llama.cpp': {
    topK: true,
    ...local,
    baseUrl: 'http://127.0.0.1:8080/v1',
    reasoningField: 'reasoning_content',
    completions: true,
    services: ['embeddings', 'rerank'],
  },
  'lm-studio': {
    ...local,
    baseUrl: 'http://127.0.0.1:1234/v1',
    completions: true,
    services: ['embeddings'],
    responses: 'kept',
  },
  /** Any other server that speaks OpenAI's chat completions. */
  'openai-compatible': {
    ...local,
    reasoningField: 'reasoning_content',
    callSignatures: true,
    services: everyService,
  },
  /** Answers by itself, always the same, so that everything can be tried without any account. */
  demo: { family: 'local', needsKey: false, modelPatterns: [] },
} as const satisfies Record<string, ProviderType>;

export type ProviderTypeName = keyof typeof providerTypes;

export function providerType(name: string): ProviderType | undefined {
  return Object.hasOwn(providerTypes, name) ? providerTypes[name as ProviderTypeName] : undefined;
}
