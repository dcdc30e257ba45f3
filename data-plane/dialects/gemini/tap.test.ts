import { describe, expect, test } from 'vitest';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { geminiChunk, geminiStream, geminiTurn } from '#test/fixtures/gemini.ts';
import { tapStream } from '#test/harness/read-stream.ts';
import { gemini } from './index.ts';

const head = gemini.peek(Buffer.from('{"contents":[]}'), { model: 'm', stream: true });

function tapped(pieces: readonly Buffer[]) {
  const { output, ...rest } = tapStream(gemini.tap(head), pieces);
  return { output: output.toString(), ...rest };
}

describe('a stream that passes', () => {
  const bytes = geminiStream(geminiTurn);

  test('stays as it was and is metered, however it is cut', () => {
    const whole = tapped([bytes]);
    expect(whole.output).toBe(bytes.toString());
    expect(whole.report).toMatchObject({
      id: 'resp_1',
      complete: true,
      error: undefined,
      usage: { input: 12, output: 21, outputReasoning: 30 },
    });
    expect(tapped(oneByOne(bytes))).toEqual(whole);
    for (const pieces of everyCut(bytes)) expect(tapped(pieces)).toEqual(whole);
    expect(tapped([geminiStream(geminiTurn, '\n')]).report).toEqual(whole.report);
  });

  test('that stops is not complete, and what it used until then is known', () => {
    const cut = tapped([geminiStream(geminiTurn.slice(0, 3)), bytes.subarray(0, 20)]);
    expect(cut.report).toMatchObject({ complete: false, error: undefined, usage: { output: 7 } });
    expect(cut.output).toBe(geminiStream(geminiTurn.slice(0, 3)).toString());
  });

  test('is complete only when every answer in it is', () => {
    const two = {
      candidates: [
        { index: 0, content: {} },
        { index: 1, content: {} },
      ],
    };
    const end = (index: number) => ({ candidates: [{ index, finishReason: 'STOP' }] });
    expect(tapped([geminiStream([two, end(0)])]).report.complete).toBe(false);
    expect(tapped([geminiStream([two, end(0), end(1)])]).report.complete).toBe(true);
  });

  test('is complete when the prompt was refused', () => {
    const refused = { promptFeedback: { blockReason: 'SAFETY' } };
    expect(tapped([geminiStream([refused])]).report).toMatchObject({ complete: true, error: undefined });
  });

  test('takes no words for the end', () => {
    const words = geminiChunk([{ text: '{"finishReason":"STOP","error":{}}' }]);
    expect(tapped([geminiStream([geminiTurn[0]!, words])]).report).toMatchObject({
      complete: false,
      error: undefined,
    });
  });

  test('tells an error that is in it, and passes it', () => {
    const stream = geminiStream([
      geminiTurn[0]!,
      { error: { code: 429, message: 'slow', status: 'RESOURCE_EXHAUSTED' } },
    ]);
    const { output, report, isBroken } = tapped([stream]);
    expect(output).toBe(stream.toString());
    expect(isBroken).toBe(false);
    expect(report).toMatchObject({ complete: false, error: { code: 'upstream_rate_limited' } });
  });

  test.each(['data: {"candidates": [\r\n\r\n', 'data: nonsense\r\n\r\n', 'data: 7\r\n\r\n'])(
    'ends before %j',
    (nonsense) => {
      const { output, report, isBroken } = tapped([geminiStream([geminiTurn[0]!]), Buffer.from(nonsense)]);
      expect(output).toBe(geminiStream([geminiTurn[0]!]).toString());
      expect(isBroken).toBe(true);
      expect(report.error?.code).toBe('upstream_invalid');
    },
  );

  test('is no stream when it is a body with an error', () => {
    const body = JSON.stringify([{ error: { code: 503, message: 'busy', status: 'UNAVAILABLE' } }]);
    const { report, isBroken } = tapped([Buffer.from(`${body}\n\n`)]);
    expect(isBroken).toBe(true);
    expect(report.error?.code).toBe('upstream_overloaded');
  });
});

describe('a body that passes', () => {
  test('is metered', () => {
    const usageMetadata = { promptTokenCount: 4, candidatesTokenCount: 2 };
    const body = geminiChunk([{ text: 'x' }], { finishReason: 'STOP' }, { usageMetadata });
    expect(gemini.inspect(Buffer.from(JSON.stringify(body)))).toMatchObject({
      id: 'resp_1',
      usage: { input: 4, output: 2 },
      rawUsage: JSON.stringify(usageMetadata),
      error: undefined,
    });
  });

  test.each([
    ['{"error":{"code":500,"message":"broke","status":"INTERNAL"}}', 'upstream_error'],
    ['{}', 'upstream_invalid'],
    ['[]', 'upstream_invalid'],
    ['<html>', 'upstream_invalid'],
  ])('%s is an error', (body, code) => {
    expect(gemini.inspect(Buffer.from(body)).error?.code).toBe(code);
  });
});
