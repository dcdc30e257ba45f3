import { describe, expect, test } from 'vitest';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn, unfoldBlock } from '../../turn/fold.ts';
import type { Part, TurnRequest } from '../../turn/request.ts';
import type { Signature } from '../../turn/signature.ts';
import { openaiChat } from './index.ts';

const { decode, encode, peek, render, writer } = openaiChat;
const anthropic: Signature = { maker: 'anthropic', value: 'signed' };
const google: Signature = { maker: 'google', value: 'g-signed' };
const end: TurnEvent = { type: 'turn-end', reasons: [{ choice: 0, reason: 'tool-calls' }] };

const events: readonly TurnEvent[] = [
  { type: 'turn-start', id: 'c1', model: 'm', createdAtMs: 0 },
  ...signed(unfoldBlock(0, { kind: 'reasoning', choice: 0 }, ['h', 'm']), anthropic),
  ...signed(unfoldBlock(1, { kind: 'reasoning', choice: 0, isRedacted: true }, []), anthropic),
  ...unfoldBlock(2, { kind: 'tool-call', choice: 0, id: 't1', name: 'now', signature: google }, ['{}']),
  end,
];

function signed(block: readonly TurnEvent[], signature: Signature): TurnEvent[] {
  return block.map((event) => (event.type === 'block-end' ? { ...event, signature } : event));
}

function messageOf(turn: readonly TurnEvent[]): Record<string, unknown> {
  const [choice] = render(turn).choices as { message: Record<string, unknown> }[];
  return choice!.message;
}

/** What a client has that puts the deltas of a stream together as OpenRouter's do. */
function collected(turn: readonly TurnEvent[]): { details: unknown[]; calls: unknown[] } {
  const machine = writer({ wantsUsage: false });
  const chunks = turn
    .flatMap((event) => machine.push(event))
    .filter(({ data }) => data !== '[DONE]')
    .map(({ data }) => JSON.parse(data) as { choices: { delta: Record<string, unknown[]> }[] });
  const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
  return {
    details: deltas.flatMap((delta) => delta.reasoning_details ?? []),
    calls: deltas.flatMap((delta) => delta.tool_calls ?? []),
  };
}

function history(message: object): TurnRequest {
  const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }, message] };
  return decode(peek(Buffer.from(JSON.stringify(body))));
}

describe('signed reasoning', () => {
  const details = [
    { type: 'reasoning.text', text: 'hm', signature: 'signed', format: 'anthropic-claude-v1', index: 0 },
    { type: 'reasoning.encrypted', data: 'signed', format: 'anthropic-claude-v1', index: 1 },
  ];

  test('reaches a client of chat completions, whole or streamed', () => {
    expect(messageOf(events)).toMatchObject({ reasoning_content: 'hm', reasoning_details: details });
    expect(collected(events).details).toEqual(details);
  });

  test('comes back from it with its maker, and its text only once', () => {
    const message = { role: 'assistant', content: null, reasoning_content: 'hm', reasoning_details: details };
    const request = history(message);
    const parts = request.messages[1]!.parts.map(({ extras: _, ...part }): Part => part);
    expect(parts).toEqual([
      { kind: 'reasoning', text: 'hm', signature: anthropic },
      { kind: 'reasoning', text: '', signature: anthropic, isRedacted: true },
    ]);
    expect(openaiChat.untranslatable(request)).toEqual([]);
    expect((encode(request).messages as unknown[])[1]).toEqual(message);
  });
});

test('a signed call carries its signature where Google puts it, both ways', () => {
  const call = {
    id: 't1',
    type: 'function',
    extra_content: { google: { thought_signature: 'g-signed' } },
    function: { name: 'now', arguments: '{}' },
  };
  expect(messageOf(events).tool_calls).toEqual([call]);
  expect(collected(events).calls[0]).toMatchObject({ extra_content: call.extra_content });
  const message = { role: 'assistant', content: null, tool_calls: [call] };
  const request = history(message);
  expect(request.messages[1]!.parts[0]).toMatchObject({ kind: 'tool-call', signature: google });
  expect(openaiChat.untranslatable(request)).toEqual([]);
  expect((encode(request).messages as unknown[])[1]).toEqual(message);
});

test('pictures, sources and likelihoods stand beside the text', () => {
  const [start, , stop] = unfoldBlock(0, { kind: 'text', choice: 0 }, ['x']) as [
    TurnEvent,
    TurnEvent,
    TurnEvent,
  ];
  const turn: readonly TurnEvent[] = [
    { type: 'turn-start', id: 'c1', model: 'm', createdAtMs: 0 },
    start,
    {
      type: 'block-delta',
      index: 0,
      text: 'x',
      citations: [{ url: 'https://example.com', title: 'Example', start: 0, end: 1 }],
      logprobs: [{ token: 'x', logprob: -0.5, top: [{ token: 'y', logprob: -1 }] }],
    },
    stop,
    ...unfoldBlock(1, { kind: 'image', choice: 0, mediaType: 'image/png' }, ['AA', 'BB']),
    end,
  ];
  expect(render(turn).choices).toMatchObject([
    {
      message: {
        content: 'x',
        annotations: [{ url_citation: { url: 'https://example.com', start_index: 0, end_index: 1 } }],
        images: [{ image_url: { url: 'data:image/png;base64,AABB' } }],
      },
      logprobs: { content: [{ token: 'x', logprob: -0.5, top_logprobs: [{ token: 'y', logprob: -1 }] }] },
    },
  ]);
});

test('pictures that a tool returned follow its result in a message of the user', () => {
  const image: Part = { kind: 'image', url: 'data:image/png;base64,AAAA' };
  const request: TurnRequest = {
    ...history({ role: 'assistant', content: 'x' }),
    extras: {},
    messages: [
      { role: 'tool', parts: [{ kind: 'tool-result', toolCallId: 'a', parts: [image] }] },
      { role: 'tool', parts: [{ kind: 'tool-result', toolCallId: 'b', parts: [] }] },
      { role: 'user', parts: [{ kind: 'text', text: 'go on' }] },
    ],
  };
  const { messages } = encode(request, { unsupported: () => {} }) as { messages: { role: string }[] };
  expect(messages.map(({ role }) => role)).toEqual(['tool', 'tool', 'user', 'user']);
  expect(messages[2]).toMatchObject({
    content: [{ text: 'Attached to the result of a:' }, { type: 'image_url' }],
  });
});

describe('what a provider of this dialect says besides', () => {
  const message = {
    role: 'assistant',
    content: 'x',
    reasoning: 'hm',
    reasoning_details: [
      { type: 'reasoning.text', text: 'hm', signature: 'signed', format: 'anthropic-claude-v1', index: 0 },
    ],
    annotations: [
      {
        type: 'url_citation',
        url_citation: { url: 'https://example.com', title: 'Example', start_index: 0, end_index: 1 },
      },
    ],
    tool_calls: [
      {
        id: 't1',
        type: 'function',
        extra_content: { google: { thought_signature: 'g-signed' } },
        function: { name: 'now', arguments: '{}' },
      },
    ],
  };
  const logprobs = {
    content: [
      { token: 'x', logprob: -0.5, bytes: [120], top_logprobs: [{ token: 'y', logprob: -1, bytes: null }] },
    ],
    refusal: null,
  };
  const choice = { index: 0, message, logprobs, finish_reason: 'tool_calls' };
  const body = { id: 'c1', object: 'chat.completion', created: 1, model: 'm', choices: [choice] };
  const events = openaiChat.unfold(Buffer.from(JSON.stringify(body)));

  test('reaches clients of other dialects in words that they know', () => {
    const [folded] = foldTurn(events).choices;
    expect(folded!.blocks.find(({ head }) => head.kind === 'reasoning')?.signature).toEqual(anthropic);
    expect(folded!.toolCalls[0]?.signature).toEqual(google);
    expect(folded!.blocks.flatMap(({ citations }) => citations)).toEqual([
      { url: 'https://example.com', title: 'Example', start: 0, end: 1 },
    ]);
    expect(folded!.blocks.flatMap((block) => block.logprobs)).toEqual([
      { token: 'x', logprob: -0.5, bytes: [120], top: [{ token: 'y', logprob: -1 }] },
    ]);
  });

  test('is said once to clients of this one, whole or streamed', () => {
    expect(messageOf(events)).toMatchObject({ reasoning_details: message.reasoning_details });
    expect(collected(events).details).toEqual(message.reasoning_details);
    expect(collected(events).calls[0]).toMatchObject({ extra_content: { google: {} } });
  });
});
