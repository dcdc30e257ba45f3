// How a request for a service goes out to an upstream and how the answer comes back. The service knows the forms in which it can
// be put, the provider which of them it takes and where; here the two are joined.
import { SignalboxError } from '#shared/errors.ts';
import { endpointPath, type LocalService, type ServiceEndpoint } from '../providers/provider.ts';
import type { Service, ServiceForm, ServiceRequest } from '../services/service.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { LocalPassage, Passage, PassageStream } from './task.ts';
import { collectUnsupported } from './unsupported.ts';

/** A client's request for a service. */
export interface ServiceAsked {
  readonly service: Service;
  readonly request: ServiceRequest;
  /** Whether the client would rather do without a field than be refused. */
  readonly dropsUnsupported: boolean;
}

const EVENTS = 'text/event-stream';

/** Throws `unsupported_by_provider` or `unsupported_field` when this deployment cannot be asked. */
export function servicePassage(asked: ServiceAsked, deployment: Deployment): Passage {
  const { service, request } = asked;
  const { provider, upstreamModel: model } = deployment;
  const { endpoint, form } = formOf(service, deployment);
  const { dropped, unsupported } = collectUnsupported({}, asked.dropsUnsupported);
  const { body, contentType } = form.encode(request, { model, unsupported });
  if ('answer' in endpoint) return localService(endpoint, form, request, body, dropped);
  return {
    kind: 'upstream',
    isTranslated: !form.isOwn,
    dropped,
    method: 'POST',
    path: endpointPath(endpoint.path, { model, stream: request.stream, settings: provider.settings }),
    contentType,
    accept: request.stream ? EVENTS : (service.accept ?? 'application/json'),
    forwardedHeaders: {},
    body,
    stream: streamOf(form, request),
    convert: (answer, headers) => form.convert(answer, request, headers),
    inspect: (answer) => form.convert(answer, request, {}).report,
    readError: form.readError,
  };
}

function formOf(
  service: Service,
  { provider }: Deployment,
): { endpoint: ServiceEndpoint | LocalService; form: ServiceForm } {
  const endpoint = provider.kind.services[service.name];
  const form = endpoint && service.forms[endpoint.form];
  if (endpoint && form) return { endpoint, form };
  throw new SignalboxError(
    'unsupported_by_provider',
    `The provider "${provider.name}", of type "${provider.kind.type}", does not offer ${service.name}. Ask for a model of another provider.`,
    { param: 'model' },
  );
}

function streamOf(form: ServiceForm, request: ServiceRequest): PassageStream | undefined {
  const tap = form.tap?.(request);
  if (tap === undefined) return undefined;
  // Some models know no events and answer as if none had been asked for.
  return request.stream
    ? { expects: EVENTS, mayBeWhole: true, contentType: '', tap }
    : { expects: '', contentType: '', tap };
}

function localService(
  { answer }: LocalService,
  form: ServiceForm,
  request: ServiceRequest,
  body: readonly Buffer[],
  dropped: readonly string[],
): LocalPassage {
  return {
    kind: 'local',
    dropped,
    contentType: 'application/json',
    async *run() {
      const { report, body: bytes } = form.convert(answer(Buffer.concat(body)), request, {});
      yield { bytes, report, isLast: true };
    },
  };
}
