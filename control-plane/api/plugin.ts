// The shape every API resource has: one file `api/<resource>.ts` exports a factory that takes what the resource needs and
// returns a plugin with its routes. The server mounts all of them below /api/v1 and gives each one, without being asked:
// authentication, problem details, request ids, metrics and its place in the OpenAPI document.
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { Actor } from '../domain/actor.ts';

export type ApiPlugin = FastifyPluginAsyncZod;

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, for the audit log. Set before any handler of a route that is not public runs. */
    actor: Actor;
  }
  interface FastifyContextConfig {
    /** Answered without a key. Everything else needs one. */
    public?: boolean;
  }
}

/** The tags of the OpenAPI document, in the order in which people read them. */
export const apiTags = [
  { name: 'Providers', description: 'Accounts at vendors: type, base URL, keys.' },
  { name: 'Models', description: 'Public model names and the deployments behind them.' },
  { name: 'Aliases', description: 'Other names for models and routes.' },
  {
    name: 'Routes',
    description:
      'Virtual models with a strategy over models and a fallback chain. `/api/routes` is the same as `/api/v1/routes`.',
  },
  { name: 'Keys', description: 'API keys that applications present.' },
  { name: 'Configuration', description: 'Revisions, the configuration file, and who changed what.' },
  { name: 'Nodes', description: 'Data planes and what they run.' },
  { name: 'Usage', description: 'What was asked, answered and spent.' },
] as const;
