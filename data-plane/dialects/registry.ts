// The one place that names every dialect.
import { anthropicMessages } from './anthropic-messages/index.ts';
import type { ClientDialect, ClientDialectName, Dialect, DialectName } from './dialect.ts';
import { openaiChat } from './openai-chat/index.ts';

const clientDialects: Readonly<Partial<Record<ClientDialectName, ClientDialect>>> = {
  'openai-chat': openaiChat,
  'anthropic-messages': anthropicMessages,
};

const dialects: Readonly<Partial<Record<DialectName, Dialect>>> = clientDialects;

export function dialectNamed(name: DialectName): Dialect {
  return dialects[name]!;
}

export function clientDialectNamed(name: ClientDialectName): ClientDialect {
  return clientDialects[name]!;
}
