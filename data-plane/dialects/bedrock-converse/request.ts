// A canonical request in the words of Converse. The model stands in the path. What the API has no word for travels in
// additionalModelRequestFields, in the words of the model's maker, or is refused by name.
import { defined, type JsonObject } from '../../json/values.ts';
import type { TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget } from '../dialect.ts';
import { refuse } from '../unknown-fields.ts';
import { encodeConversation, type Writing } from './conversation.ts';
import { DocumentNames } from './media.ts';
import { modelNamed } from './models.ts';
import { toolNames } from './names.ts';
import { type EncodedReasoning, encodeReasoning } from './reasoning.ts';
import { encodeTools } from './tools.ts';

const TEMPERATURE_MAX = 1;
/** Claude thinks at its own temperature. */
const THINKING_TEMPERATURE = 1;
const THINKING_TOP_P_MIN = 0.95;

export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const unsupported = target?.unsupported ?? refuse;
  const model = modelNamed(request.model);
  const writing: Writing = {
    model,
    names: toolNames(request, model),
    documentNames: new DocumentNames(),
    unsupported,
  };
  refuseUnsupported(request, writing);
  const reasoning = encodeReasoning(request, writing, target?.leftOut);
  const { toolConfig, additional } = encodeTools(request, writing, target?.leftOut);
  const { system, messages } = encodeConversation(request.messages, writing);
  const inferenceConfig = encodeInference(request, reasoning, writing);
  const fields = {
    ...(request.topK === undefined ? {} : model.topK?.(request.topK)),
    ...reasoning.additional,
    ...additional,
  };
  return defined({
    messages,
    system: system.length === 0 ? undefined : system,
    inferenceConfig: unlessEmpty(inferenceConfig),
    toolConfig,
    additionalModelRequestFields: unlessEmpty(fields),
    additionalModelResponseFieldPaths: stopSequencePath(request, writing),
    outputConfig: encodeFormat(request, writing),
    serviceTier: encodeTier(request.serviceTier),
    requestMetadata: encodeEndUser(request.endUser),
  });
}

function refuseUnsupported(request: TurnRequest, { model, unsupported }: Writing): void {
  const { choices, seed, presencePenalty, frequencyPenalty, logprobs, verbosity, topK, responseFormat } =
    request;
  if ((choices ?? 1) !== 1) unsupported('choices', 'Bedrock gives one answer at a time.');
  if (seed !== undefined) unsupported('seed', 'Bedrock has no seed.');
  if (presencePenalty) unsupported('presencePenalty', 'Bedrock has no penalties.');
  if (frequencyPenalty) unsupported('frequencyPenalty', 'Bedrock has no penalties.');
  if (logprobs !== undefined) unsupported('logprobs', 'Bedrock tells no likelihoods.');
  if (verbosity !== undefined && verbosity !== 'medium') {
    unsupported('verbosity', 'Bedrock has no such setting. Say it in the prompt.');
  }
  if (topK !== undefined && model.topK === undefined) {
    unsupported('topK', 'this model has no such setting at Bedrock.');
  }
  if (responseFormat?.kind === 'json') {
    unsupported('responseFormat', 'Bedrock takes a JSON schema. Send the type json_schema.');
  }
}

function encodeInference(
  { maxOutputTokens, temperature, topP, topK, stop }: TurnRequest,
  { isOn, maxTokens }: EncodedReasoning,
  { model, unsupported }: Writing,
): JsonObject {
  const isBound = isOn && model.maker === 'anthropic';
  if (isBound && topK !== undefined) unsupported('topK', 'this model does not take it while it reasons.');
  const isHot = isBound && temperature !== undefined && temperature !== THINKING_TEMPERATURE;
  if (isHot) unsupported('temperature', 'this model reasons at temperature 1. Leave one out.');
  const isNarrow = isBound && topP !== undefined && topP < THINKING_TOP_P_MIN;
  if (isNarrow) unsupported('topP', `this model reasons at ${THINKING_TOP_P_MIN} and above. Leave one out.`);
  return defined({
    maxTokens: maxOutputTokens ?? maxTokens,
    temperature: temperature === undefined || isHot ? undefined : Math.min(temperature, TEMPERATURE_MAX),
    topP: isNarrow ? undefined : topP,
    stopSequences: stop,
  });
}

/** Claude says which of the stop sequences it was, if it is asked to. */
function stopSequencePath(
  { stop = [], stream }: TurnRequest,
  { model }: Writing,
): readonly string[] | undefined {
  if (stop.length === 0 || model.maker !== 'anthropic') return undefined;
  return [stream ? '/delta/stop_sequence' : '/stop_sequence'];
}

function encodeFormat(
  { responseFormat }: TurnRequest,
  { model, unsupported }: Writing,
): JsonObject | undefined {
  if (responseFormat?.kind !== 'schema') return undefined;
  if (model.lacksSchemas) {
    unsupported('responseFormat', 'Bedrock does not hold the answers of this model to a schema.');
    return undefined;
  }
  const { schema, name, description } = responseFormat.fields;
  const jsonSchema = defined({ schema: JSON.stringify(schema ?? {}), name, description });
  return { textFormat: { type: 'json_schema', structure: { jsonSchema } } };
}

const tiers: readonly string[] = ['default', 'flex', 'priority'];

/** A hint: what Bedrock has no word for is left to it. */
function encodeTier(tier: string | undefined): JsonObject | undefined {
  return tier !== undefined && tiers.includes(tier) ? { type: tier } : undefined;
}

/** What the logs of Bedrock may hold. */
const LOGGABLE = /^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$/;

function encodeEndUser(endUser: string | undefined): JsonObject | undefined {
  return endUser !== undefined && LOGGABLE.test(endUser) ? { end_user: endUser } : undefined;
}

function unlessEmpty(value: JsonObject): JsonObject | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}
