// How many tokens a request has, roughly, where nobody can be asked. Counting exactly takes the tokenizer of the very model and
// time that grows with hostile input; bytes are counted at once and err on the side of too many for most languages.
import type { Part, TurnRequest } from './request.ts';

const BYTES_PER_TOKEN = 3.5;
/** What a picture of ordinary size, or a page, comes to. */
const ATTACHMENT_TOKENS = 1600;

export function tokensInBytes(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

export function estimateTokens({ messages, tools }: TurnRequest): number {
  const parts = messages.flatMap((message) => message.parts);
  const bytes = parts.map(bytesIn).reduce((sum, part) => sum + part, 0);
  const toolBytes = tools.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(tools));
  return tokensInBytes(bytes + toolBytes);
}

function bytesIn(part: Part): number {
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return Buffer.byteLength(part.text);
    case 'tool-call':
      return Buffer.byteLength(part.name) + Buffer.byteLength(part.arguments);
    case 'tool-result':
      return part.parts.map(bytesIn).reduce((sum, inner) => sum + inner, 0);
    default:
      return ATTACHMENT_TOKENS * BYTES_PER_TOKEN;
  }
}
