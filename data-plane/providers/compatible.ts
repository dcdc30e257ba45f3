// Any host that speaks OpenAI's chat completions: same path below the base URL, key as a bearer token. What differs
// between such hosts is data and stands in shared/provider-types.ts.
import type { Provider } from './provider.ts';

export function compatible(
  type: string,
  {
    usageUnasked = false,
    outputLimitField = 'max_tokens',
  }: Pick<Provider, 'usageUnasked' | 'outputLimitField'> = {},
): Provider {
  return Object.freeze<Provider>({
    type,
    dialect: 'openai-chat',
    path: '/chat/completions',
    usageUnasked,
    outputLimitField,
    headers: (secret) => (secret === '' ? {} : { authorization: `Bearer ${secret}` }),
  });
}
