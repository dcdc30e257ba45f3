// POST /v1/chat/completions: a request's life, from its body to the last attempt.
import { SignalboxError } from '#shared/errors.ts';
import { openaiChat } from '../dialects/openai-chat/index.ts';
import { admitRequest } from '../policy/admission.ts';
import { planFor } from '../routing/candidates.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { answerTurn } from './failover.ts';

/**
 * Client headers that mean something to the provider and nothing to our account there. Organization and project are the
 * operator's to choose, with the key; credentials, hosts and hop-by-hop headers never pass.
 */
const forwardedNames = ['openai-beta'] as const;

export async function chatCompletions(
  context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
): Promise<void> {
  const body = await readJsonBody(exchange, context.limits);
  const head = openaiChat.peek(body);
  exchange.requestedModel = head.model;
  admitRequest({ principal, model: head.model });
  const plan = planFor(snapshot, head.model, context);
  if (!plan) throw unknownModel(head.model);
  const turn = {
    requestId: exchange.requestId,
    keyId: principal.keyId,
    requestedModel: head.model,
    route: plan.route,
    operation: openaiChat.name,
    dialect: openaiChat,
    head,
    forwardedHeaders: forwardedHeaders(exchange),
  };
  await answerTurn(context, exchange, turn, plan.candidates);
}

function forwardedHeaders({ request }: Exchange): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of forwardedNames) {
    const value = request.headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}

function unknownModel(model: string): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The model "${model}" does not exist here. GET /v1/models lists those that do.`,
    { param: 'model' },
  );
}
