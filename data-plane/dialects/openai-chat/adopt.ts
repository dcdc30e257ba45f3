// Messages that another dialect's client wrote, made fit for this one: results of tools are text here, nobody marks them as
// failed, and reasoning that another model signed is of no use.
import { SignalboxError } from '#shared/errors.ts';
import type { Message, Part } from '../../turn/request.ts';

const FAILED: Part = { kind: 'text', text: 'The tool failed:' };

export function adopt(messages: readonly Message[]): readonly Message[] {
  return messages.map((message, index) => ({
    ...message,
    parts: message.parts.filter(isKept).map((part) => adoptPart(part, index)),
  }));
}

function isKept(part: Part): boolean {
  return part.kind !== 'reasoning' || (part.signature === undefined && part.text !== '');
}

function adoptPart(part: Part, index: number): Part {
  if (part.kind !== 'tool-result') return part;
  if (!part.parts.every(({ kind }) => kind === 'text')) {
    const field = `messages[${index}].content`;
    throw new SignalboxError(
      'unsupported_field',
      `The field "${field}" cannot be translated: the result of a tool has to be text for this model.`,
      { param: field },
    );
  }
  return part.isError === true ? { ...part, parts: [FAILED, ...part.parts] } : part;
}
