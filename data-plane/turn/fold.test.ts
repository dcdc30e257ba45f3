import { expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import type { TurnEvent } from './events.ts';
import { foldTurn, unfoldBlock } from './fold.ts';
import { checkTurn } from './grammar.ts';
import { noUsage } from './usage.ts';

const start: TurnEvent = { type: 'turn-start', id: '1', model: 'm', createdAtMs: 5 };

test('interleaved choices come apart', () => {
  const one = unfoldBlock(0, { kind: 'text', choice: 0 }, ['on', 'e']);
  const two = unfoldBlock(1, { kind: 'text', choice: 1 }, ['tw', 'o']);
  const events: TurnEvent[] = [
    start,
    ...one.flatMap((event, index) => [event, two[index]!]),
    { type: 'usage', usage: { ...noUsage, output: 2 }, raw: '{}' },
    {
      type: 'turn-end',
      reasons: [
        { choice: 1, reason: 'length' },
        { choice: 0, reason: 'stop' },
      ],
    },
  ];
  const turn = foldTurn(checkTurn(events));
  expect(turn.choices.map(({ index, text, reason }) => [index, text, reason])).toEqual([
    [0, 'one', 'stop'],
    [1, 'two', 'length'],
  ]);
  expect(turn).toMatchObject({ id: '1', model: 'm', createdAtMs: 5, usage: { output: 2 }, rawUsage: '{}' });
});

test('blocks of one kind join in order, and each kind has its place', () => {
  const choice = 0;
  const turn = foldTurn([
    start,
    ...unfoldBlock(0, { kind: 'reasoning', choice }, ['hm']),
    ...unfoldBlock(1, { kind: 'text', choice }, ['a']),
    ...unfoldBlock(2, { kind: 'reasoning', choice }, ['!']),
    ...unfoldBlock(3, { kind: 'text', choice }, ['b']),
    ...unfoldBlock(4, { kind: 'refusal', choice }, ['no']),
    ...unfoldBlock(5, { kind: 'tool-call', choice, id: 'c1', name: 'f' }, []),
    ...unfoldBlock(6, { kind: 'tool-call', choice, id: 'c2', name: 'g' }, ['{"a"', ':1}']),
    { type: 'turn-end', reasons: [{ choice, reason: 'tool-calls' }] },
  ]);
  expect(turn.choices[0]).toMatchObject({
    text: 'ab',
    reasoning: 'hm!',
    refusal: 'no',
    toolCalls: [
      { id: 'c1', name: 'f', arguments: '{}' },
      { id: 'c2', name: 'g', arguments: '{"a":1}' },
    ],
  });
});

test('a turn that broke off keeps what had arrived', () => {
  const error = new SignalboxError('upstream_truncated', 'x');
  const block = unfoldBlock(0, { kind: 'text', choice: 0 }, ['half']).slice(0, 2);
  const turn = foldTurn([start, ...block, { type: 'turn-error', error }]);
  expect(turn.error).toBe(error);
  expect(turn.choices[0]).toMatchObject({ text: 'half', reason: undefined });
});
