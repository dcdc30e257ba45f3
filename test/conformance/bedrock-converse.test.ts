// The bedrock-converse dialect against exchanges that really took place. The recordings are not part of this project: point
// RECORDINGS_DIR at a folder with `bedrock-converse[-stream]/*/*.json` to run this.
import { describe, expect, test } from 'vitest';
import { bedrockConverse } from '#data-plane/dialects/bedrock-converse/index.ts';
import type { TurnEvent } from '#data-plane/turn/events.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal, type Usage } from '#data-plane/turn/usage.ts';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream } from '#test/harness/read-stream.ts';
import { decodeConverse, sameMeaning } from './converse-request.ts';
import { answers, areMissing, load, type Recording } from './recordings.ts';

const whole = load('bedrock-converse');
const streams = load('bedrock-converse-stream');

/** What a client of no other API can ask for, and so nothing here is ever asked to write. */
const untranslatable: Readonly<Record<string, string>> = {
  guardContent: 'parts that a guardrail is to look at are marked in words of Bedrock alone',
  citationsContent: 'sources come back with an answer, and are no part of what is said again',
  citations: 'that a document is to be quoted is asked for in words of few makers',
};
const reasonAgainst = ({ request }: Recording) =>
  Object.keys(untranslatable).find((word) => JSON.stringify(request).includes(`"${word}"`));
const requests = [...whole, ...streams].filter((recording) => reasonAgainst(recording) === undefined);

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(whole.length).toBeGreaterThan(0);
    expect(streams.length).toBeGreaterThan(0);
  });

  test.each(requests)('the request of $name is written with the same meaning', ({ url, request }) => {
    const decoded = decodeConverse(request, decodeURIComponent(url.split('/')[2]!));
    const refused: string[] = [];
    const encoded = bedrockConverse.encode(decoded, { unsupported: (field) => void refused.push(field) });
    expect(refused).toEqual([]);
    expect(sameMeaning(encoded)).toEqual(sameMeaning(request));
  });

  test.each(answers(whole))('the body of $name unfolds, with the recorded counts and end', ({ bytes }) => {
    const turn = foldTurn(checkTurn(bedrockConverse.unfold(bytes)));
    expect(turn.error).toBeUndefined();
    expectRecordedUsage(turn.rawUsage, turn.usage);
    const { output } = JSON.parse(bytes.toString());
    const last = output.message.content.at(-1);
    const text = last.text ?? last.citationsContent?.content[0].text ?? '';
    expect(turn.choices[0]?.text.endsWith(text)).toBe(true);
    expect(turn.choices[0]?.toolCalls).toHaveLength(last.toolUse === undefined ? 0 : 1);
  });

  test.each(answers(streams))('the stream of $name reads the same however it is cut', ({ bytes }) => {
    const events = readBytes([bytes]);
    const turn = foldTurn(checkTurn(events));
    expect(turn.error).toBeUndefined();
    expect(turn.choices[0]?.reason).toBeDefined();
    expectRecordedUsage(turn.rawUsage, turn.usage);
    expect(readBytes(oneByOne(bytes))).toEqual(events);
    const from = Math.max(0, bytes.length - 800);
    for (const [before, after] of everyCut(bytes.subarray(from))) {
      expect(readBytes([bytes.subarray(0, from), before!, after!])).toEqual(events);
      const cut = foldTurn(readBytes([bytes.subarray(0, from), before!]));
      expect(cut.error?.code).toBe(after!.length === 0 ? undefined : 'upstream_truncated');
    }
  });

  test.each([...whole, ...streams].filter(({ status }) => status !== 200))(
    'the refusal of $name is understood',
    ({ status, headers, bytes }) => {
      const error = bedrockConverse.readError(status, headers, bytes);
      expect(error.code).toBe(status === 403 ? 'upstream_unauthorized' : 'upstream_model_missing');
    },
  );
});

function expectRecordedUsage(raw: string, usage: Usage | undefined): void {
  const recorded = JSON.parse(raw) as Record<string, number | undefined>;
  expect(usage && inputTotal(usage) + outputTotal(usage)).toBe(recorded.totalTokens);
  expect(usage && outputTotal(usage)).toBe(recorded.outputTokens);
  expect(usage?.inputCacheRead).toBe(recorded.cacheReadInputTokens ?? 0);
}

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(bedrockConverse, pieces);
}
