// Google's official SDK.
import { FunctionCallingConfigMode, type GenerateContentResponse, GoogleGenAI } from '@google/genai';
import { type Called, type Client, question, toolDescription, toolName, toolSchema } from './client.ts';

const config = {
  toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
  tools: [
    {
      functionDeclarations: [
        { name: toolName, description: toolDescription, parametersJsonSchema: toolSchema },
      ],
    },
  ],
};

export const googleGenai: Client = {
  name: '@google/genai',
  connect({ url, key }) {
    const { models } = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
    const collect = async (stream: AsyncIterable<GenerateContentResponse>) => {
      const chunks: GenerateContentResponse[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      return chunks;
    };
    return {
      async text(model) {
        const answer = await models.generateContent({ model, contents: question });
        return { text: answer.text!, outputTokens: answer.usageMetadata!.candidatesTokenCount! };
      },
      async stream(model) {
        const chunks = await collect(await models.generateContentStream({ model, contents: question }));
        const usage = chunks.findLast(({ usageMetadata }) => usageMetadata)!.usageMetadata!;
        return {
          text: chunks.map(({ text }) => text ?? '').join(''),
          outputTokens: usage.candidatesTokenCount!,
        };
      },
      async tool(model) {
        return called([await models.generateContent({ model, contents: question, config })]);
      },
      async streamTool(model) {
        return called(
          await collect(await models.generateContentStream({ model, contents: question, config })),
        );
      },
    };
  },
};

function called(answers: readonly GenerateContentResponse[]): Called {
  const [call] = answers.flatMap(({ functionCalls }) => functionCalls ?? []);
  return { name: call!.name!, input: call!.args };
}
