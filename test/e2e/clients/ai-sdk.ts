// Vercel's AI SDK with the providers that people point at a gateway. Its schemas are strict about every chunk.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, type LanguageModel, streamText, type ToolSet, tool } from 'ai';
import { type Client, type Endpoint, question, toolDescription, toolName, toolSchema } from './client.ts';

const inputSchema = jsonSchema<{ city: string }>(toolSchema as object);
const tools = { [toolName]: tool({ description: toolDescription, inputSchema }) } as ToolSet;
const once = { prompt: question, maxRetries: 0, maxOutputTokens: 300 };

function client(name: string, modelOf: (endpoint: Endpoint, model: string) => LanguageModel): Client {
  return {
    name: `ai: ${name}`,
    connect: (endpoint) => ({
      async text(model) {
        const { text, usage } = await generateText({ ...once, model: modelOf(endpoint, model) });
        return { text, outputTokens: usage.outputTokens ?? 0 };
      },
      async stream(model) {
        const { text, usage } = streamText({ ...once, model: modelOf(endpoint, model), onError: rethrow });
        return { text: await text, outputTokens: (await usage).outputTokens ?? 0 };
      },
      async tool(model) {
        const { toolCalls } = await generateText({
          ...once,
          tools,
          toolChoice: 'required',
          model: modelOf(endpoint, model),
        });
        return { name: toolCalls[0]!.toolName, input: toolCalls[0]!.input };
      },
      async streamTool(model) {
        const answer = streamText({
          ...once,
          tools,
          toolChoice: 'required',
          model: modelOf(endpoint, model),
          onError: rethrow,
        });
        const [call] = await answer.toolCalls;
        return { name: call!.toolName, input: call!.input };
      },
    }),
  };
}

/** By default the library writes errors of a stream to the console and goes on. */
function rethrow({ error }: { error: unknown }): never {
  throw error;
}

export const aiSdkClients: readonly Client[] = [
  client('openai, chat', ({ url, key }, model) =>
    createOpenAI({ apiKey: key, baseURL: `${url}/v1` }).chat(model),
  ),
  client('openai, responses', ({ url, key }, model) =>
    createOpenAI({ apiKey: key, baseURL: `${url}/v1` }).responses(model),
  ),
  client('openai-compatible', ({ url, key }, model) =>
    createOpenAICompatible({ name: 'signalbox', apiKey: key, baseURL: `${url}/v1`, includeUsage: true })(
      model,
    ),
  ),
  client('anthropic', ({ url, key }, model) => createAnthropic({ apiKey: key, baseURL: `${url}/v1` })(model)),
  client('google', ({ url, key }, model) =>
    createGoogleGenerativeAI({ apiKey: key, baseURL: `${url}/v1beta` })(model),
  ),
];
