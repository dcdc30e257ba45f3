// The messages of a request, written. They are shaped as OpenAI's, except that what a model planned before it called its tools
// stands in a field of its own, and what it thought among the content.
import { defined, type JsonObject } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import type { Unsupported } from '../dialect.ts';

interface ConversationTarget {
  readonly model: string;
  readonly unsupported: Unsupported;
}

export function encodeMessages(
  messages: readonly Message[],
  target: ConversationTarget,
): readonly JsonObject[] {
  return messages.flatMap((message, index) => encodeMessage(message, `messages[${index}].content`, target));
}

function encodeMessage(
  { role, parts }: Message,
  path: string,
  { model, unsupported }: ConversationTarget,
): readonly JsonObject[] {
  const results = parts.flatMap((part) => (part.kind === 'tool-result' ? [part] : []));
  const written = results.map((result) => encodeResult(result, path, unsupported));
  if (role === 'tool') return written;
  const content = parts.flatMap((part) => encodePart(part, path, unsupported));
  if (role === 'assistant') return [encodeAssistant(parts, content, model)];
  if (results.length > 0 && content.length === 0) return written;
  const said = { role: role === 'user' ? 'user' : 'system', content: simplest(content) };
  return [...written, said];
}

function encodeAssistant(parts: readonly Part[], content: readonly JsonObject[], model: string): JsonObject {
  const calls = parts.flatMap((part) => (part.kind === 'tool-call' ? [part] : []));
  const reasoning = parts
    .map((part) => (part.kind === 'reasoning' && part.signature === undefined ? part.text : ''))
    .join('');
  // Models that reason do so in their content; the others say in a sentence what they are about to do.
  const isPlan = calls.length > 0 && !model.includes('reasoning');
  const thinking = reasoning === '' || isPlan ? [] : [{ type: 'thinking', thinking: reasoning }];
  const all = [...thinking, ...content];
  return defined({
    role: 'assistant',
    tool_plan: isPlan && reasoning !== '' ? reasoning : undefined,
    content: all.length === 0 && calls.length > 0 ? undefined : simplest(all),
    tool_calls:
      calls.length === 0
        ? undefined
        : calls.map(({ id, name, arguments: text }) => ({
            id,
            type: 'function',
            function: { name, arguments: text.trim() === '' ? '{}' : text },
          })),
  });
}

/** A text alone is a string. */
function simplest(content: readonly JsonObject[]): unknown {
  if (content.length === 0) return '';
  return content.length === 1 && content[0]!.type === 'text' ? content[0]!.text : content;
}

function encodeResult(
  { toolCallId, parts, isError }: Extract<Part, { kind: 'tool-result' }>,
  path: string,
  unsupported: Unsupported,
): JsonObject {
  if (!parts.every(({ kind }) => kind === 'text')) {
    unsupported(path, 'the result of a tool has to be text for this model.');
  }
  const texts = parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  const all = isError === true ? ['The tool failed:', ...texts] : texts;
  return { role: 'tool', tool_call_id: toolCallId, content: all.join('\n') };
}

function encodePart(part: Part, path: string, unsupported: Unsupported): readonly JsonObject[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [{ type: 'text', text: part.text }];
    case 'image':
      return [{ type: 'image_url', image_url: defined({ url: part.url, detail: part.detail }) }];
    case 'reasoning':
    case 'tool-call':
    case 'tool-result':
      return [];
    case 'audio':
      unsupported(path, 'this model does not listen to audio.');
      return [];
    case 'file':
      unsupported(path, 'this model reads text and pictures only.');
      return [];
    case 'private':
      unsupported(path, `this model knows no part of the type "${part.type}".`);
      return [];
  }
}
