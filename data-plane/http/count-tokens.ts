// POST /v1/messages/count_tokens and `:countTokens`. Clients count to decide when a conversation has become too long, so whoever would
// answer first is asked, once and briefly, and where it cannot tell there is an estimate, which a header says it is. Counting costs
// nothing at any vendor: nothing is reserved, no attempt is journaled, and a key's limits are looked at but not drawn upon.
import { build } from '#shared/build.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Address } from '../dialects/dialect.ts';
import { endpointPath } from '../providers/provider.ts';
import { chooseKey } from '../routing/choose-key.ts';
import type { CountService } from '../services/count-tokens/index.ts';
import type { ServiceForm, ServiceRequest } from '../services/service.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import { fetchText } from '../upstream/fetch-text.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { placeRequest } from './place-request.ts';
import type { PathParameters } from './router.ts';

export interface CountOperation {
  readonly service: CountService;
  /** For dialects in which the path names the model. */
  address?(parameters: PathParameters): Address;
}

const ESTIMATED = ['x-signalbox-estimated', 'true'];
const JSON_TYPE = 'application/json';

export async function countTokens(
  { service, address }: CountOperation,
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  parameters: PathParameters,
): Promise<void> {
  const body = await readJsonBody(exchange, context.limits);
  const request = service.read(body, JSON_TYPE, address?.(parameters));
  const { candidates } = placeRequest(context, exchange, admitted, request);
  const deployment = candidates[0]?.deployment;
  const counted = deployment && (await countAt(deployment, service, request, context));
  if (counted === undefined) exchange.answerJson(200, service.estimate(request), ESTIMATED);
  else exchange.answer(200, JSON_TYPE, counted);
}

/** Undefined where the provider does not count, or cannot now. Throws what the caller has to mend. */
async function countAt(
  deployment: Deployment,
  service: CountService,
  request: ServiceRequest,
  context: GatewayContext,
): Promise<Buffer | undefined> {
  const endpoint = deployment.provider.kind.services[service.name];
  const form = endpoint && service.forms[endpoint.form];
  if (!endpoint || !form || !('path' in endpoint)) return undefined;
  const { provider, upstreamModel: model } = deployment;
  const path = endpointPath(endpoint.path, { model, stream: false, settings: provider.settings });
  try {
    return await ask(deployment, `${provider.basePath}${path}`, form, request, context);
  } catch (thrown) {
    const error = SignalboxError.from(thrown);
    // What was translated may have been refused for how we put it.
    if (error.code === 'internal' || (form.isOwn && error.kind.fault === 'caller')) throw error;
    return undefined;
  }
}

async function ask(
  { provider, upstreamModel: model }: Deployment,
  path: string,
  form: ServiceForm,
  request: ServiceRequest,
  { attempts: { upstream, keyUsage, routing, clock }, random }: GatewayContext,
): Promise<Buffer | undefined> {
  const { origin, kind } = provider;
  const choice = chooseKey(provider, { state: routing, usage: keyUsage, nowMs: clock.monotonicMs(), random });
  if (origin === undefined || choice.kind === 'exhausted') return undefined;
  const credential = choice.kind === 'key' ? choice.key.credential : provider.ambient;
  const { body: parts, contentType } = form.encode(request, { model, unsupported: () => undefined });
  const body = Buffer.concat(parts);
  const headers = {
    ...kind.fixedHeaders,
    'content-type': contentType,
    accept: JSON_TYPE,
    'user-agent': build,
    ...credential.headers,
  };
  const { host, port, secure } = origin;
  const authority = port === (secure ? 443 : 80) ? host : `${host}:${port}`;
  const signed = await credential.authorise?.({
    method: 'POST',
    host: authority,
    path,
    headers,
    body: parts,
  });
  const answer = await fetchText(upstream, {
    origin,
    method: 'POST',
    path,
    headers: { ...headers, ...signed },
    body,
    timeoutMs: limits.countTokensMs,
    bytesMax: limits.upstreamErrorBytesMax,
  });
  if (answer.status >= 200 && answer.status <= 299)
    return form.convert(answer.body, request, answer.headers).body;
  throw form.readError(answer.status, answer.headers, answer.body);
}
