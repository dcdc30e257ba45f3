// The features of a conversation, each as the smallest request that needs it.
import type { ClientDialectName } from '#data-plane/dialects/dialect.ts';
import type { Message, Part, Tool, TurnRequest } from '#data-plane/turn/request.ts';

export interface Feature {
  readonly name: string;
  readonly request: TurnRequest;
}

export const clientDialects: readonly { readonly name: ClientDialectName; readonly title: string }[] = [
  { name: 'openai-chat', title: 'OpenAI chat completions' },
  { name: 'openai-responses', title: 'OpenAI responses' },
  { name: 'openai-completions', title: 'OpenAI completions (legacy)' },
  { name: 'anthropic-messages', title: 'Anthropic messages' },
  { name: 'gemini', title: 'Gemini generateContent' },
];

const hello: Message = { role: 'user', parts: [{ kind: 'text', text: 'Hello' }] };
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as const;
const tools: readonly Tool[] = [{ name: 'get_weather', description: 'The weather.', parameters: schema }];
const pixel = 'data:image/png;base64,iVBORw0KGgo=';
const image: Part = { kind: 'image', url: pixel };

function feature(name: string, fields: Partial<TurnRequest>): Feature {
  const request = {
    model: 'model',
    stream: false,
    messages: [hello],
    tools: [],
    extras: {},
    maxOutputTokens: 4000,
  };
  return { name, request: { ...request, ...fields } };
}

function shown(part: Part): Partial<TurnRequest> {
  return { messages: [{ role: 'user', parts: [...hello.parts, part] }] };
}

function afterTool(result: Part): Partial<TurnRequest> {
  const call: Part = { kind: 'tool-call', id: 'call_1', name: 'get_weather', arguments: '{"city":"Paris"}' };
  const back: Part = { kind: 'tool-result', toolCallId: 'call_1', parts: [result] };
  return {
    tools,
    messages: [hello, { role: 'assistant', parts: [call] }, { role: 'tool', parts: [back] }],
  };
}

export const features: readonly Feature[] = [
  feature('text', {}),
  feature('stream', { stream: true }),
  feature('system message', {
    messages: [{ role: 'system', parts: [{ kind: 'text', text: 'Be brief.' }] }, hello],
  }),
  feature('image, as data', shown(image)),
  feature('image, by address', shown({ kind: 'image', url: 'https://example.com/cat.png' })),
  feature(
    'document, as data',
    shown({ kind: 'file', url: 'data:application/pdf;base64,JVBERi0=', filename: 'a.pdf' }),
  ),
  feature('audio', shown({ kind: 'audio', data: 'UklGRg==', format: 'wav' })),
  feature('tools', { tools }),
  feature('a tool demanded', { tools, toolChoice: 'required' }),
  feature('a certain tool demanded', { tools, toolChoice: { name: 'get_weather' } }),
  feature('tools forbidden', { tools, toolChoice: 'none' }),
  feature('one tool at a time', { tools, parallelToolCalls: false }),
  feature('result of a tool', afterTool({ kind: 'text', text: 'Sunny' })),
  feature('image from a tool', afterTool(image)),
  feature('JSON schema', {
    responseFormat: { kind: 'schema', fields: { name: 'answer', schema, strict: true } },
  }),
  feature('JSON without a schema', { responseFormat: { kind: 'json' } }),
  feature('reasoning effort', { reasoningEffort: 'high' }),
  feature('reasoning budget', { reasoningTokens: 2048 }),
  feature('limit of the answer', { maxOutputTokens: 100 }),
  feature('temperature', { temperature: 0.5 }),
  feature('top_p', { topP: 0.9 }),
  feature('top_k', { topK: 40 }),
  feature('stop sequences', { stop: ['END'] }),
  feature('several answers', { choices: 2 }),
  feature('seed', { seed: 7 }),
  feature('penalties', { presencePenalty: 0.5, frequencyPenalty: 0.5 }),
  feature('log probabilities', { logprobs: { top: 2 } }),
  feature('service tier', { serviceTier: 'auto' }),
  feature('end user', { endUser: 'user-1' }),
];
