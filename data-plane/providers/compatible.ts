// Any host that speaks OpenAI's API: same paths below the base URL, key as a bearer token. What differs between such hosts is
// data and stands in shared/provider-types.ts.
import type { BodyShape } from '../dialects/dialect.ts';
import { bearerCredential } from './credential.ts';
import type { Provider, TurnEndpoint } from './provider.ts';

export function compatible(
  type: string,
  {
    usageUnasked = false,
    outputLimitField = 'max_tokens',
  }: Pick<BodyShape, 'usageUnasked' | 'outputLimitField'> = {},
): Provider {
  const shape: BodyShape = { usageUnasked, outputLimitField };
  const turns: readonly TurnEndpoint[] = [{ ...shape, dialect: 'openai-chat', path: '/chat/completions' }];
  return Object.freeze<Provider>({
    type,
    turns: () => turns,
    services: {},
    credential: bearerCredential,
  });
}
