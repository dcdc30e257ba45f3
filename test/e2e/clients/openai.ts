// The official OpenAI SDK: chat completions and responses.
import OpenAI from 'openai';
import {
  type Called,
  type Client,
  type Endpoint,
  question,
  toolDescription,
  toolName,
  toolSchema,
} from './client.ts';

const messages = [{ role: 'user' as const, content: question }];
const tools = [
  {
    type: 'function' as const,
    function: { name: toolName, description: toolDescription, parameters: toolSchema },
  },
];
const flatTools = [
  {
    type: 'function' as const,
    name: toolName,
    description: toolDescription,
    parameters: toolSchema,
    strict: false,
  },
];

function sdk({ url, key }: Endpoint): OpenAI {
  return new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
}

function calledBy(calls: readonly unknown[] | undefined): Called {
  const [call] = (calls ?? []) as { function: { name: string; arguments: string } }[];
  return { name: call!.function.name, input: JSON.parse(call!.function.arguments) };
}

export const openaiChat: Client = {
  name: 'openai: chat completions',
  connect(endpoint) {
    const { completions } = sdk(endpoint).chat;
    return {
      async text(model) {
        const answer = await completions.create({ model, messages });
        return { text: answer.choices[0]!.message.content!, outputTokens: answer.usage!.completion_tokens };
      },
      async stream(model) {
        const options = { include_usage: true };
        const stream = completions.stream({ model, messages, stream_options: options });
        const answer = await stream.finalChatCompletion();
        return { text: answer.choices[0]!.message.content!, outputTokens: answer.usage!.completion_tokens };
      },
      async tool(model) {
        const answer = await completions.create({ model, messages, tools, tool_choice: 'required' });
        return calledBy(answer.choices[0]!.message.tool_calls);
      },
      async streamTool(model) {
        const answer = await completions
          .stream({ model, messages, tools, tool_choice: 'required' })
          .finalChatCompletion();
        return calledBy(answer.choices[0]!.message.tool_calls);
      },
    };
  },
};

export const openaiResponses: Client = {
  name: 'openai: responses',
  connect(endpoint) {
    const { responses } = sdk(endpoint);
    const called = (output: readonly { type: string }[]): Called => {
      const call = output.find(({ type }) => type === 'function_call') as
        | { name: string; arguments: string }
        | undefined;
      return { name: call!.name, input: JSON.parse(call!.arguments) };
    };
    return {
      async text(model) {
        const answer = await responses.create({ model, input: question });
        return { text: answer.output_text, outputTokens: answer.usage!.output_tokens };
      },
      async stream(model) {
        const answer = await responses.stream({ model, input: question }).finalResponse();
        return { text: answer.output_text, outputTokens: answer.usage!.output_tokens };
      },
      async tool(model) {
        return called(
          (await responses.create({ model, input: question, tools: flatTools, tool_choice: 'required' }))
            .output,
        );
      },
      async streamTool(model) {
        return called(
          (
            await responses
              .stream({ model, input: question, tools: flatTools, tool_choice: 'required' })
              .finalResponse()
          ).output,
        );
      },
    };
  },
};
