// The official Anthropic SDK.
import Anthropic from '@anthropic-ai/sdk';
import {
  type Called,
  type Client,
  question,
  type Said,
  toolDescription,
  toolName,
  toolSchema,
} from './client.ts';

const tools = [
  { name: toolName, description: toolDescription, input_schema: { ...toolSchema, required: ['city'] } },
];

export const anthropicMessages: Client = {
  name: 'anthropic: messages',
  connect({ url, key }) {
    const { messages } = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
    const request = (model: string) => ({
      model,
      max_tokens: 300,
      messages: [{ role: 'user' as const, content: question }],
    });
    return {
      text: async (model) => said(await messages.create(request(model))),
      stream: async (model) => said(await messages.stream(request(model)).finalMessage()),
      tool: async (model) =>
        called(await messages.create({ ...request(model), tools, tool_choice: { type: 'any' } })),
      streamTool: async (model) =>
        called(
          await messages.stream({ ...request(model), tools, tool_choice: { type: 'any' } }).finalMessage(),
        ),
    };
  },
};

function said({ content, usage }: Anthropic.Message): Said {
  const text = content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('');
  return { text, outputTokens: usage.output_tokens };
}

function called({ content }: Anthropic.Message): Called {
  const call = content.find((block) => block.type === 'tool_use');
  return { name: call!.name, input: call!.input };
}
