// Every path of the data plane, as a table. A row says who may come in before it says what is there: below /v1 nothing is
// revealed to a stranger, not even which paths exist.
import { chatCompletions } from './chat-completions.ts';
import type { KeyHandler, OpenHandler } from './context.ts';
import { showLive, showReady } from './health.ts';
import { showIndex, showMetrics } from './index-pages.ts';
import { listModels, MODEL_PATH, showModel } from './models.ts';

export type Route = {
  /** As the metrics call it. */
  readonly operation: string;
} & (
  | { readonly access: 'key'; readonly methods: Readonly<Record<string, KeyHandler>> }
  | { readonly access: 'open'; readonly methods: Readonly<Record<string, OpenHandler>> }
);

const chat: Route = { operation: 'chat', access: 'key', methods: { POST: chatCompletions } };
const live: Route = { operation: 'health', access: 'open', methods: { GET: showLive } };
const ready: Route = { operation: 'health', access: 'open', methods: { GET: showReady } };

export const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/v1/chat/completions', chat],
  ['/chat/completions', chat],
  ['/v1/models', { operation: 'models', access: 'key', methods: { GET: listModels } }],
  ['/health', ready],
  ['/health/live', live],
  ['/livez', live],
  ['/health/ready', ready],
  ['/ready', ready],
  ['/readyz', ready],
  ['/metrics', { operation: 'metrics', access: 'open', methods: { GET: showMetrics } }],
  ['/', { operation: 'index', access: 'open', methods: { GET: showIndex } }],
]);

const oneModel: Route = { operation: 'models', access: 'key', methods: { GET: showModel } };
const nothingForKeys: Route = { operation: 'unknown', access: 'key', methods: {} };
const nothing: Route = { operation: 'unknown', access: 'open', methods: {} };

/** Always a route: where nothing is, one without methods. */
export function routeFor(path: string): Route {
  const exact = routes.get(path);
  if (exact) return exact;
  if (path.startsWith(MODEL_PATH) && path.length > MODEL_PATH.length) return oneModel;
  return path === '/v1' || path.startsWith('/v1/') ? nothingForKeys : nothing;
}

/** What an all-in-one instance serves beside the data plane. */
const adminPrefixes = ['/api', '/swagger', '/docs'] as const;

export function isAdminPath(path: string): boolean {
  return adminPrefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
}

/** The methods a route allows, as the header `Allow` lists them. */
export function allowed(route: Route): string {
  const methods = Object.keys(route.methods);
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
}
