// A response repeats the request that it answers, with the defaults of whatever was not said. Clients rely on every field being
// there, so all of them are, as nulls where there is nothing to say.
import { type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { Tool, TurnRequest } from '../../turn/request.ts';
import { encodeFormat, encodeTool, encodeToolChoice } from './tools.ts';

export interface ResponseOpening {
  readonly id: string;
  readonly model: string;
  readonly createdAt: number;
}

/** A response of which nothing but the question is known. */
export function openResponse(
  { id, model, createdAt }: ResponseOpening,
  request: TurnRequest | undefined,
): JsonObject {
  const extras = request?.extras ?? {};
  return {
    id,
    object: 'response',
    created_at: createdAt,
    status: 'in_progress',
    background: false,
    completed_at: null,
    error: null,
    frequency_penalty: request?.frequencyPenalty ?? 0,
    incomplete_details: null,
    instructions: instructionsOf(request),
    max_output_tokens: request?.maxOutputTokens ?? null,
    max_tool_calls: extras.max_tool_calls ?? null,
    model: model || (request?.model ?? ''),
    output: [],
    parallel_tool_calls: request?.parallelToolCalls ?? true,
    presence_penalty: request?.presencePenalty ?? 0,
    previous_response_id: extras.previous_response_id ?? null,
    prompt_cache_key: extras.prompt_cache_key ?? null,
    prompt_cache_retention: extras.prompt_cache_retention ?? null,
    reasoning: {
      effort: request?.reasoningEffort ?? null,
      summary: textOf(objectOf(extras.reasoning).summary) || null,
    },
    safety_identifier: extras.safety_identifier ?? null,
    service_tier: tierOf(request?.serviceTier),
    store: extras.store ?? true,
    temperature: request?.temperature ?? 1,
    text: {
      format: encodeFormat(request?.responseFormat ?? { kind: 'text' }, objectOf(extras.text).format),
      verbosity: request?.verbosity ?? 'medium',
    },
    tool_choice: toolChoiceOf(request),
    tools: request?.tools.map(echoTool) ?? [],
    top_logprobs: request?.logprobs?.top ?? 0,
    top_p: request?.topP ?? 1,
    truncation: extras.truncation ?? 'disabled',
    usage: null,
    ...(typeof extras.user === 'string' ? { user: extras.user } : {}),
    metadata: objectOf(extras.metadata),
  };
}

function instructionsOf(request: TurnRequest | undefined): unknown {
  const own = request?.messages.find(({ extras }) => extras?.isInstructions === true);
  const [part] = own?.parts ?? [];
  return part?.kind === 'text' ? part.text : (request?.extras.instructions ?? null);
}

/** A wish is answered with what was given. */
function tierOf(asked: string | undefined): string {
  return asked === undefined || asked === 'auto' ? 'default' : asked;
}

function toolChoiceOf(request: TurnRequest | undefined): unknown {
  const written = request?.extras.tool_choice;
  if (request?.toolChoice === undefined) return written ?? 'auto';
  return encodeToolChoice(request.toolChoice, written);
}

function echoTool(tool: Tool): JsonObject {
  const written = encodeTool(tool, false);
  if (written.type !== 'function') return written;
  return { description: null, parameters: null, strict: false, ...written };
}
