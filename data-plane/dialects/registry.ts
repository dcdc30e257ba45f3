// The one place that names every dialect.
import { anthropicMessages } from './anthropic-messages/index.ts';
import type { Dialect, DialectName } from './dialect.ts';
import { openaiChat } from './openai-chat/index.ts';

const dialects: Readonly<Record<DialectName, Dialect>> = {
  'openai-chat': openaiChat,
  'anthropic-messages': anthropicMessages,
};

export function dialectNamed(name: DialectName): Dialect {
  return dialects[name];
}
