import { describe, expect, test } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import type { ClientDialectName } from '../dialects/dialect.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import type { BlockHead, TurnEvent } from '../turn/events.ts';
import { foldTurn, unfoldBlock } from '../turn/fold.ts';
import { checkTurn } from '../turn/grammar.ts';
import type { TurnRequest } from '../turn/request.ts';
import { noUsage, outputTotal } from '../turn/usage.ts';
import { recoveryFor, type StreamRecovery } from './recovery.ts';

const dialects = ['openai-chat', 'anthropic-messages', 'gemini'] as const;
const media = { expects: 'text/event-stream', contentType: 'text/event-stream' };
const request: TurnRequest = {
  model: 'm',
  stream: true,
  messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Tell me a story.' }] }],
  tools: [],
  maxOutputTokens: 100,
  extras: {},
};
const text: BlockHead = { kind: 'text', choice: 0 };
const brokeOff = new SignalboxError('upstream_truncated', 'cut');

function turn(id: string, blocks: readonly TurnEvent[], output = 10): TurnEvent[] {
  return [
    { type: 'turn-start', id, model: 'm', createdAtMs: 1_700_000_000_000 },
    ...blocks,
    { type: 'usage', usage: { ...noUsage, input: 5, output }, raw: '{}' },
    { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop' }] },
  ];
}

/** What an upstream of this dialect would send for so many of the events, and nothing after. */
function bytesOf(name: ClientDialectName, events: readonly TurnEvent[]): Buffer {
  const dialect = clientDialectNamed(name);
  const writer = dialect.writer({ wantsUsage: true });
  return dialect.framing.write(events.flatMap((event) => writer.push(event)));
}

function recoveryOf(name: ClientDialectName, asked: Partial<TurnRequest> = {}): StreamRecovery | undefined {
  const dialect = clientDialectNamed(name);
  const more = name === 'openai-chat' ? { stream_options: { include_usage: true } } : {};
  const body = { ...dialect.encode({ ...request, ...asked }), model: 'm', stream: true, ...more };
  const head = dialect.peek(Buffer.from(JSON.stringify(body)), { model: 'm', stream: true });
  return recoveryFor({ dialect, head, clock: systemClock });
}

/** One attempt after the other; each but the last breaks off. Undefined when the stream could not be gone on with. */
function answered(
  client: ClientDialectName,
  upstream: ClientDialectName,
  attempts: readonly (readonly TurnEvent[])[],
): Buffer | undefined {
  const recovery = recoveryOf(client)!;
  const side = { upstream: clientDialectNamed(upstream), asked: request };
  const sent: Buffer[] = [];
  for (const [index, events] of attempts.entries()) {
    const stream = recovery.stream(media, side);
    const tap = stream.tap();
    sent.push(tap.push(bytesOf(upstream, events)));
    const { bytes, report } = tap.end();
    if (index === attempts.length - 1) sent.push(bytes);
    else if (!report.complete && Buffer.concat(sent).length > 0 && stream.carryOver!(brokeOff) === false)
      return undefined;
  }
  return Buffer.concat(sent);
}

function eventsIn(client: ClientDialectName, bytes: Buffer): readonly TurnEvent[] {
  const dialect = clientDialectNamed(client);
  const frames = dialect.framing.reader();
  const reader = dialect.reader();
  const events = [...frames.push(bytes), ...frames.end()].flatMap((frame) => reader.push(frame));
  return checkTurn([...events, ...reader.end()]);
}

const pairs = dialects.flatMap((client) => dialects.map((upstream) => [client, upstream] as const));

describe.each(pairs)('a client of %s whose upstream speaks %s', (client, upstream) => {
  test('sees one whole stream, wherever the first one is cut', () => {
    const first = turn('first', unfoldBlock(0, text, ['One', ' two', ' three']));
    const second = turn('second', unfoldBlock(0, text, [' four', ' five']), 20);
    for (let cut = 1; cut < first.length; cut++) {
      const bytes = answered(client, upstream, [first.slice(0, cut), second])!;
      const events = eventsIn(client, bytes);
      const { id, choices, usage, error } = foldTurn(events);
      const before = first
        .slice(0, cut)
        .flatMap((event) => (event.type === 'block-delta' ? [event.text] : []));
      expect(error).toBeUndefined();
      expect(choices[0]!.text, `cut at ${cut}`).toBe(`${before.join('')} four five`);
      expect(events.filter(({ type }) => type === 'turn-start')).toHaveLength(1);
      expect(events.filter(({ type }) => type === 'block-start')).toHaveLength(1);
      if (before.length > 0 && upstream !== 'gemini') expect(id).toContain('first');
      expect(outputTotal(usage!)).toBeGreaterThanOrEqual(20);
    }
  });

  test('is told the text only, when whoever goes on thinks first', () => {
    const first = turn('first', unfoldBlock(0, text, ['One'])).slice(0, 3);
    const thought = unfoldBlock(0, { kind: 'reasoning', choice: 0 }, ['hm']);
    const second = turn('second', [...thought, ...unfoldBlock(1, text, [' two'])]);
    const { choices } = foldTurn(eventsIn(client, answered(client, upstream, [first, second])!));
    expect([choices[0]!.text, choices[0]!.reasoning]).toEqual(['One two', '']);
  });

  test('is told the error when a tool has been called', () => {
    const call = unfoldBlock(1, { kind: 'tool-call', choice: 0, id: 'call_1', name: 'f' }, ['{}']);
    const first = turn('first', [...unfoldBlock(0, text, ['One']), ...call]);
    expect(answered(client, upstream, [first.slice(0, -2), first])).toBeUndefined();
  });
});

test('three that break off and a fourth make one answer, and their usage is added up', () => {
  const piece = (word: string): TurnEvent[] => turn(word, unfoldBlock(0, text, [word]), 1);
  const attempts = ['a', 'b', 'c'].map((word) => piece(word).slice(0, -1));
  const bytes = answered('openai-chat', 'anthropic-messages', [...attempts, piece('d')])!;
  const { choices, usage } = foldTurn(eventsIn('openai-chat', bytes));
  expect(choices[0]!.text).toBe('abcd');
  expect(usage!.output).toBeGreaterThanOrEqual(1);
});

test('half a thought is not gone on with', () => {
  const first = turn('first', unfoldBlock(0, { kind: 'reasoning', choice: 0 }, ['hm', 'so']));
  expect(answered('anthropic-messages', 'anthropic-messages', [first.slice(0, 3), first])).toBeUndefined();
});

test('a thought that is over is, and the text behind it', () => {
  const thought = unfoldBlock(0, { kind: 'reasoning', choice: 0 }, ['hm']);
  const first = turn('first', [...thought, ...unfoldBlock(1, text, ['One'])]);
  const second = turn('second', unfoldBlock(0, text, [' two']));
  const bytes = answered('openai-chat', 'openai-chat', [first.slice(0, 6), second])!;
  const { choices } = foldTurn(eventsIn('openai-chat', bytes));
  expect([choices[0]!.text, choices[0]!.reasoning]).toEqual(['One two', 'hm']);
});

test('what the client has not seen is forgotten: the next answers from the beginning', () => {
  const recovery = recoveryOf('openai-chat')!;
  const side = { upstream: clientDialectNamed('openai-chat'), asked: request };
  const first = recovery.stream(media, side).tap();
  first.push(bytesOf('openai-chat', turn('first', unfoldBlock(0, text, ['lost'])).slice(0, 3)));
  const second = recovery.stream(media, side).tap();
  const bytes = second.push(bytesOf('openai-chat', turn('second', unfoldBlock(0, text, ['kept']))));
  const { id, choices } = foldTurn(eventsIn('openai-chat', bytes));
  expect([id, choices[0]!.text]).toEqual(['second', 'kept']);
});

describe('whoever goes on is asked', () => {
  function carriedOver(said: string): StreamRecovery {
    const recovery = recoveryOf('openai-chat')!;
    const stream = recovery.stream(media, { upstream: clientDialectNamed('openai-chat'), asked: request });
    stream.tap().push(bytesOf('openai-chat', turn('first', unfoldBlock(0, text, [said])).slice(0, 3)));
    expect(stream.carryOver!(brokeOff)).toBe(true);
    return recovery;
  }

  test('with the beginning as the assistant’s, and for as much less', () => {
    const { messages, maxOutputTokens } = carriedOver('Once upon a ').continued(request, 'gemini');
    expect(messages.at(-1)).toEqual({ role: 'assistant', parts: [{ kind: 'text', text: 'Once upon a' }] });
    expect(maxOutputTokens).toBe(97);
  });

  test('to go on, where a beginning means nothing', () => {
    const { messages } = carriedOver('Once').continued(request, 'cohere-v2');
    expect(messages.slice(1).map(({ role }) => role)).toEqual(['assistant', 'user']);
  });

  test('to go on, where it has to think first', () => {
    const { messages } = carriedOver('Once').continued(
      { ...request, reasoningTokens: 1024 },
      'anthropic-messages',
    );
    expect(messages.at(-1)!.role).toBe('user');
  });

  test('again from the beginning, where nothing has been said', () => {
    expect(carriedOver('').continued(request, 'openai-chat')).toBe(request);
  });

  test('and a space that is there already is not repeated', () => {
    const recovery = carriedOver('Once ');
    const tap = recovery.stream(media, { upstream: clientDialectNamed('openai-chat'), asked: request }).tap();
    const bytes = tap.push(bytesOf('openai-chat', turn('second', unfoldBlock(0, text, [' ', ' upon']))));
    const said = bytes.toString().matchAll(/"content":"([^"]*)"/g);
    expect([...said].map(([, word]) => word).join('')).toBe('upon');
  });
});

test.each<[string, Partial<TurnRequest>]>([
  ['several answers', { choices: 2 }],
  ['probabilities', { logprobs: { top: 2 } }],
  ['JSON', { responseFormat: { kind: 'json' } }],
  ['a schema', { responseFormat: { kind: 'schema', fields: { name: 'n', schema: { type: 'object' } } } }],
])('a request for %s is left as it is', (_what, asked) => {
  expect(recoveryOf('openai-chat', asked)).toBeUndefined();
});

test.each<ErrorCode>(['content_filtered', 'deadline_exceeded', 'draining'])(
  '%s is nothing that another could mend',
  (code) => {
    const stream = recoveryOf('openai-chat')!.stream(media, {
      upstream: clientDialectNamed('openai-chat'),
      asked: request,
    });
    stream.tap().push(bytesOf('openai-chat', turn('first', unfoldBlock(0, text, ['One'])).slice(0, 3)));
    expect(stream.carryOver!(new SignalboxError(code, 'no'))).toBe(false);
  },
);
