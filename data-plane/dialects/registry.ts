// The one place that names every dialect.
import { anthropicMessages } from './anthropic-messages/index.ts';
import { bedrockConverse } from './bedrock-converse/index.ts';
import { cohereV2 } from './cohere-v2/index.ts';
import type { ClientDialect, ClientDialectName, Dialect, DialectName } from './dialect.ts';
import { gemini } from './gemini/index.ts';
import { openaiChat } from './openai-chat/index.ts';
import { openaiCompletions } from './openai-completions/index.ts';
import { openaiResponses } from './openai-responses/index.ts';

const clientDialects: Readonly<Partial<Record<ClientDialectName, ClientDialect>>> = {
  'openai-chat': openaiChat,
  'openai-completions': openaiCompletions,
  'openai-responses': openaiResponses,
  'anthropic-messages': anthropicMessages,
  gemini,
};

const dialects: Readonly<Partial<Record<DialectName, Dialect>>> = {
  ...clientDialects,
  'bedrock-converse': bedrockConverse,
  'cohere-v2': cohereV2,
};

export function dialectNamed(name: DialectName): Dialect {
  return dialects[name]!;
}

export function clientDialectNamed(name: ClientDialectName): ClientDialect {
  return clientDialects[name]!;
}
