import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AttemptSchema, Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { limits } from '#shared/limits.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';
import {
  attemptIdOf,
  findFrame,
  interrupted,
  payloadOf,
  RecordWriter,
  readFrame,
  recordKinds,
} from './record.ts';

const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constant('x'.repeat(300)),
);
const uint32 = fc.integer({ min: 0, max: 0xff_ff_ff_ff });

const intents = fc.record({
  attemptId: fc.uuid(),
  requestId: text,
  attemptNumber: fc.integer({ min: 1, max: 8 }),
  startedAtMs: fc.integer({ min: 0, max: 8_640_000_000_000 }),
  keyId: text,
  requestedModel: text,
  route: text,
  model: text,
  deployment: text,
  provider: text,
  providerKey: text,
  upstreamModel: text,
  operation: text,
  streamed: fc.boolean(),
  tags: fc.array(
    text.filter((tag) => tag !== ''),
    { maxLength: 4 },
  ),
  metadata: fc.dictionary(text, text, { maxKeys: 4 }),
  trail: text,
  shadow: fc.boolean(),
});

const usages = fc.record({
  input: uint32,
  inputCacheRead: uint32,
  inputCacheWrite: uint32,
  inputAudio: uint32,
  output: uint32,
  outputReasoning: uint32,
  outputAudio: uint32,
});

const settlements = fc.record({
  outcome: fc.constantFrom('completed' as const, 'failed' as const, 'cancelled' as const),
  upstreamStatus: fc.integer({ min: 0, max: 599 }),
  errorCode: fc.constantFrom('' as const, 'upstream_error' as const),
  durationMs: uint32,
  firstByteMs: uint32,
  usage: fc.option(usages, { nil: undefined }),
  rawUsage: text,
  upstreamId: text,
});

const outcomeNumbers = { completed: Outcome.COMPLETED, failed: Outcome.FAILED, cancelled: Outcome.CANCELLED };

function settledFrame(writer = new RecordWriter(), sequence = 7): Buffer {
  const intent = Buffer.from(payloadOf(writer.intent(madeIntent())));
  return Buffer.from(writer.settlement(sequence, intent, madeSettlement()));
}

describe('a settlement', () => {
  test('reads back through the generated code as what was written', () => {
    const writer = new RecordWriter();
    fc.assert(
      fc.property(
        intents,
        settlements,
        fc.integer({ min: 1, max: 2 ** 48 - 1 }),
        (intent, settlement, sequence) => {
          const payload = Buffer.from(payloadOf(writer.intent(intent)));
          const frame = readFrame(writer.settlement(sequence, payload, settlement), 0);
          expect(frame).toMatchObject({ kind: recordKinds.settlement, sequence });
          expect(attemptIdOf(frame!.payload)).toBe(intent.attemptId);
          const { $typeName: _, usage, ...attempt } = fromBinary(AttemptSchema, frame!.payload);
          const { usage: expectedUsage, ...expected } = settlement;
          expect(attempt).toEqual({
            ...intent,
            startedAtMs: BigInt(intent.startedAtMs),
            ...expected,
            outcome: outcomeNumbers[settlement.outcome],
          });
          if (expectedUsage === undefined) expect(usage).toBeUndefined();
          else expect(usage).toMatchObject(expectedUsage);
        },
      ),
    );
  });

  test('that nobody was left to write says that the attempt was interrupted and its usage is not known', () => {
    const writer = new RecordWriter();
    const intent = Buffer.from(payloadOf(writer.intent(madeIntent())));
    const frame = readFrame(writer.settlement(1, intent, interrupted), 0)!;
    const attempt = fromBinary(AttemptSchema, frame.payload);
    expect(attempt).toMatchObject({ outcome: Outcome.INTERRUPTED, errorCode: 'interrupted' });
    expect(attempt.usage).toBeUndefined();
  });

  test('keeps its counts and goes without the raw object when that would not fit a batch', () => {
    const writer = new RecordWriter();
    const intent = Buffer.from(payloadOf(writer.intent(madeIntent())));
    const huge = madeSettlement({ rawUsage: 'x'.repeat(limits.journalRecordBytesMax) });
    const frame = readFrame(writer.settlement(1, intent, huge), 0)!;
    const attempt = fromBinary(AttemptSchema, frame.payload);
    expect(attempt.rawUsage).toBe('');
    expect(attempt.usage).toMatchObject({ input: 10, output: 20 });
  });

  test('with impossible counts has the nearest possible ones', () => {
    const writer = new RecordWriter();
    const intent = Buffer.from(payloadOf(writer.intent(madeIntent())));
    const usage = {
      ...madeSettlement().usage!,
      input: -5,
      output: 2 ** 40,
      inputAudio: Number.NaN,
      outputAudio: 1.5,
    };
    const frame = readFrame(writer.settlement(1, intent, madeSettlement({ usage })), 0)!;
    expect(fromBinary(AttemptSchema, frame.payload).usage).toMatchObject({
      input: 0,
      output: 2 ** 32 - 1,
      inputAudio: 0,
      outputAudio: 2,
    });
  });
});

describe('a damaged frame', () => {
  test('is not read when it ends anywhere before its end', () => {
    const frame = settledFrame();
    for (let length = 0; length < frame.length; length += 1) {
      expect(readFrame(frame.subarray(0, length), 0)).toBeUndefined();
    }
    expect(readFrame(frame, 0)).toMatchObject({ sequence: 7, end: frame.length });
  });

  test('is not read when any single bit of it is wrong', () => {
    const frame = settledFrame();
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const damaged = Buffer.from(frame);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(readFrame(damaged, 0), `bit ${bit}`).toBeUndefined();
    }
  });

  test('does not hide the next one', () => {
    const writer = new RecordWriter();
    const [first, second, third] = [
      settledFrame(writer, 1),
      settledFrame(writer, 2),
      settledFrame(writer, 3),
    ];
    fc.assert(
      fc.property(fc.nat(second.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 }), (at, noise) => {
        const damaged = Buffer.concat([first, second.subarray(0, at), noise, third]);
        expect(readFrame(damaged, 0)?.sequence).toBe(1);
        const next = findFrame(damaged, first.length);
        expect(readFrame(damaged, next)?.sequence).toBe(3);
      }),
    );
  });
});
