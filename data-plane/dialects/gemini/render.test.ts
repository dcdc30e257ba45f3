import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { geminiStream, geminiTurn } from '#test/fixtures/gemini.ts';
import type { BlockHead, TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { signatureText } from '../../turn/signature.ts';
import { noUsage } from '../../turn/usage.ts';
import { gemini, geminiList } from './index.ts';

type Block = readonly [BlockHead, ...(Partial<Extract<TurnEvent, { type: 'block-delta' }>> | string)[]];

/** A turn of these blocks, one after the other; a block's last event may bring a signature. */
function turn(blocks: readonly Block[], signatures: Readonly<Record<number, string>> = {}): TurnEvent[] {
  return [
    { type: 'turn-start', id: 'turn_1', model: 'm-1' },
    ...blocks.flatMap(([block, ...deltas], index): TurnEvent[] => [
      { type: 'block-start', index, block },
      ...deltas.map(
        (delta): TurnEvent =>
          typeof delta === 'string'
            ? { type: 'block-delta', index, text: delta }
            : { type: 'block-delta', index, text: '', ...delta },
      ),
      {
        type: 'block-end',
        index,
        ...(signatures[index] === undefined
          ? {}
          : { signature: { maker: 'anthropic', value: signatures[index] } }),
      },
    ]),
    { type: 'usage', usage: { ...noUsage, input: 3, output: 5, outputReasoning: 2 }, raw: '{}' },
    { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop' }] },
  ];
}

function chunks(events: readonly TurnEvent[]): readonly { candidates: { content: { parts: object[] } }[] }[] {
  const writer = gemini.writer({ wantsUsage: true });
  return events.flatMap((event) => writer.push(event)).map(({ data }) => JSON.parse(data));
}

const parts = (events: readonly TurnEvent[]) =>
  chunks(events).flatMap(({ candidates }) => candidates.flatMap(({ content }) => content.parts));
const wholeParts = (events: readonly TurnEvent[]) =>
  (gemini.render(events) as { candidates: { content: { parts: object[] } }[] }).candidates[0]!.content.parts;

const text: BlockHead = { kind: 'text', choice: 0 };
const reasoning: BlockHead = { kind: 'reasoning', choice: 0 };
const call = (id: string): BlockHead => ({ kind: 'tool-call', choice: 0, id, name: 'f' });

test('a stream is chunks of which each has a part, and the last a reason and the counts', () => {
  const [first, ...others] = chunks(turn([[text, 'Hel', 'lo']]));
  expect(first).toEqual({
    candidates: [{ content: { parts: [{ text: 'Hel' }], role: 'model' }, index: 0 }],
    modelVersion: 'm-1',
    responseId: 'turn_1',
  });
  expect(others.at(-1)).toEqual({
    candidates: [{ content: { parts: [{ text: '' }], role: 'model' }, finishReason: 'STOP', index: 0 }],
    usageMetadata: {
      promptTokenCount: 3,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 2,
      totalTokenCount: 10,
    },
    modelVersion: 'm-1',
    responseId: 'turn_1',
  });
  for (const { candidates } of chunks(turn([[text], [reasoning], [call('a')]]))) {
    expect(candidates[0]!.content.parts).toHaveLength(1);
  }
});

test('a call is written when it is whole, with its id', () => {
  const events = turn([[call('a'), '{"city":', '"Paris"}'], [call('b')], [call('c'), 'not json']]);
  const calls = [
    { functionCall: { id: 'a', name: 'f', args: { city: 'Paris' } } },
    { functionCall: { id: 'b', name: 'f', args: {} } },
    { functionCall: { id: 'c', name: 'f', args: { arguments: 'not json' } } },
  ];
  expect(parts(events)).toEqual([...calls, { text: '' }]);
  expect(wholeParts(events)).toEqual(calls);
});

test('thoughts are marked, and signatures of other makers travel as text', () => {
  const redacted: BlockHead = { kind: 'reasoning', choice: 0, isRedacted: true };
  const events = turn([[reasoning, 'hm'], [redacted], [text, 'ok']], { 0: 'YQ==', 1: 'Yg==', 2: 'Yw==' });
  const signed = (value: string) => signatureText({ maker: 'anthropic', value }, 'google');
  expect(parts(events)).toEqual([
    { text: 'hm', thought: true },
    { text: '', thought: true, thoughtSignature: signed('YQ==') },
    { thought: true, thoughtSignature: signed('Yg==') },
    { text: 'ok' },
    { text: '', thoughtSignature: signed('Yw==') },
    { text: '' },
  ]);
  expect(wholeParts(events)).toEqual([
    { text: 'hm', thought: true, thoughtSignature: signed('YQ==') },
    { thought: true, thoughtSignature: signed('Yg==') },
    { text: 'ok', thoughtSignature: signed('Yw==') },
  ]);
});

test('what it says comes back from a client as it was said', () => {
  const redacted: BlockHead = { kind: 'reasoning', choice: 0, isRedacted: true };
  const events = turn([[reasoning, 'h', 'm'], [redacted], [text, 'o', 'k'], [call('a'), '{}']], {
    0: 'YQ==',
    1: 'Yg==',
  });
  const contents = chunks(events).map(({ candidates }) => candidates[0]!.content);
  const body = Buffer.from(
    JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'go' }] }, ...contents] }),
  );
  const { messages } = gemini.decode(gemini.peek(body, { model: 'm', stream: true }));
  expect(messages[1]).toMatchObject({
    role: 'assistant',
    parts: [
      { kind: 'reasoning', text: 'hm', signature: { maker: 'anthropic', value: 'YQ==' } },
      { kind: 'reasoning', text: '', isRedacted: true, signature: { maker: 'anthropic', value: 'Yg==' } },
      { kind: 'text', text: 'ok' },
      { kind: 'tool-call', id: 'a' },
      { kind: 'text', text: '' },
    ],
  });
});

test('a thought that cannot be read stays one', () => {
  const redacted: BlockHead = { kind: 'reasoning', choice: 0, isRedacted: true };
  const events = turn([[reasoning, 'hm'], [redacted]], { 0: 'YQ==', 1: 'Yg==' });
  const [choice] = foldTurn(gemini.unfold(Buffer.from(JSON.stringify(gemini.render(events))))).choices;
  expect(choice!.blocks.map(({ head, text: said, signature }) => [head, said, signature])).toEqual([
    [reasoning, 'hm', { maker: 'anthropic', value: 'YQ==' }],
    [redacted, '', { maker: 'anthropic', value: 'Yg==' }],
  ]);
});

test('pictures, sound and refusals have their places', () => {
  const events = turn([
    [{ kind: 'image', choice: 0, mediaType: 'image/png' }, 'AA', 'AA'],
    [{ kind: 'audio', choice: 0, id: 'a' }, 'BBBB'],
    [{ kind: 'private', choice: 0, extras: { dialect: 'openai-chat', fields: { part: {} } } }],
    [{ kind: 'refusal', choice: 0 }, 'No.'],
  ]);
  const said = [
    { inlineData: { mimeType: 'image/png', data: 'AAAA' } },
    { inlineData: { mimeType: 'audio/pcm;rate=24000', data: 'BBBB' } },
    { text: 'No.' },
  ];
  expect(parts(events)).toEqual([...said, { text: '' }]);
  expect(wholeParts(events)).toEqual(said);
  expect(gemini.render(events)).toMatchObject({ candidates: [{ finishReason: 'SAFETY' }] });
  expect(chunks(events).at(-1)).toMatchObject({ candidates: [{ finishReason: 'SAFETY' }] });
});

test('sources and likelihoods are told in Google’s words', () => {
  const citations = [
    { start: 0, end: 5, url: 'https://a.example', title: 'A' },
    { url: 'https://b.example' },
  ];
  const logprobs = [{ token: 'Grüße', logprob: -1, top: [{ token: 'Grüße', logprob: -1 }] }];
  const events = turn([[text, { text: 'Grüße', logprobs }, { citations }]]);
  const groundingMetadata = {
    groundingChunks: [
      { web: { uri: 'https://a.example', title: 'A' } },
      { web: { uri: 'https://b.example' } },
    ],
    groundingSupports: [
      { segment: { startIndex: 0, endIndex: 7, text: 'Grüße' }, groundingChunkIndices: [0] },
    ],
  };
  const likely = { token: 'Grüße', logProbability: -1 };
  const logprobsResult = { chosenCandidates: [likely], topCandidates: [{ candidates: [likely] }] };
  expect(gemini.render(events)).toMatchObject({ candidates: [{ groundingMetadata, logprobsResult }] });
  const written = chunks(events);
  expect(written[0]).toMatchObject({ candidates: [{ logprobsResult }] });
  expect(written.at(-1)).toMatchObject({ candidates: [{ groundingMetadata }] });
  const again = foldTurn(gemini.unfold(Buffer.from(JSON.stringify(gemini.render(events)))));
  expect(again.choices[0]!.blocks[0]).toMatchObject({ logprobs, citations: [citations[0]] });
});

test('several answers end one by one, and the counts stand on the last', () => {
  const events: TurnEvent[] = [
    { type: 'turn-start', id: 't', model: 'm' },
    { type: 'usage', usage: noUsage, raw: '' },
    {
      type: 'turn-end',
      reasons: [
        { choice: 0, reason: 'stop' },
        { choice: 1, reason: 'length' },
      ],
    },
  ];
  expect(chunks(events)).toMatchObject([
    { candidates: [{ index: 0, finishReason: 'STOP' }] },
    { candidates: [{ index: 1, finishReason: 'MAX_TOKENS' }], usageMetadata: { promptTokenCount: 0 } },
  ]);
  expect(chunks(events)[0]).not.toHaveProperty('usageMetadata');
});

test('a prompt that was refused by Google is told as Google does', () => {
  const body = { promptFeedback: { blockReason: 'SAFETY' }, modelVersion: 'm', responseId: 'r' };
  const events = gemini.unfold(Buffer.from(JSON.stringify(body)));
  expect(gemini.render(events)).toEqual(body);
  expect(chunks(events)).toEqual([body]);
});

test('half an answer is no body', () => {
  const error = new SignalboxError('upstream_truncated', 'cut');
  expect(() => gemini.render([{ type: 'turn-error', error }])).toThrow(error);
});

describe('a stream as one list', () => {
  const events = turn([
    [text, 'Hel', 'lo'],
    [call('a'), '{}'],
  ]);
  const write = (list: readonly TurnEvent[]): Buffer => {
    const writer = geminiList.writer({ wantsUsage: true });
    return geminiList.framing.write(list.flatMap((event) => writer.push(event)));
  };

  test('has the chunks that a stream of events has', () => {
    expect(JSON.parse(write(events).toString())).toEqual(chunks(events));
  });

  test('has everything that an upstream streams', () => {
    const bytes = geminiStream(geminiTurn);
    const head = gemini.peek(Buffer.from('{}'), { model: 'm', stream: true });
    for (const size of [1, 7, 1000, bytes.length]) {
      const tap = geminiList.tap(head);
      const passed: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size)
        passed.push(Buffer.from(tap.push(bytes.subarray(at, at + size))));
      const { bytes: last, report } = tap.end();
      expect(JSON.parse(Buffer.concat([...passed, last]).toString())).toEqual(geminiTurn);
      expect(report).toMatchObject({ complete: true, id: 'resp_1' });
    }
  });

  test('stays open when it breaks off, and ends with the error when there is one to tell', () => {
    const cut = geminiList.tap(gemini.peek(Buffer.from('{}'), { model: 'm', stream: true }));
    const passed = cut.push(geminiStream(geminiTurn.slice(0, 2)));
    const { bytes, report } = cut.end();
    expect(report.complete).toBe(false);
    const open = Buffer.concat([passed, bytes]).toString();
    expect(() => JSON.parse(open) as unknown).toThrow();
    const error = new SignalboxError('upstream_truncated', 'cut');
    const told = geminiList.framing.write(geminiList.renderStreamError(error)).toString();
    expect(JSON.parse(open + told)).toEqual([...geminiTurn.slice(0, 2), gemini.renderError(error)]);
  });

  test('ends with an error that the upstream tells itself', () => {
    const error = { error: { code: 500, message: 'broke', status: 'INTERNAL' } };
    const tap = geminiList.tap(gemini.peek(Buffer.from('{}'), { model: 'm', stream: true }));
    const passed = tap.push(geminiStream([geminiTurn[0]!, error]));
    expect(JSON.parse(passed.toString())).toEqual([geminiTurn[0], error]);
    expect(tap.report().error?.code).toBe('upstream_error');
  });
});
