// Messages that another dialect's client wrote, made fit for this one: results of tools are text here and nobody marks them as
// failed, so pictures among them follow in a message of the user; reasoning that another maker signed is of no use.
import type { Message, Part } from '../../turn/request.ts';
import type { Unsupported } from '../dialect.ts';

const FAILED: Part = { kind: 'text', text: 'The tool failed:' };

export function adopt(messages: readonly Message[], unsupported: Unsupported): readonly Message[] {
  const adopted: Message[] = [];
  let attachments: Part[] = [];
  for (const [index, message] of messages.entries()) {
    // All results of one turn have to stand together, so what goes with them comes after the last.
    if (message.role !== 'tool' && attachments.length > 0) {
      adopted.push({ role: 'user', parts: attachments });
      attachments = [];
    }
    const parts = message.parts.filter(isKept).map((part) => {
      if (part.kind !== 'tool-result') return part;
      const { result, others } = splitResult(part, `messages[${index}].content`, unsupported);
      attachments.push(...others);
      return result;
    });
    adopted.push({ ...message, parts });
  }
  return attachments.length === 0 ? adopted : [...adopted, { role: 'user', parts: attachments }];
}

function isKept(part: Part): boolean {
  return part.kind !== 'reasoning' || (part.signature === undefined && part.text !== '');
}

type ToolResult = Extract<Part, { kind: 'tool-result' }>;

function splitResult(
  part: ToolResult,
  path: string,
  unsupported: Unsupported,
): { result: ToolResult; others: readonly Part[] } {
  const texts = part.parts.filter(({ kind }) => kind === 'text');
  const others = part.parts.filter(({ kind }) => kind === 'image' || kind === 'file' || kind === 'audio');
  if (texts.length + others.length < part.parts.length) {
    unsupported(path, 'the result of a tool has to be text, pictures or documents for this model.');
  }
  const note: Part[] = others.length === 0 ? [] : [{ kind: 'text', text: 'What it returned is attached.' }];
  const parts = [...(part.isError === true ? [FAILED] : []), ...texts, ...note];
  if (others.length === 0) return { result: { ...part, parts }, others };
  const title: Part = { kind: 'text', text: `Attached to the result of ${part.toolCallId}:` };
  return { result: { ...part, parts }, others: [title, ...others] };
}
