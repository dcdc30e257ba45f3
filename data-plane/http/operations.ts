// What can be asked of a model, as a table: a path's dialect decides everything that is said to the client. Below it, a
// request's life from its body to the last attempt, the same for every row.
import { SignalboxError } from '#shared/errors.ts';
import type { DialectName } from '../dialects/dialect.ts';
import { dialectNamed } from '../dialects/registry.ts';
import { admitRequest } from '../policy/admission.ts';
import { planFor } from '../routing/candidates.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { answerTurn } from './failover.ts';

export interface Operation {
  /** As the metrics call it. */
  readonly name: string;
  readonly paths: readonly string[];
  readonly dialect: DialectName;
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
  { snapshot, principal }: Admitted,
): Promise<void> {
  const dialect = dialectNamed(operation.dialect);
  const body = await readJsonBody(exchange, context.limits);
  const head = dialect.peek(body);
  exchange.requestedModel = head.model;
  admitRequest({ principal, model: head.model });
  const plan = planFor(snapshot, head.model, context);
  if (!plan) throw unknownModel(head.model);
  const turn = {
    requestId: exchange.requestId,
    keyId: principal.keyId,
    requestedModel: head.model,
    route: plan.route,
    operation: dialect.name,
    dialect,
    head,
    forwardedHeaders: forwardedHeaders(operation, exchange),
  };
  await answerTurn(context, exchange, turn, plan.candidates);
}

function forwardedHeaders(operation: Operation, { request }: Exchange): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of operation.forwardedHeaders) {
    const value = request.headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}

export function unknownModel(model: string): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The model "${model}" does not exist here. GET /v1/models lists those that do.`,
    { param: 'model' },
  );
}
