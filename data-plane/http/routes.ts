// Every path of the data plane, as a table. A row says who may come in before it says what is there: below /v1 nothing is
// revealed to a stranger, not even which paths exist.
import type { ClientDialectName } from '../dialects/dialect.ts';
import type { KeyHandler, OpenHandler } from './context.ts';
import { countTokens } from './count-tokens.ts';
import { showLive, showReady } from './health.ts';
import { showIndex, showMetrics } from './index-pages.ts';
import { listModels, showModel } from './models.ts';
import { operations, runOperation } from './operations.ts';
import { type Match, Router } from './router.ts';

export type Route = {
  /** As the metrics call it. */
  readonly operation: string;
  /** In whose words errors are told; OpenAI's where nothing is said. */
  readonly dialect?: ClientDialectName;
} & (
  | { readonly access: 'key'; readonly methods: Readonly<Record<string, KeyHandler>> }
  | { readonly access: 'open'; readonly methods: Readonly<Record<string, OpenHandler>> }
);

const live: Route = { operation: 'health', access: 'open', methods: { GET: showLive } };
const ready: Route = { operation: 'health', access: 'open', methods: { GET: showReady } };

const turns = operations.flatMap((operation) => {
  const route: Route = {
    operation: operation.name,
    dialect: operation.dialect,
    access: 'key',
    methods: { POST: runOperation.bind(undefined, operation) },
  };
  return operation.paths.map((path): [string, Route] => [path, route]);
});

const router = new Router<Route>([
  ...turns,
  [
    '/v1/messages/count_tokens',
    {
      operation: 'count_tokens',
      dialect: 'anthropic-messages',
      access: 'key',
      methods: { POST: countTokens },
    },
  ],
  ['/v1/models', { operation: 'models', access: 'key', methods: { GET: listModels } }],
  ['/v1/models/*id', { operation: 'models', access: 'key', methods: { GET: showModel } }],
  ['/health', ready],
  ['/health/live', live],
  ['/livez', live],
  ['/health/ready', ready],
  ['/ready', ready],
  ['/readyz', ready],
  ['/metrics', { operation: 'metrics', access: 'open', methods: { GET: showMetrics } }],
  ['/', { operation: 'index', access: 'open', methods: { GET: showIndex } }],
]);

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
