import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import type { TurnEvent } from './events.ts';
import { checkTurn } from './grammar.ts';
import { noUsage } from './usage.ts';

const start: TurnEvent = { type: 'turn-start', id: '1', model: 'm' };
const open = (index: number): TurnEvent => ({
  type: 'block-start',
  index,
  block: { kind: 'text', choice: 0 },
});
const delta = (index: number): TurnEvent => ({ type: 'block-delta', index, text: 'x' });
const close = (index: number): TurnEvent => ({ type: 'block-end', index });
const usage: TurnEvent = { type: 'usage', usage: noUsage, raw: '' };
const end: TurnEvent = { type: 'turn-end', reasons: [] };
const error: TurnEvent = { type: 'turn-error', error: new SignalboxError('upstream_error', 'x') };

describe('a turn may be', () => {
  test.each<[string, TurnEvent[]]>([
    ['empty', [start, end]],
    ['one block', [start, open(0), delta(0), close(0), usage, end]],
    ['interleaved blocks', [start, open(0), open(1), delta(1), delta(0), close(0), delta(1), close(1), end]],
    ['an error before it began', [error]],
    ['an error inside a block', [start, open(0), error]],
    ['an error after usage', [start, usage, error]],
  ])('%s', (_, events) => {
    expect(checkTurn(events)).toBe(events);
  });
});

describe('a turn may not', () => {
  test.each<[string, TurnEvent[], RegExp]>([
    ['begin with a block', [open(0)], /block-start/],
    ['start twice', [start, start], /starts once/],
    ['use an index twice', [start, open(0), close(0), open(0)], /one block/],
    ['continue a block that ended', [start, open(0), close(0), delta(0)], /open/],
    ['end a block that is not open', [start, close(0)], /open/],
    ['report usage with a block open', [start, open(0), usage], /ended/],
    ['open a block after usage', [start, usage, open(0)], /before|between/],
    ['end with a block open', [start, open(0), end], /open: 0/],
    ['go on after its end', [start, end, usage], /nothing may follow/],
    ['go on after an error', [error, end], /nothing may follow/],
    ['just stop', [start], /neither/],
  ])('%s', (_, events, rule) => {
    expect(() => checkTurn(events)).toThrow(rule);
  });
});
