// What can be asked of a model in conversation, as a table: a path's dialect decides everything that is said to the client.
// Below it, a request's life from its body to the last attempt, the same for every row.
import type { Address, ClientDialect, ClientDialectName } from '../dialects/dialect.ts';
import { gemini, geminiList } from '../dialects/gemini/index.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import { turnWhenAsked } from '../passage/readable-turn.ts';
import { recoveryFor } from '../passage/recovery.ts';
import type { Task } from '../passage/task.ts';
import type { TurnAsked } from '../passage/turn-passage.ts';
import { type TaskIdentity, turnTask } from '../passage/turn-task.ts';
import { answerTask } from './asking/failover.ts';
import { hedgeFactsOf } from './asking/hedge-facts.ts';
import { readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { queryOf } from './headers.ts';
import { streamedAnswer, wholeAnswer } from './model-address.ts';
import { placeRequest } from './place-request.ts';
import { responsesTask } from './responses-task.ts';
import type { PathParameters } from './router.ts';

export interface Operation {
  /** As the metrics call it. */
  readonly name: string;
  /** Segments that begin with a colon stand for anything. */
  readonly paths: readonly string[];
  readonly dialect: ClientDialectName;
  /** For dialects in which the path names the model. */
  address?(parameters: PathParameters): Address;
  /** For dialects in which streams come in more than one form: the one that is asked for in the query. */
  variant?(query: URLSearchParams): ClientDialect;
  /**
   * Client headers that mean something to a provider of the same dialect and nothing to our account there. Organization and
   * project are the operator's to choose, with the key; credentials, hosts and hop-by-hop headers never pass.
   */
  readonly forwardedHeaders: readonly string[];
  /** For what needs more than the request itself, such as answers that were kept. */
  task?(context: GatewayContext, identity: TaskIdentity, asked: TurnAsked): Promise<Task>;
}

export const operations: readonly Operation[] = [
  {
    name: 'chat',
    paths: ['/v1/chat/completions', '/chat/completions'],
    dialect: 'openai-chat',
    forwardedHeaders: ['openai-beta'],
  },
  {
    name: 'completions',
    paths: ['/v1/completions', '/completions'],
    dialect: 'openai-completions',
    forwardedHeaders: ['openai-beta'],
  },
  {
    name: 'responses',
    paths: ['/v1/responses', '/responses'],
    dialect: 'openai-responses',
    forwardedHeaders: ['openai-beta'],
    task: ({ responses }, identity, asked) => responsesTask(responses, identity, asked),
  },
  {
    name: 'messages',
    paths: ['/v1/messages'],
    dialect: 'anthropic-messages',
    forwardedHeaders: ['anthropic-beta', 'anthropic-version'],
  },
  {
    name: 'generate_content',
    paths: geminiPaths('generateContent'),
    dialect: 'gemini',
    address: wholeAnswer,
    forwardedHeaders: [],
  },
  {
    name: 'stream_generate_content',
    paths: geminiPaths('streamGenerateContent'),
    dialect: 'gemini',
    address: streamedAnswer,
    variant: (query) => (query.get('alt') === 'sse' ? gemini : geminiList),
    forwardedHeaders: [],
  },
];

/** Where Google's clients ask, of whatever version they are. */
export function geminiPaths(verb: string): readonly string[] {
  return ['/v1beta', '/v1'].map((version) => `${version}/*model:${verb}`);
}

export async function runOperation(
  operation: Operation,
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  parameters: PathParameters,
): Promise<void> {
  const query = queryOf(exchange.request.url ?? '');
  const dialect = operation.variant?.(query) ?? clientDialectNamed(operation.dialect);
  const body = await readJsonBody(exchange, context.limits);
  const head = dialect.peek(body, operation.address?.(parameters));
  const turn = turnWhenAsked(dialect, head);
  const placed = placeRequest(context, exchange, admitted, { ...head, turn });
  const { clock } = context.attempts;
  const asked: TurnAsked = {
    dialect,
    head,
    forwardedHeaders: forwardedHeaders(operation.forwardedHeaders, exchange),
    dropsUnsupported: placed.options.dropsUnsupported,
    clock,
    // Answers that are kept are kept as one provider gave them.
    recovery:
      placed.failover.continuesStreams && !operation.task ? recoveryFor({ dialect, head, clock }) : undefined,
  };
  const task = operation.task
    ? await operation.task(context, placed.identity, asked)
    : turnTask(placed.identity, asked);
  context.mirrors.follow(exchange, task, placed.copies);
  // Answers that are kept are made once.
  const hedgeFacts = operation.task ? undefined : () => hedgeFactsOf(turn(), head.stream);
  await answerTask(context, exchange, task, { ...placed, hedgeFacts });
}

export function forwardedHeaders(names: readonly string[], { request }: Exchange): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of names) {
    const value = request.headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}
