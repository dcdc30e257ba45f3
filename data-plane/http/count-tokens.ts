// POST /v1/messages/count_tokens: an estimate made here, for whatever model is named. Clients use it to decide when a
// conversation has become too long; asking a provider would cost them a round trip for what need not be exact.
import { estimateTokens } from '../dialects/anthropic-messages/estimate.ts';
import { anthropicMessages } from '../dialects/anthropic-messages/index.ts';
import { admitRequest } from '../policy/admission.ts';
import { planFor } from '../routing/candidates.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { unknownModel } from './place-request.ts';

export async function countTokens(
  context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
): Promise<void> {
  const request = anthropicMessages.decode(
    anthropicMessages.peek(await readJsonBody(exchange, context.limits)),
  );
  exchange.requestedModel = request.model;
  admitRequest({ principal, model: request.model });
  if (!planFor(snapshot, request.model, context)) throw unknownModel(request.model);
  exchange.answerJson(200, { input_tokens: estimateTokens(request) });
}
