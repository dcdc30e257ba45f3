// Where OpenAI's API has what is no turn. Hosts that have taken up a part of it have it at the same places.
import type { ServiceName } from '../services/service.ts';
import type { Provider, ServiceEndpoint } from './provider.ts';

type OpenaiService = Exclude<ServiceName, 'count-tokens'>;

/** Below the base URL, without a leading slash. */
const openaiServicePaths: Readonly<Record<OpenaiService, string>> = {
  embeddings: 'embeddings',
  'images-generations': 'images/generations',
  'images-edits': 'images/edits',
  'images-variations': 'images/variations',
  'audio-transcriptions': 'audio/transcriptions',
  'audio-translations': 'audio/translations',
  'audio-speech': 'audio/speech',
  moderations: 'moderations',
  rerank: 'rerank',
};

export function openaiServices(
  names: readonly OpenaiService[],
  pathOf: (operation: string) => ServiceEndpoint['path'] = (operation) => `/${operation}`,
): Provider['services'] {
  return Object.freeze(
    Object.fromEntries(
      names.map((name) => [name, { form: 'openai', path: pathOf(openaiServicePaths[name]) }]),
    ),
  );
}
