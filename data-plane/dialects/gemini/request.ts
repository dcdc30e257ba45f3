// A client's body as a canonical request and back. Whatever has no canonical name is carried in extras under its own name, in the
// first of Google's two spellings. Encoding starts from the extras and lays the canonical values over them, so that decode followed
// by encode gives back the body as it was; without extras it writes what a client of this dialect would have written.
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, wrongType } from '../../json/values.ts';
import type { TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget, FieldNames, RequestHead } from '../dialect.ts';
import { unrestored } from '../plain-fields.ts';
import { encodeConversation } from './conversation.ts';
import { checkSettings, decodeGeneration, encodeGeneration, plainSettings } from './generation.ts';
import { decodeContents, decodeSystem } from './message.ts';
import { decodeToolChoice, decodeTools, encodeToolChoice, encodeTools } from './tools.ts';
import { named } from './wire.ts';

export const fieldNames: FieldNames = {
  ...Object.fromEntries(plainSettings.map(({ wire, name }) => [name, `generationConfig.${wire}`])),
  stop: 'generationConfig.stopSequences',
  logprobs: 'generationConfig.responseLogprobs',
  responseFormat: 'generationConfig.responseMimeType',
  reasoningEffort: 'generationConfig.thinkingConfig',
  reasoningTokens: 'generationConfig.thinkingConfig.thinkingBudget',
  showReasoning: 'generationConfig.thinkingConfig.includeThoughts',
  toolChoice: 'toolConfig.functionCallingConfig',
};

/** Throws `invalid_json` or `invalid_request` naming the field. */
export function decode(head: RequestHead): TurnRequest {
  const body = parseJson(head.body);
  if (!isObject(body)) throw wrongType('', 'an object');
  return { ...decodeBody(named(body)), model: head.model, stream: head.stream };
}

export function decodeBody(wire: JsonObject): Omit<TurnRequest, 'model' | 'stream'> {
  const { contents, systemInstruction, tools, toolConfig, generationConfig } = wire;
  if (!Array.isArray(contents) && !isObject(contents)) throw wrongType('contents', 'a list');
  const settings = named(generationConfig);
  const config = named(toolConfig);
  const toolChoice = decodeToolChoice(config);
  const decodedTools = decodeTools(tools);
  const isRestored: Readonly<Record<string, boolean>> = {
    model: true,
    contents: true,
    systemInstruction: systemInstruction != null,
    tools: decodedTools.length > 0,
  };
  return {
    messages: [...decodeSystem(systemInstruction), ...decodeContents(contents)],
    tools: decodedTools,
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...decodeGeneration(settings),
    extras: {
      ...unrestored(wire, isRestored),
      ...(isObject(generationConfig) ? { generationConfig: settings } : {}),
      ...(isObject(toolConfig) ? { toolConfig: config } : {}),
    },
  };
}

const accepted = (): void => undefined;

/** With a target, as that upstream wants it; without, as the client wrote it. */
export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const unsupported = target?.unsupported ?? accepted;
  const isFinal = target !== undefined;
  const { extras, messages, tools, toolChoice, ...settings } = request;
  const { systemInstruction, contents } = encodeConversation(messages, {
    ...target,
    model: request.model,
    unsupported,
    isFinal,
  });
  const asked = isFinal ? checkSettings(request, unsupported) : { ...settings, messages, tools, extras };
  const generationConfig = encodeGeneration(asked, objectOf(extras.generationConfig), unsupported);
  const hasConfig = Object.keys(generationConfig).length > 0 || extras.generationConfig !== undefined;
  return {
    ...extras,
    contents,
    ...(systemInstruction === undefined ? {} : { systemInstruction }),
    ...(tools.length === 0 ? {} : { tools: encodeTools(tools) }),
    ...(toolChoice === undefined || isObject(extras.toolConfig)
      ? {}
      : { toolConfig: { functionCallingConfig: encodeToolChoice(toolChoice) } }),
    ...(hasConfig ? { generationConfig } : {}),
  };
}
