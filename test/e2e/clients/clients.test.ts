// Client libraries as people use them cannot tell that Signalbox is in between, whatever kind of upstream answers: whole, streamed
// and with tools.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aiSdkClients } from './ai-sdk.ts';
import { anthropicMessages } from './anthropic.ts';
import { type Client, type Connected, toolName } from './client.ts';
import { googleGenai } from './google.ts';
import { langchainOpenai } from './langchain.ts';
import { openaiChat, openaiResponses } from './openai.ts';
import { modelNames, startUpstreams, type Upstreams } from './upstreams.ts';

const clients: readonly Client[] = [
  openaiChat,
  openaiResponses,
  anthropicMessages,
  googleGenai,
  langchainOpenai,
  ...aiSdkClients,
];

let upstreams: Upstreams;

beforeAll(async () => {
  upstreams = await startUpstreams();
});

afterAll(async () => {
  await upstreams?.remove();
});

describe.each(clients)('$name', (client) => {
  let connected: Connected;

  beforeAll(() => {
    const { url, key } = upstreams.up;
    connected = client.connect({ url, key: key() });
  });

  test.each(modelNames)('an answer of %s, whole and streamed', async (model) => {
    const [whole, streamed] = await Promise.all([connected.text(model), connected.stream(model)]);
    expect(whole.text).not.toBe('');
    expect(streamed.text).toBe(whole.text);
    expect(whole.outputTokens).toBeGreaterThan(0);
    expect(streamed.outputTokens).toBe(whole.outputTokens);
  });

  test.each(modelNames)('a tool called by %s, whole and streamed', async (model) => {
    const name = `${model}-tools`;
    for (const call of [await connected.tool(name), await connected.streamTool(name)]) {
      expect(call).toEqual({ name: toolName, input: expect.objectContaining({ city: expect.any(String) }) });
    }
  });
});
