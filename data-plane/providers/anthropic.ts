// Claude at Anthropic, or any host that speaks their messages: a key in a header of its own, and a version of the API that
// every request has to name.
import { fixedCredential } from './credential.ts';
import { readModelIds } from './model-lists.ts';
import type { Provider, TurnEndpoint } from './provider.ts';

const turns: readonly TurnEndpoint[] = [{ dialect: 'anthropic-messages', path: '/messages' }];

export function anthropic(type: string): Provider {
  return Object.freeze<Provider>({
    type,
    turns: () => turns,
    services: { 'count-tokens': { form: 'anthropic', path: '/messages/count_tokens' } },
    fixedHeaders: Object.freeze({ 'anthropic-version': '2023-06-01' }),
    credential: (secret) => fixedCredential(secret ? { 'x-api-key': secret } : {}),
    modelList: { path: '/models?limit=1000', read: readModelIds },
  });
}
