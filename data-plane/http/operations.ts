// What can be asked of a model in conversation, as a table: a path's dialect decides everything that is said to the client.
// Below it, a request's life from its body to the last attempt, the same for every row.
import type { Address, ClientDialectName } from '../dialects/dialect.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import { turnTask } from '../passage/turn-task.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { answerTask } from './failover.ts';
import { placeRequest } from './place-request.ts';
import type { PathParameters } from './router.ts';

export interface Operation {
  /** As the metrics call it. */
  readonly name: string;
  /** Segments that begin with a colon stand for anything. */
  readonly paths: readonly string[];
  readonly dialect: ClientDialectName;
  /** For dialects in which the path names the model. */
  address?(parameters: PathParameters): Address;
  /**
   * Client headers that mean something to a provider of the same dialect and nothing to our account there. Organization and
   * project are the operator's to choose, with the key; credentials, hosts and hop-by-hop headers never pass.
   */
  readonly forwardedHeaders: readonly string[];
}

export const operations: readonly Operation[] = [
  {
    name: 'chat',
    paths: ['/v1/chat/completions', '/chat/completions'],
    dialect: 'openai-chat',
    forwardedHeaders: ['openai-beta'],
  },
  {
    name: 'messages',
    paths: ['/v1/messages'],
    dialect: 'anthropic-messages',
    forwardedHeaders: ['anthropic-beta', 'anthropic-version'],
  },
];

export async function runOperation(
  operation: Operation,
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  parameters: PathParameters,
): Promise<void> {
  const dialect = clientDialectNamed(operation.dialect);
  const body = await readJsonBody(exchange, context.limits);
  const head = dialect.peek(body, operation.address?.(parameters));
  const placed = placeRequest(context, exchange, admitted, head);
  const { clock } = context.attempts;
  const task = turnTask(placed.identity, {
    dialect,
    head,
    forwardedHeaders: forwardedHeaders(operation.forwardedHeaders, exchange),
    dropsUnsupported: placed.options.dropsUnsupported,
    clock,
  });
  await answerTask(context, exchange, task, placed.candidates);
}

export function forwardedHeaders(names: readonly string[], { request }: Exchange): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of names) {
    const value = request.headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}
