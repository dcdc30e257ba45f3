import { describe, expect, test } from 'vitest';
import { everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { tapStream } from '#test/harness/read-stream.ts';
import { type EventTapOptions, eventTap } from './event-tap.ts';
import { soundTap } from './sound-tap.ts';

const picture = 'x'.repeat(40_000);
const usage = { input_tokens: 5, output_tokens: 100, total_tokens: 105 };
const partial = { type: 'image_generation.partial_image', b64_json: picture };
const completed = { type: 'image_generation.completed', b64_json: picture, usage };
const options: EventTapOptions = { endings: 1, count: (endings) => (endings > 0 ? 'counted' : '') };

function stream(...events: readonly (object | string)[]): Buffer {
  const written = events.map((event) => {
    const data = typeof event === 'string' ? event : JSON.stringify(event);
    return `event: some\ndata: ${data}\n\n`;
  });
  return Buffer.from(written.join(''));
}

function pass(pieces: readonly Buffer[], given = options) {
  return tapStream(eventTap(given), pieces);
}

describe('events', () => {
  test('pass as they came, and what they used is read from the last', () => {
    const bytes = stream(partial, completed);
    const { output, report } = pass([bytes]);
    expect(output.equals(bytes)).toBe(true);
    expect(report).toMatchObject({ complete: true, error: undefined, rawUsage: JSON.stringify(usage) });
    expect(report.usage).toMatchObject({ input: 5, output: 100 });
  });

  test('however they are cut', () => {
    const bytes = stream(
      { type: 'transcript.text.delta', delta: 'é' },
      { type: 'transcript.text.done', usage },
    );
    const whole = pass([bytes]);
    expect(pass(oneByOne(bytes))).toEqual(whole);
    for (const pieces of everyCut(bytes)) expect(pass(pieces)).toEqual(whole);
  });

  test('pass whole or not at all', () => {
    const tap = eventTap(options);
    const bytes = stream(partial);
    expect(tap.push(bytes.subarray(0, bytes.length - 1))).toHaveLength(0);
    expect(tap.push(bytes.subarray(bytes.length - 1)).equals(bytes)).toBe(true);
  });

  test('that say nothing of what they used are counted here', () => {
    expect(pass([stream({ type: 'image_edit.completed' })]).report).toMatchObject({
      usage: undefined,
      rawUsage: 'counted',
    });
  });

  test('are not finished before everything that was asked for has come', () => {
    const two = { ...options, endings: 2 };
    expect(pass([stream(completed)], two).report.complete).toBe(false);
    expect(pass([stream(completed, completed)], two).report.complete).toBe(true);
    expect(pass([stream(completed, '[DONE]')], two).report.complete).toBe(true);
    expect(pass([stream(partial)]).report.complete).toBe(false);
  });

  test('that tell of an error make it known and pass', () => {
    const bytes = stream({ type: 'error', error: { code: 'rate_limit_exceeded', message: 'Slow down.' } });
    const { output, report } = pass([bytes]);
    expect(output.equals(bytes)).toBe(true);
    expect(report).toMatchObject({ complete: false, error: { code: 'upstream_rate_limited' } });
  });

  test('that cannot be read end the stream before them', () => {
    const good = stream(partial);
    const { output, report } = pass([Buffer.concat([good, stream('{"type": \u0007')])]);
    expect(output.equals(good)).toBe(true);
    expect(report).toMatchObject({ complete: false, error: { code: 'upstream_invalid' } });
  });
});

test('sound passes untouched, and only its connection knows when it is whole', () => {
  const tap = soundTap('counted');
  const bytes = Buffer.from([0xff, 0xfb, 0x00]);
  expect(tap.push(bytes)).toBe(bytes);
  expect(tap.endsWithConnection).toBe(true);
  expect(tap.end().report).toMatchObject({ complete: false, rawUsage: 'counted', usage: undefined });
});
