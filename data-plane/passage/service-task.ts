// A request for a service as a task.
import { sse } from '../framing/sse.ts';
import { type ServiceAsked, servicePassage } from './service-passage.ts';
import type { Task } from './task.ts';
import type { TaskIdentity } from './turn-task.ts';

/** `renderError`: as the client's language tells errors. */
export function serviceTask(
  identity: TaskIdentity,
  asked: ServiceAsked,
  renderError: (error: Parameters<Task['streamError']>[0]) => Record<string, unknown>,
): Task {
  const { service, request } = asked;
  return {
    ...identity,
    operation: service.name,
    isStreamed: request.stream,
    passageTo: (deployment) => servicePassage(asked, deployment),
    // Sound has no words for an error, so it breaks off.
    streamError: (error) =>
      request.stream ? sse.write([{ event: 'error', data: JSON.stringify(renderError(error)) }]) : undefined,
    copy: () => ({
      ...serviceTask(identity, { ...asked, dropsUnsupported: true }, renderError),
      isShadow: true,
    }),
  };
}
