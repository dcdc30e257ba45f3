// Models at Cohere: their own chat API, with the key as a bearer token.
import { bearerCredential } from './credential.ts';
import { readModelNames } from './model-lists.ts';
import type { Provider, TurnEndpoint } from './provider.ts';

const turns: readonly TurnEndpoint[] = [{ dialect: 'cohere-v2', path: '/v2/chat' }];

export function cohere(type: string): Provider {
  return Object.freeze<Provider>({
    type,
    turns: () => turns,
    services: {
      embeddings: { form: 'cohere', path: '/v2/embed' },
      rerank: { form: 'cohere', path: '/v2/rerank' },
    },
    credential: bearerCredential,
    modelList: { path: '/v1/models?page_size=1000', read: readModelNames('models') },
  });
}
