// The admin API: Fastify put together in one place. What every resource needs (authentication, problem details, request
// ids, limits, metrics, documentation) is here once; the resources themselves are plugins mounted below /api/v1. The
// same application listens on a port of its own or answers requests that another server hands over.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type FastifyInstance, fastify } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Secret } from '#shared/secret.ts';
import { adminKeyCheck } from './authentication.ts';
import { addDocumentation } from './documentation.ts';
import { type HealthReport, healthRoutes } from './health.ts';
import type { ApiPlugin } from './plugin.ts';
import { problemBody, problemHandler, problemMediaType } from './problem.ts';
import { RouteTable } from './route-table.ts';
import { validatorCompiler } from './validation.ts';

export interface ApiOptions {
  /** The resources, each mounted below /api/v1. */
  readonly plugins: readonly ApiPlugin[];
  readonly adminKey: Secret;
  readonly health: () => HealthReport;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface Api {
  /** Answers one request that arrived at another server. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  listen(address: { host: string; port: number }): Promise<{ host: string; port: number }>;
  /** The OpenAPI document. */
  document(): object;
  /** Every documented or hidden route, as `METHOD /path`. */
  routes(): readonly string[];
  close(): Promise<void>;
}

/** How long answers may take to be read when the control plane stops. */
const CLOSE_MS_MAX = 2_000;

/** The id of a deployment joins four names, and each character may be written as three. */
const PATH_PARAMETER_LENGTH_MAX = 4096;

/** Where other gateways have their routes; ours are found there too. */
const unversionedRoutes = /^\/api\/routes(?=[/?]|$)/;

/** A caller's id is kept when it is harmless in a log and a header. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export async function createApi(options: ApiOptions): Promise<Api> {
  const app = fastify({
    logger: false,
    bodyLimit: limits.apiBodyBytesMax,
    requestTimeout: limits.requestBodyMsMax,
    keepAliveTimeout: limits.keepAliveMs,
    http: { maxHeaderSize: limits.requestHeaderBytesMax, headersTimeout: limits.requestHeadersMsMax },
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    routerOptions: { maxParamLength: PATH_PARAMETER_LENGTH_MAX },
    genReqId: requestIdOf,
    rewriteUrl: ({ url = '/' }) => url.replace(unversionedRoutes, '/api/v1/routes'),
    clientErrorHandler: answerUnparsable,
    frameworkErrors: problemHandler(options.log) as never,
  });
  app.addContentTypeParser(
    'application/merge-patch+json',
    { parseAs: 'string' },
    app.getDefaultJsonParser('error', 'error'),
  );
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(problemHandler(options.log));
  // The binding is made per request; `null` only reserves the property.
  app.decorateRequest('actor', null as never);

  const routeTable = new RouteTable();
  app.addHook('onRoute', (route) => routeTable.add(route.method, route.url));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onRequest', authenticationHook(adminKeyCheck(options.adminKey)));
  countRequests(app, options.metrics);
  app.setNotFoundHandler((request) => {
    throw routeTable.explainMissing(request.method, request.url);
  });

  await app.register(healthRoutes(options.health, options.metrics));
  await addDocumentation(app);
  for (const plugin of options.plugins) await app.register(plugin, { prefix: '/api/v1' });
  await app.ready();

  return {
    handle: (request, response) => app.routing(request, response),
    async listen({ host, port }) {
      await app.listen({ host, port });
      const address = app.server.address() as AddressInfo;
      return { host: address.address, port: address.port };
    },
    document: () => app.swagger(),
    routes: () => routeTable.all(),
    async close() {
      // A caller that does not read its answer must not keep the control plane from stopping.
      const force = setTimeout(() => app.server.closeAllConnections(), CLOSE_MS_MAX);
      await app.close();
      clearTimeout(force);
    },
  };
}

function requestIdOf(request: { headers: IncomingMessage['headers'] }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : prefixedId('req');
}

/** Unknown paths outside the API tell nothing, so they need no key; unknown paths inside it do. */
function authenticationHook(check: ReturnType<typeof adminKeyCheck>): ReturnType<typeof adminKeyCheck> {
  return async function authenticate(request) {
    if (request.is404 && !request.url.startsWith('/api/')) return;
    await check(request);
  };
}

function countRequests(app: FastifyInstance, metrics: Metrics): void {
  const requests = metrics.counter('signalbox_api_requests_total');
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
    requests.inc({ route, status: String(reply.statusCode) });
  });
}

const unparsable: Readonly<Record<string, { code: ErrorCode; message: string }>> = {
  HPE_HEADER_OVERFLOW: {
    code: 'headers_too_large',
    message: `The request headers are larger than ${limits.requestHeaderBytesMax} bytes.`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', message: 'The request did not arrive in time.' },
};

/** Bytes that never became a request: there is no reply object, so the answer is written by hand. */
function answerUnparsable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { code, message } = unparsable[error.code ?? ''] ?? {
    code: 'invalid_request' as const,
    message: 'This is not an HTTP/1.1 request.',
  };
  const problem = new SignalboxError(code, message);
  const body = JSON.stringify(problemBody(problem, prefixedId('req')));
  socket.end(
    `HTTP/1.1 ${problem.kind.status} Error\r\ncontent-type: ${problemMediaType}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
