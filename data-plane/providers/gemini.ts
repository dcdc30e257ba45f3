// Gemini at Google's own API: the model and what is asked of it stand in the path, the key in a header of its own. A name may say
// where the model is kept (`models/…`, `tunedModels/…`); one that does not is looked for among `models`.
import { fixedCredential } from './credential.ts';
import { readModelNames } from './model-lists.ts';
import type { EndpointPath, PathInput, Provider, TurnEndpoint } from './provider.ts';

const turns: readonly TurnEndpoint[] = [
  {
    dialect: 'gemini',
    path: modelPath(({ stream }) => (stream ? 'streamGenerateContent?alt=sse' : 'generateContent')),
  },
];

const KEPT_NAME = /^(models|tunedModels)\/([^/]+)$/;

function modelPath(verb: (input: PathInput) => string): EndpointPath {
  return (input) => {
    const [, place = 'models', name = input.model] = KEPT_NAME.exec(input.model) ?? [];
    return `/${place}/${encodeURIComponent(name)}:${verb(input)}`;
  };
}

export function gemini(type: string): Provider {
  return Object.freeze<Provider>({
    type,
    turns: () => turns,
    services: {
      embeddings: { form: 'gemini', path: modelPath(() => 'batchEmbedContents') },
      'count-tokens': { form: 'gemini', path: modelPath(() => 'countTokens') },
    },
    credential: (secret) => fixedCredential(secret ? { 'x-goog-api-key': secret } : {}),
    modelList: { path: '/models?pageSize=1000', read: readModelNames('models') },
  });
}
