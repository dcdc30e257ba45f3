// A message less what other makers' models have signed in it: their thoughts, and the marks of theirs on tool calls.
import type { Message, Part } from '../../turn/request.ts';

export function unsigned(message: Message): Message {
  return { ...message, parts: message.parts.filter(isOwn).map(withoutMark) };
}

function isOwn(part: Part): boolean {
  return part.kind !== 'reasoning' || (part.signature?.maker ?? 'anthropic') === 'anthropic';
}

function withoutMark(part: Part): Part {
  if (part.kind !== 'tool-call' || part.signature === undefined) return part;
  const { signature: _, extras, ...call } = part;
  const { carrier: __, ...others } = extras ?? {};
  return { ...call, extras: others };
}
