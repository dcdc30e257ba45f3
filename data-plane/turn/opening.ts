// What all requests of one conversation have in common: what the operator says, the tools, and what the user said first. A provider keeps
// the prompt up to where two requests differ, so requests with the same opening are best asked in the same place.
import type { Part, TurnRequest } from './request.ts';

export function openingOf({ messages, tools }: TurnRequest): string {
  const first = messages.findIndex(({ role }) => role === 'user');
  const opening = messages.slice(0, first === -1 ? messages.length : first + 1);
  const said = opening.map(({ role, parts }) => `${role}: ${parts.map(textOf).join(' ')}`);
  return [...tools.map(({ name }) => name), ...said].join('\n');
}

function textOf(part: Part): string {
  return part.kind === 'text' ? part.text : `[${part.kind}]`;
}
