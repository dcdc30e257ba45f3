// Health as load balancers and orchestrators ask for it, under every name they use. Alive: the process answers. Ready: it
// has loaded a configuration and is not stopping. A database that is down does not make a control plane unready, because
// data planes keep being served from the loaded configuration; the body says so, and API calls answer 503 by themselves.
import type { FastifyPluginAsync } from 'fastify';
import type { Metrics } from '#shared/metrics.ts';

export interface HealthReport {
  readonly status: 'ready' | 'starting' | 'stopping';
  /** The newest configuration revision that is loaded here. */
  readonly revision: number | null;
  readonly database: 'up' | 'down';
}

const livePaths = ['/livez', '/health/live'];
const readyPaths = ['/readyz', '/ready', '/health/ready', '/health'];
const hidden = { config: { public: true }, schema: { hide: true } } as const;

export function healthRoutes(report: () => HealthReport, metrics: Metrics): FastifyPluginAsync {
  return async function health(app) {
    for (const path of livePaths) app.get(path, hidden, () => ({ status: 'alive' }));
    for (const path of readyPaths) {
      app.get(path, hidden, (_request, reply) => {
        const now = report();
        return reply.code(now.status === 'ready' ? 200 : 503).send(now);
      });
    }
    app.get('/metrics', hidden, async (_request, reply) => {
      reply.type(metrics.registry.contentType);
      return metrics.render();
    });
  };
}
