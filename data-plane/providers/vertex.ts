// Google's Vertex AI: the models of several makers below one project, each in the dialect of its maker. Where it lives follows from the
// region. A plain API key without a project is what Google calls express mode, in which Gemini has paths of its own.
import type { ProviderType } from '#shared/provider-types.ts';
import { vertexEmbeddingVerb } from '../services/embeddings/vertex.ts';
import type { CredentialTools } from './credential.ts';
import { googleCredential } from './google/credential.ts';
import { type GoogleHosts, googleHosts } from './google/token.ts';
import { readModelNames } from './model-lists.ts';
import type { EndpointPath, PathInput, Provider, ProviderSettings, TurnEndpoint } from './provider.ts';

/** Served from several regions at once. */
const multiRegions: readonly string[] = ['us', 'eu'];
const DEFAULT_REGION = 'global';
/** Part of a host's name, so that nothing but a region may come through. */
const REGION = /^[a-z][a-z0-9-]*$/;

/** Undefined for a region that cannot be one. */
export function vertexAddress({ region = DEFAULT_REGION }: ProviderSettings): string | undefined {
  if (!REGION.test(region)) return undefined;
  if (region === 'global') return 'https://aiplatform.googleapis.com';
  if (multiRegions.includes(region)) return `https://aiplatform.${region}.rep.googleapis.com`;
  return `https://${region}-aiplatform.googleapis.com`;
}

interface ModelKind {
  readonly names: RegExp;
  readonly turns: readonly TurnEndpoint[];
}

/**
 * What Claude can be asked for there beyond the plain API. A value that Vertex does not know is refused together with the whole
 * request, and clients made for Anthropic's own API send many.
 */
const claudeBetas: ReadonlyMap<string, string> = new Map([
  ...[
    'compact-2026-01-12',
    'computer-use-2025-01-24',
    'computer-use-2025-11-24',
    'context-1m-2025-08-07',
    'context-management-2025-06-27',
    'interleaved-thinking-2025-05-14',
    'thinking-binding-controls-2026-08-01',
    'thinking-display-updates-2026-08-18',
    'tool-search-tool-2025-10-19',
    'web-search-2025-03-05',
  ].map((name): [string, string] => [name, name]),
  // The same thing under the name that it has at Anthropic.
  ['advanced-tool-use-2025-11-20', 'tool-search-tool-2025-10-19'],
]);

function keepClaudeHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const asked = (headers['anthropic-beta'] ?? '').split(',').map((name) => name.trim());
  const known = new Set(asked.flatMap((name) => claudeBetas.get(name) ?? []));
  return known.size === 0 ? {} : { 'anthropic-beta': [...known].join(',') };
}

/** The first row that fits a model's name decides. */
const kinds: readonly ModelKind[] = [
  {
    names: /^claude-/,
    turns: [
      {
        dialect: 'anthropic-messages',
        path: publisherPath('anthropic', ({ stream }) => (stream ? 'streamRawPredict' : 'rawPredict')),
        omitsModel: true,
        adds: { anthropic_version: 'vertex-2023-10-16' },
        keepHeaders: keepClaudeHeaders,
      },
    ],
  },
  {
    // `maker/model`: served by Google in OpenAI's words, whoever made it.
    names: /\//,
    turns: [
      {
        dialect: 'openai-chat',
        path: ({ settings }) => `/v1/${locationOf(settings)}/endpoints/openapi/chat/completions`,
      },
    ],
  },
  {
    names: /./,
    turns: [
      {
        dialect: 'gemini',
        opensUrls: true,
        omitsCallIds: true,
        path: publisherPath('google', ({ stream }) =>
          stream ? 'streamGenerateContent?alt=sse' : 'generateContent',
        ),
      },
    ],
  },
];

function publisherPath(publisher: string, verb: (input: PathInput) => string): EndpointPath {
  return (input) => {
    const { model, settings } = input;
    const parent = settings.project === undefined ? '' : `${locationOf(settings)}/`;
    return `/v1/${parent}publishers/${publisher}/models/${segment(model)}:${verb(input)}`;
  };
}

function locationOf({ project = '', region = DEFAULT_REGION }: ProviderSettings): string {
  return `projects/${segment(project)}/locations/${region}`;
}

/** Versions are written `model@version`, and some projects `domain:project`; both characters may stand in a path. */
function segment(name: string): string {
  return encodeURIComponent(name).replaceAll('%40', '@').replaceAll('%3A', ':');
}

/** `hosts`: for tests, which have no Google. */
export function vertex(
  type: string,
  _row: ProviderType,
  tools: CredentialTools,
  hosts: GoogleHosts = googleHosts,
): Provider {
  return Object.freeze<Provider>({
    type,
    turns: (upstreamModel) => kinds.find(({ names }) => names.test(upstreamModel))?.turns ?? [],
    services: {
      embeddings: {
        form: 'vertex',
        path: publisherPath('google', ({ model }) => vertexEmbeddingVerb(model)),
      },
    },
    baseUrl: vertexAddress,
    credential: (secret) => googleCredential(secret, tools, hosts),
    modelList: {
      path: '/v1beta1/publishers/google/models?pageSize=1000',
      read: readModelNames('publisherModels'),
    },
  });
}
