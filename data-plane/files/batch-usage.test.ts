import fc from 'fast-check';
import { expect, test } from 'vitest';
import { resultsTap, usageOfBatch } from './batch-usage.ts';

function line(usage: object | undefined, status = 200): string {
  return JSON.stringify({ custom_id: 'é', response: { status_code: status, body: { usage } }, error: null });
}

const chat = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const response = {
  input_tokens: 7,
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 1 },
  total_tokens: 10,
};

function usedBy(text: string, sizes: readonly number[]): unknown {
  const tap = resultsTap();
  const bytes = Buffer.from(text);
  const passed: Buffer[] = [];
  let from = 0;
  for (const size of sizes) {
    passed.push(Buffer.from(tap.push(bytes.subarray(from, from + size))));
    from += size;
  }
  passed.push(Buffer.from(tap.push(bytes.subarray(from))), tap.end().bytes);
  expect(Buffer.concat(passed).toString()).toBe(text);
  return tap.used();
}

test('lines of either API are added up, wherever the stream is cut', () => {
  const text = `${[line(chat), line(response), line(undefined, 500), ''].join('\n')}${line(chat)}`;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 })), (sizes) => {
      expect(usedBy(text, sizes)).toMatchObject({ input: 27, output: 12, outputReasoning: 1 });
    }),
  );
});

test('a line that cannot be read makes the sum unknown, and passes all the same', () => {
  expect(usedBy(`${line(chat)}\nnonsense\n`, [])).toBeUndefined();
  expect(usedBy(`${line(chat)}\n[]\n`, [])).toBeUndefined();
});

test('results that used nothing say nothing', () => {
  expect(usedBy(`${line(undefined)}\n`, [])).toBeUndefined();
  expect(usageOfBatch({ usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } })).toBeUndefined();
  expect(usageOfBatch({ usage: null })).toBeUndefined();
});
