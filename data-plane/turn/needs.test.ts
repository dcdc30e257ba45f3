import { describe, expect, test } from 'vitest';
import type { Capability } from '#shared/capabilities.ts';
import { needsOfTurn } from './needs.ts';
import type { TurnRequest } from './request.ts';

const plain: TurnRequest = { model: 'm', stream: false, messages: [], tools: [], extras: {} };
const tool = { name: 'look', parameters: { type: 'object', properties: { file: { type: 'string' } } } };

describe('what a request needs', () => {
  test.each<[string, Partial<TurnRequest>, Capability[]]>([
    ['nothing', {}, []],
    ['nothing for a stream', { stream: true }, []],
    ['tools', { tools: [tool] }, ['tools']],
    ['JSON', { responseFormat: { kind: 'json' } }, ['json']],
    ['a schema', { responseFormat: { kind: 'schema', fields: {} } }, ['json_schema']],
    [
      'to see what a tool has found',
      {
        messages: [
          {
            role: 'tool',
            parts: [
              { kind: 'tool-result', toolCallId: '1', parts: [{ kind: 'image', url: 'data:' }] },
              { kind: 'file', fileId: 'f' },
            ],
          },
        ],
      },
      ['documents', 'tools', 'vision'],
    ],
    [
      'to hear',
      { messages: [{ role: 'user', parts: [{ kind: 'audio', data: '', format: 'wav' }] }] },
      ['audio'],
    ],
  ])('%s', (_, sketch, expected) => {
    expect([...needsOfTurn({ ...plain, ...sketch })].toSorted()).toEqual(expected);
  });
});
