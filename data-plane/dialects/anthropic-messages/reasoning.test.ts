import { describe, expect, test } from 'vitest';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn, unfoldBlock } from '../../turn/fold.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { signatureText } from '../../turn/signature.ts';
import { anthropicMessages } from './index.ts';

const { decode, encode, framing, peek, reader, render, unfold, writer } = anthropicMessages;
const google = { maker: 'google', value: 'g-signed' } as const;
const user = { role: 'user', content: 'hello' } as const;

function request(fields: object): TurnRequest {
  const body = { model: 'claude-opus-5', max_tokens: 5000, messages: [user], ...fields };
  return decode(peek(Buffer.from(JSON.stringify(body))));
}

function streamed(events: readonly TurnEvent[]): readonly { type: string; [field: string]: unknown }[] {
  const machine = writer({ wantsUsage: true });
  return events
    .flatMap((event) => machine.push(event))
    .map(({ data }) => JSON.parse(data) as { type: string });
}

/** What a client's own reader makes of what was written for it. */
function readAgain(events: readonly TurnEvent[]): readonly TurnEvent[] {
  const machine = writer({ wantsUsage: true });
  const bytes = framing.write(events.flatMap((event) => machine.push(event)));
  const turn = reader();
  return framing
    .reader()
    .push(bytes)
    .flatMap((frame) => turn.push(frame));
}

function turnOf(blocks: readonly TurnEvent[], stopSequence?: string): readonly TurnEvent[] {
  const end = stopSequence === undefined ? {} : { stopSequence };
  return [
    { type: 'turn-start', id: 'msg_1', model: 'm' },
    ...blocks,
    { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop', ...end }] },
  ];
}

describe('redacted thinking', () => {
  const blocks = unfoldBlock(0, { kind: 'reasoning', choice: 0, isRedacted: true }, []).map(
    (event): TurnEvent =>
      event.type === 'block-end' ? { ...event, signature: { maker: 'anthropic', value: 'sealed' } } : event,
  );
  const wire = { type: 'redacted_thinking', data: 'sealed' };

  test('is read from a body and from a stream', () => {
    const body = { type: 'message', id: 'msg_1', model: 'm', content: [wire], stop_reason: 'end_turn' };
    for (const events of [unfold(Buffer.from(JSON.stringify(body))), readAgain(turnOf(blocks))]) {
      expect(foldTurn(events).choices[0]?.blocks[0]).toMatchObject({
        head: { kind: 'reasoning', isRedacted: true },
        signature: { maker: 'anthropic', value: 'sealed' },
      });
    }
  });

  test('is written whole, as one event at its start', () => {
    expect(render(turnOf(blocks)).content).toEqual([wire]);
    const starts = streamed(turnOf(blocks)).filter(({ type }) => type === 'content_block_start');
    expect(starts).toEqual([{ type: 'content_block_start', index: 0, content_block: wire }]);
  });

  test('comes back as it was', () => {
    const messages = [user, { role: 'assistant', content: [wire, { type: 'text', text: 'so' }] }];
    const bare = request({ messages }).messages.map(({ extras: _, parts, ...message }) => ({
      ...message,
      parts: parts.map(({ extras: __, ...part }) => part),
    }));
    expect(encode({ ...request({}), messages: bare, extras: {} }).messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'hello' }] },
      { role: 'assistant', content: [wire, { type: 'text', text: 'so' }] },
    ]);
  });
});

describe("a call that another maker's model has signed", () => {
  const call = { kind: 'tool-call', choice: 0, id: 'c1', name: 'now', signature: google } as const;
  const events = turnOf(unfoldBlock(0, call, ['{}']));
  const thought = { type: 'thinking', thinking: '', signature: signatureText(google, 'anthropic') };

  test('is announced by an empty thought with the signature', () => {
    expect(render(events).content).toEqual([thought, { type: 'tool_use', id: 'c1', name: 'now', input: {} }]);
    expect(foldTurn(readAgain(events)).choices[0]?.blocks.map(({ head }) => head.kind)).toEqual([
      'reasoning',
      'tool-call',
    ]);
  });

  test('gets its signature back from the client, and the client its bytes', () => {
    const messages = [
      user,
      {
        role: 'assistant',
        content: [thought, { type: 'tool_use', id: 'c1', name: 'now', input: {} }],
      },
    ];
    const decoded = request({ messages });
    expect(decoded.messages[1]?.parts).toMatchObject([{ kind: 'tool-call', signature: google }]);
    expect(encode(decoded).messages).toEqual(messages);
  });
});

test("a conversation that moves here from another maker's model comes without what that model signed", () => {
  const foreign = signatureText(google, 'anthropic');
  const content = [
    { type: 'thinking', thinking: 'hm', signature: foreign },
    { type: 'thinking', thinking: '', signature: foreign },
    { type: 'tool_use', id: 'c1', name: 'now', input: {} },
  ];
  const body = { model: 'claude-opus-5', max_tokens: 9, messages: [user, { role: 'assistant', content }] };
  const head = peek(Buffer.from(JSON.stringify(body)));
  const sent = JSON.parse(
    Buffer.concat(anthropicMessages.splice(head, { model: 'm' })).toString(),
  ) as unknown;
  expect(sent).toEqual({
    ...body,
    model: 'm',
    messages: [user, { role: 'assistant', content: [content[2]] }],
  });
});

describe('thinking', () => {
  test.each<[object, Partial<TurnRequest>]>([
    [{ thinking: { type: 'enabled', budget_tokens: 3000 } }, { reasoningTokens: 3000 }],
    [{ thinking: { type: 'disabled' } }, { reasoningEffort: 'none' }],
    [
      { thinking: { type: 'adaptive', display: 'omitted' }, output_config: { effort: 'high' } },
      { reasoningEffort: 'high', showReasoning: false },
    ],
  ])('%j means %j', (fields, meaning) => {
    expect(request(fields)).toMatchObject(meaning);
  });

  test('goes on between tools where its signature was kept', () => {
    const parts = [
      { kind: 'tool-call', id: 'c1', name: 'now', arguments: '{}' },
    ] as const satisfies TurnRequest['messages'][number]['parts'];
    const signed = {
      kind: 'reasoning',
      text: 'hm',
      signature: { maker: 'anthropic', value: 's' },
    } as const;
    const result = { kind: 'tool-result', toolCallId: 'c1', parts: [] } as const;
    const asked = (assistant: TurnRequest['messages'][number]['parts']): TurnRequest => ({
      ...request({}),
      reasoningEffort: 'high',
      extras: {},
      messages: [
        { role: 'user', parts: [{ kind: 'text', text: 'hello' }] },
        { role: 'assistant', parts: assistant },
        { role: 'tool', parts: [result] },
      ],
    });
    const left: string[] = [];
    const target = { unsupported: () => {}, leftOut: (field: string) => void left.push(field) };
    expect(encode(asked([signed, ...parts]), target).thinking).toEqual({ type: 'adaptive' });
    expect(encode(asked(parts), target).thinking).toBeUndefined();
    expect(left).toEqual(['reasoningEffort']);
  });
});

describe('an answer', () => {
  test('tells which stop sequence ended it', () => {
    expect(render(turnOf([], 'END'))).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'END' });
    expect(readAgain(turnOf([], 'END')).at(-1)).toMatchObject({ reasons: [{ stopSequence: 'END' }] });
  });

  test('names its sources, whoever read them', () => {
    const [start, , end] = unfoldBlock(0, { kind: 'text', choice: 0 }, ['x']) as [
      TurnEvent,
      TurnEvent,
      TurnEvent,
    ];
    const citation = { url: 'https://example.com', title: 'Example', quote: 'words' };
    const events = turnOf([start, { type: 'block-delta', index: 0, text: 'x', citations: [citation] }, end]);
    expect(render(events).content).toMatchObject([
      { type: 'text', text: 'x', citations: [{ url: 'https://example.com', cited_text: 'words' }] },
    ]);
    expect(foldTurn(readAgain(events)).choices[0]?.blocks[0]?.citations).toEqual([citation]);
  });
});
