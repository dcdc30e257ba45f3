// Every path of the data plane, as a table. A row says who may come in before it says what is there: below /v1 nothing is
// revealed to a stranger, not even which paths exist.
import type { IncomingHttpHeaders } from 'node:http';
import type { ClientDialectName } from '../dialects/dialect.ts';
import { geminiCount, messagesCount } from '../services/count-tokens/index.ts';
import type { KeyHandler, OpenHandler } from './context.ts';
import { countTokens } from './count-tokens.ts';
import { cancelBatch, createBatch, listBatches, showBatch } from './files/batches.ts';
import { deleteFile, listFiles, showContent, showFile, uploadFile } from './files/files.ts';
import { showLive, showReady } from './health.ts';
import { showIndex, showMetrics } from './index-pages.ts';
import { wholeAnswer } from './model-address.ts';
import { listModels, modelsDialect, showModel } from './models.ts';
import { geminiPaths, type Operation, operations, runOperation } from './operations.ts';
import { cancelResponse, deleteResponse, listInputItems, showResponse } from './responses.ts';
import { type Match, Router } from './router.ts';
import { runService, type ServiceOperation, serviceOperations } from './services.ts';
import { openRealtime } from './upgrade.ts';

export type Route = {
  /** As the metrics call it. */
  readonly operation: string;
  /** In whose words errors are told; OpenAI's where nothing is said. Where clients of several share a path, their heads tell. */
  readonly dialect?: ClientDialectName | ((headers: IncomingHttpHeaders) => ClientDialectName);
} & (
  | { readonly access: 'key'; readonly methods: Readonly<Record<string, KeyHandler>> }
  | { readonly access: 'open'; readonly methods: Readonly<Record<string, OpenHandler>> }
);

const live: Route = { operation: 'health', access: 'open', methods: { GET: showLive } };
const ready: Route = { operation: 'health', access: 'open', methods: { GET: showReady } };

/** Everything that is asked of a model: with POST, at each of its paths. */
function asked({ name, dialect, paths }: Operation | ServiceOperation, run: KeyHandler): [string, Route][] {
  const route: Route = { operation: name, dialect, access: 'key', methods: { POST: run } };
  return paths.map((path) => [path, route]);
}

const turns = operations.flatMap((operation) => asked(operation, runOperation.bind(undefined, operation)));
const services = serviceOperations.flatMap((operation) =>
  asked(operation, runService.bind(undefined, operation)),
);

const keptResponses = ['/v1/responses', '/responses'].flatMap((path): [string, Route][] => {
  const route = { operation: 'responses', dialect: 'openai-responses', access: 'key' } as const;
  return [
    [`${path}/:id`, { ...route, methods: { GET: showResponse, DELETE: deleteResponse } }],
    [`${path}/:id/input_items`, { ...route, methods: { GET: listInputItems } }],
    [`${path}/:id/cancel`, { ...route, methods: { POST: cancelResponse } }],
  ];
});

const geminiModels = { operation: 'models', dialect: 'gemini', access: 'key' } as const;

const REALTIME_PATH = '/v1/realtime';

/** Where a connection may become something else; everywhere else such a request is answered as if it had not asked. */
export function takesUpgrades(path: string): boolean {
  return path === REALTIME_PATH;
}

const table: readonly (readonly [path: string, route: Route])[] = [
  ...turns,
  ...keptResponses,
  ...services,
  [
    '/v1/messages/count_tokens',
    {
      operation: 'count_tokens',
      dialect: 'anthropic-messages',
      access: 'key',
      methods: { POST: countTokens.bind(undefined, { service: messagesCount }) },
    },
  ],
  ...geminiPaths('countTokens').map((path): [string, Route] => [
    path,
    {
      operation: 'count_tokens',
      dialect: 'gemini',
      access: 'key',
      methods: { POST: countTokens.bind(undefined, { service: geminiCount, address: wholeAnswer }) },
    },
  ]),
  [
    '/v1/models',
    { operation: 'models', dialect: modelsDialect, access: 'key', methods: { GET: listModels } },
  ],
  [
    '/v1/models/*id',
    { operation: 'models', dialect: modelsDialect, access: 'key', methods: { GET: showModel } },
  ],
  ['/v1beta/models', { ...geminiModels, methods: { GET: listModels } }],
  ['/v1beta/models/*id', { ...geminiModels, methods: { GET: showModel } }],
  ['/v1/files', { operation: 'files', access: 'key', methods: { GET: listFiles, POST: uploadFile } }],
  ['/v1/files/:id', { operation: 'files', access: 'key', methods: { GET: showFile, DELETE: deleteFile } }],
  ['/v1/files/:id/content', { operation: 'files', access: 'key', methods: { GET: showContent } }],
  ['/v1/batches', { operation: 'batches', access: 'key', methods: { GET: listBatches, POST: createBatch } }],
  ['/v1/batches/:id', { operation: 'batches', access: 'key', methods: { GET: showBatch } }],
  ['/v1/batches/:id/cancel', { operation: 'batches', access: 'key', methods: { POST: cancelBatch } }],
  [REALTIME_PATH, { operation: 'realtime', access: 'key', methods: { GET: openRealtime } }],
  ['/health', ready],
  ['/health/live', live],
  ['/livez', live],
  ['/health/ready', ready],
  ['/ready', ready],
  ['/readyz', ready],
  ['/metrics', { operation: 'metrics', access: 'open', methods: { GET: showMetrics } }],
  ['/', { operation: 'index', access: 'open', methods: { GET: showIndex } }],
];

const router = new Router<Route>(table);

/** As they are documented. */
export const routePaths: readonly string[] = table.map(([path]) => path);

const nothingForKeys: Route = { operation: 'unknown', access: 'key', methods: {} };
const nothing: Route = { operation: 'unknown', access: 'open', methods: {} };

/** Below these, whether there is anything is told to keys only. */
const keyPrefixes = ['/v1', '/v1beta'] as const;

/** Always a route: where nothing is, one without methods. */
export function routeFor(path: string): Match<Route> {
  const found = router.find(path);
  if (found) return found;
  return { target: isBelow(path, keyPrefixes) ? nothingForKeys : nothing, parameters: {} };
}

/** What an all-in-one instance serves beside the data plane. */
const adminPrefixes = ['/api', '/swagger', '/docs'] as const;

export function isAdminPath(path: string): boolean {
  return isBelow(path, adminPrefixes);
}

function isBelow(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
}

/** The methods a route allows, as the header `Allow` lists them. */
export function allowed(route: Route): string {
  const methods = Object.keys(route.methods);
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
}
