// LangChain over OpenAI's chat completions.

import { type AIMessageChunk, HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
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
  {
    type: 'function' as const,
    function: { name: toolName, description: toolDescription, parameters: toolSchema },
  },
];
const asked = [new HumanMessage(question)];

export const langchainOpenai: Client = {
  name: '@langchain/openai',
  connect({ url, key }) {
    const chat = (model: string) =>
      new ChatOpenAI({ model, apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
    const collect = async (stream: AsyncIterable<AIMessageChunk>) => {
      let whole: AIMessageChunk | undefined;
      for await (const chunk of stream) whole = whole === undefined ? chunk : whole.concat(chunk);
      return whole!;
    };
    return {
      async text(model) {
        return said(await chat(model).invoke(asked));
      },
      async stream(model) {
        return said(await collect(await chat(model).stream(asked)));
      },
      tool: async (model) =>
        called(await chat(model).bindTools(tools, { tool_choice: 'required' }).invoke(asked)),
      streamTool: async (model) =>
        called(await collect(await chat(model).bindTools(tools, { tool_choice: 'required' }).stream(asked))),
    };
  },
};

/** Its own type of usage is too narrow to be read. */
function said(answer: { readonly text: string; readonly usage_metadata?: unknown }): Said {
  const usage = answer.usage_metadata as { output_tokens: number };
  return { text: answer.text, outputTokens: usage.output_tokens };
}

function called({ tool_calls: calls }: Pick<AIMessageChunk, 'tool_calls'>): Called {
  return { name: calls![0]!.name, input: calls![0]!.args };
}
