// A request of Converse read backwards, which only tests have a use for: clients speak other dialects. And what two requests have to
// have in common to mean the same.
import type { Message, Part, TurnRequest } from '#data-plane/turn/request.ts';

interface Block {
  readonly text?: string;
  readonly json?: unknown;
  readonly image?: { readonly format: string; readonly source: { readonly bytes: string } };
  readonly document?: {
    readonly format: string;
    readonly name: string;
    readonly source: { bytes?: string; text?: string };
  };
  readonly toolUse?: { readonly toolUseId: string; readonly name: string; readonly input: unknown };
  readonly toolResult?: {
    readonly toolUseId: string;
    readonly content: readonly Block[];
    readonly status?: string;
  };
  readonly reasoningContent?: {
    readonly reasoningText: { readonly text: string; readonly signature: string };
  };
  readonly cachePoint?: { readonly ttl?: string };
}

interface ConverseRequest {
  readonly messages: readonly { readonly role: 'user' | 'assistant'; readonly content: readonly Block[] }[];
  readonly system?: readonly Block[];
  readonly inferenceConfig?: {
    readonly maxTokens?: number;
    readonly temperature?: number;
    readonly topP?: number;
    readonly stopSequences?: readonly string[];
  };
  readonly toolConfig?: {
    readonly tools: readonly {
      readonly toolSpec: {
        readonly name: string;
        readonly description?: string;
        readonly inputSchema: { readonly json: Record<string, unknown> };
      };
    }[];
  };
  readonly outputConfig?: {
    readonly textFormat: {
      readonly structure: { readonly jsonSchema: { readonly schema: string; readonly name: string } };
    };
  };
  readonly additionalModelRequestFields?: {
    readonly thinking?: { readonly type: string; readonly budget_tokens?: number; readonly display?: string };
    readonly output_config?: { readonly effort?: string };
  };
}

export function decodeConverse(wire: object, model: string): TurnRequest {
  const {
    messages,
    system = [],
    inferenceConfig = {},
    toolConfig,
    outputConfig,
    additionalModelRequestFields,
  } = wire as ConverseRequest;
  const schema = outputConfig?.textFormat.structure.jsonSchema;
  const thinking = additionalModelRequestFields?.thinking;
  const effort = additionalModelRequestFields?.output_config?.effort;
  return {
    model,
    stream: false,
    messages: [
      ...(system.length === 0 ? [] : [{ role: 'system', parts: decodeBlocks(system) } as const]),
      ...messages.map(
        ({ role, content }): Message => ({
          role: content.some(({ toolResult }) => toolResult) ? 'tool' : role,
          parts: decodeBlocks(content),
        }),
      ),
    ],
    tools: (toolConfig?.tools ?? []).map(({ toolSpec: { name, description, inputSchema } }) => ({
      name,
      parameters: inputSchema.json,
      ...(description === undefined ? {} : { description }),
    })),
    ...(inferenceConfig.maxTokens === undefined ? {} : { maxOutputTokens: inferenceConfig.maxTokens }),
    ...(inferenceConfig.temperature === undefined ? {} : { temperature: inferenceConfig.temperature }),
    ...(inferenceConfig.topP === undefined ? {} : { topP: inferenceConfig.topP }),
    ...(inferenceConfig.stopSequences === undefined ? {} : { stop: inferenceConfig.stopSequences }),
    ...(schema && {
      responseFormat: { kind: 'schema', fields: { name: schema.name, schema: JSON.parse(schema.schema) } },
    }),
    ...(thinking?.budget_tokens === undefined ? {} : { reasoningTokens: thinking.budget_tokens }),
    ...(effort === undefined ? {} : { reasoningEffort: effort }),
    ...(thinking?.display === undefined ? {} : { showReasoning: thinking.display === 'summarized' }),
    extras: {},
  };
}

/** A mark belongs to the part before it. */
function decodeBlocks(blocks: readonly Block[]): Part[] {
  const parts: Part[] = [];
  for (const block of blocks) {
    const last = parts.at(-1);
    if (block.cachePoint === undefined) parts.push(decodeBlock(block));
    else if (last)
      parts[parts.length - 1] = { ...last, cacheControl: { type: 'ephemeral', ...block.cachePoint } };
  }
  return parts;
}

function decodeBlock({ text, json, image, document, toolUse, toolResult, reasoningContent }: Block): Part {
  if (image) return { kind: 'image', url: `data:image/${image.format};base64,${image.source.bytes}` };
  if (document) {
    const { bytes = Buffer.from(document.source.text ?? '').toString('base64') } = document.source;
    const filename = `${document.name}.${document.format}`;
    return { kind: 'file', filename, url: `data:application/octet-stream;base64,${bytes}` };
  }
  if (toolUse) {
    const { toolUseId: id, name, input } = toolUse;
    return { kind: 'tool-call', id, name, arguments: JSON.stringify(input) };
  }
  if (toolResult) {
    const { toolUseId: toolCallId, content, status } = toolResult;
    const parts = decodeBlocks(content);
    return { kind: 'tool-result', toolCallId, parts, ...(status && { isError: status === 'error' }) };
  }
  if (reasoningContent) {
    const { text: thought, signature: value } = reasoningContent.reasoningText;
    return { kind: 'reasoning', text: thought, signature: { maker: 'anthropic', value } };
  }
  return { kind: 'text', text: text ?? JSON.stringify(json) };
}

/** Without what says nothing, and with the several ways to say one thing turned into one of them. */
export function sameMeaning(request: object): unknown {
  const { additionalModelResponseFieldPaths: _, ...asked } = request as Record<string, unknown>;
  return meaning(asked);
}

function meaning(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(meaning);
  if (typeof value !== 'object' || value === null) return value;
  const { json, source, ...others } = value as { json?: unknown; source?: Block['document'] & object };
  const isResult = json !== undefined && Object.keys(others).length === 0 && !isSchema(json);
  if (isResult) return { text: JSON.stringify(json) };
  const entries = Object.entries({ ...others, ...(json === undefined ? {} : { json }), ...sourceOf(source) });
  const said = entries
    .map(([name, member]) => [name, meaning(member)] as const)
    .filter(([, member]) => !isEmpty(member));
  return Object.fromEntries(said);
}

function sourceOf(source: unknown): object {
  if (typeof source !== 'object' || source === null) return {};
  const { text } = source as { text?: string };
  return { source: text === undefined ? source : { bytes: Buffer.from(text).toString('base64') } };
}

function isSchema(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'type' in json;
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return (
    value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  );
}
