// Any host that speaks OpenAI's API: same paths below the base URL, key as a bearer token. What differs between such hosts is
// data and stands in shared/provider-types.ts, so that a new one costs a row there and nothing here.
import type { ProviderType } from '#shared/provider-types.ts';
import type { BodyShape } from '../dialects/dialect.ts';
import { bearerCredential } from './credential.ts';
import { readModelIds } from './model-lists.ts';
import { openaiServices } from './openai-services.ts';
import type { ModelList, Provider, TurnEndpoint } from './provider.ts';
import { adaptBody, type HostQuirks, mendCallIds } from './quirks.ts';

const modelList: ModelList = { path: '/models', read: readModelIds };

type CompatibleHost = HostQuirks &
  Pick<
    ProviderType,
    | 'usageUnasked'
    | 'outputLimitField'
    | 'topK'
    | 'completions'
    | 'responses'
    | 'listsNoModels'
    | 'services'
    | 'files'
    | 'realtime'
  >;

export function compatible(type: string, host: CompatibleHost = {}): Provider {
  const { usageUnasked = false, outputLimitField = 'max_tokens', topK = false, completions = [] } = host;
  const shape: BodyShape = { usageUnasked, outputLimitField, topK };
  const chat: TurnEndpoint = {
    ...shape,
    dialect: 'openai-chat',
    path: '/chat/completions',
    adapt: (body, heard) => adaptBody(body, host, heard),
    mend: (body) => mendCallIds(body, host),
  };
  const text: TurnEndpoint = { ...shape, dialect: 'openai-completions', path: '/completions' };
  const responses: readonly TurnEndpoint[] =
    host.responses === undefined
      ? []
      : [{ dialect: 'openai-responses', path: '/responses', keepsAnswers: host.responses === 'kept' }];
  const isText = (model: string): boolean =>
    completions === true || completions.some((prefix) => model.startsWith(prefix));
  return Object.freeze<Provider>({
    type,
    turns: (model) => [chat, ...(isText(model) ? [text] : []), ...responses],
    services: openaiServices(host.services ?? []),
    credential: bearerCredential,
    ...(host.listsNoModels === true ? {} : { modelList }),
    ...(host.files === true && { files: (path: string) => path }),
    ...(host.realtime === true && {
      realtime: ({ model }) => `/realtime?model=${encodeURIComponent(model)}`,
    }),
  });
}
