// What a request for a turn needs beyond text.
import type { Capability } from '#shared/capabilities.ts';
import type { Part, TurnRequest } from './request.ts';

export function needsOfTurn(request: TurnRequest): ReadonlySet<Capability> {
  const needs = new Set<Capability>();
  if (request.tools.length > 0) needs.add('tools');
  if (request.responseFormat?.kind === 'json') needs.add('json');
  if (request.responseFormat?.kind === 'schema') needs.add('json_schema');
  for (const { parts } of request.messages) for (const part of parts) addPart(needs, part);
  return needs;
}

const partNeeds: Readonly<Partial<Record<Part['kind'], Capability>>> = {
  image: 'vision',
  audio: 'audio',
  file: 'documents',
  'tool-call': 'tools',
  'tool-result': 'tools',
};

function addPart(needs: Set<Capability>, part: Part): void {
  const need = partNeeds[part.kind];
  if (need !== undefined) needs.add(need);
  if (part.kind === 'tool-result') for (const inner of part.parts) addPart(needs, inner);
}
