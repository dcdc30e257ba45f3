import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { BeginSchema, ChunkSchema, CommitSchema, Encoding } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { newSealingKeyPair } from '#shared/crypto/sealed-key.ts';
import { limits } from '#shared/limits.ts';
import { ConfigurationSource, type TransferMessage } from '#test/harness/configuration-source.ts';
import { applyTransfer, type Configuration } from './configuration.ts';
import { type Received, Receiver, type Running } from './receiver.ts';

const node = newSealingKeyPair();
const nowhere: Running = { historyId: '', revision: 0n };

function receiverAt(running: Running = nowhere, highWater = 0n): Receiver {
  return new Receiver(
    () => running,
    () => highWater,
  );
}

function feed(receiver: Receiver, message: TransferMessage): Received {
  switch (message.case) {
    case 'begin':
      return receiver.begin(create(BeginSchema, message.value));
    case 'chunk':
      return receiver.chunk(create(ChunkSchema, message.value));
    case 'commit':
      return receiver.commit(create(CommitSchema, message.value));
  }
}

function feedAll(receiver: Receiver, messages: readonly TransferMessage[]): Received {
  return messages.map((message) => feed(receiver, message)).at(-1)!;
}

function someSource(keys = 3): ConfigurationSource {
  const source = new ConfigurationSource();
  for (let index = 0; index < keys; index++) source.key(`key_${index}`);
  return source;
}

const codeOf = (received: Received) =>
  received.type === 'refused' ? received.reasons[0]?.code : received.type;

describe('a transfer', () => {
  test('is handed out once all of it has arrived', () => {
    const source = someSource(1200);
    const messages = source.transfer({ nonce: 7n, sealingKey: node.publicKey });
    const receiver = receiverAt();
    for (const message of messages.slice(0, -1)) expect(feed(receiver, message)).toEqual({ type: 'nothing' });
    const received = feed(receiver, messages.at(-1)!);
    expect(received).toMatchObject({
      type: 'transfer',
      nonce: 7n,
      transfer: { full: true, toRevision: 1201n },
    });
    expect(feed(receiver, messages.at(-1)!)).toEqual({ type: 'nothing' });
  });

  test('of an older revision than the node runs is refused at its Begin', () => {
    const source = someSource();
    const running = { historyId: source.historyId, revision: source.revision + 1n };
    const [begin, ...rest] = source.transfer({ nonce: 1n, sealingKey: node.publicKey });
    const receiver = receiverAt(running);
    const refused = feed(receiver, begin!);
    expect(codeOf(refused)).toBe('rollback');
    for (const message of rest) expect(feed(receiver, message)).toEqual({ type: 'nothing' });
  });

  test('of an older revision than the node ever stored is refused, even when it runs nothing', () => {
    const source = someSource();
    const messages = source.transfer({ nonce: 1n, sealingKey: node.publicKey });
    expect(codeOf(feed(receiverAt(nowhere, source.revision + 1n), messages[0]!))).toBe('rollback');
    expect(feedAll(receiverAt(nowhere, source.revision), messages).type).toBe('transfer');
  });

  test('of a lower revision of another history is taken when it replaces everything', () => {
    const source = someSource();
    const running = { historyId: 'history_before', revision: 1_000_000n };
    const messages = source.transfer({ nonce: 1n, sealingKey: node.publicKey });
    expect(feedAll(receiverAt(running), messages).type).toBe('transfer');
  });

  test.each([
    { from: 'another history', running: { historyId: 'history_before', revision: 2n } },
    { from: 'another revision', running: { historyId: undefined, revision: 1n } },
  ])('that changes $from than the node runs is refused as not fitting', ({ running }) => {
    const source = someSource();
    const at = { historyId: running.historyId ?? source.historyId, revision: running.revision };
    const [begin] = source.transfer({ nonce: 1n, sealingKey: node.publicKey, from: 2n });
    expect(codeOf(feed(receiverAt(at), begin!))).toBe('base_mismatch');
  });

  test('larger than this build holds is refused before a byte of it is kept', () => {
    const totalBytes = BigInt(limits.syncTransferBytesMax) + 1n;
    const begin = create(BeginSchema, { nonce: 1n, full: true, toRevision: 1n, totalBytes });
    expect(codeOf(receiverAt().begin(begin))).toBe('too_large');
  });

  test('that sends more than it announced is given up at the chunk that is too much', () => {
    const [begin, chunk] = someSource().transfer({ nonce: 1n, sealingKey: node.publicKey });
    const receiver = receiverAt();
    feed(receiver, begin!);
    expect(feed(receiver, chunk!)).toEqual({ type: 'nothing' });
    expect(codeOf(feed(receiver, chunk!))).toBe('transfer_damaged');
  });

  test('with one wrong bit is given up, compressed or not', () => {
    for (const encoding of [Encoding.IDENTITY, Encoding.GZIP]) {
      const [begin, chunk, commit] = someSource().transfer({
        nonce: 1n,
        sealingKey: node.publicKey,
        encoding,
      });
      const receiver = receiverAt();
      feed(receiver, begin!);
      feed(receiver, disturb([chunk!], { kind: 'flip', at: 0, bit: 777 })[0]!);
      expect(codeOf(feed(receiver, commit!))).toBe('transfer_damaged');
    }
  });

  test('is not begun anew by a Begin that comes twice', () => {
    const [begin, ...rest] = someSource().transfer({ nonce: 1n, sealingKey: node.publicKey });
    const receiver = receiverAt();
    feedAll(receiver, [begin!, ...rest.slice(0, -1), begin!]);
    expect(feed(receiver, rest.at(-1)!).type).toBe('transfer');
    expect(feedAll(receiver, [begin!, ...rest])).toEqual({ type: 'nothing' });
  });

  test('interrupted by another gives way to it', () => {
    const source = someSource();
    const first = source.transfer({ nonce: 1n, sealingKey: node.publicKey });
    source.key('key_late');
    const second = source.transfer({ nonce: 2n, sealingKey: node.publicKey });
    const receiver = receiverAt();
    feedAll(receiver, first.slice(0, 2));
    feed(receiver, second[0]!);
    expect(feed(receiver, first[2]!)).toEqual({ type: 'nothing' });
    expect(feedAll(receiver, second.slice(1))).toMatchObject({ transfer: { toRevision: source.revision } });
  });
});

// Whatever a line, a bug or a liar does to the messages: what the node runs afterwards is what it ran before, or all of
// what the control plane signed.
test('no disturbance of a stream ever puts part of a transfer in force', async () => {
  const source = new ConfigurationSource();
  for (let index = 0; index < 30; index++) source.key(`key_${index}`);
  const base = await inForce(undefined, source.transfer({ nonce: 1n, sealingKey: node.publicKey }), source);
  const before = source.revision;
  for (let index = 30; index < 40; index++) source.key(`key_${index}`);
  source.remove(ResourceType.API_KEY, 'key_3');
  const after = source.digest();
  const delta = source.transfer({ nonce: 2n, sealingKey: node.publicKey, from: before });
  const full = source.transfer({ nonce: 3n, sealingKey: node.publicKey });

  const disturbance = fc.oneof(
    fc.record({ kind: fc.constant('drop' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('repeat' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('swap' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('stale' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat() }),
    fc.record({ kind: fc.constant('digest' as const), at: fc.nat(), bit: fc.nat() }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom([...delta], [...full], [...delta, ...full], [...full, ...delta]),
      fc.array(disturbance, { maxLength: 4 }),
      async (messages, disturbances) => {
        const stream = disturbances.reduce<readonly TransferMessage[]>(disturb, messages);
        const running = await inForce(base, stream, source);
        const digest = running!.compilation.resources.digest();
        if (running === base) expect(digest.equals(after)).toBe(false);
        else expect(digest.equals(after)).toBe(true);
        expect(running!.compilation.snapshot.keys.size).toBe(running === base ? 30 : 39);
        if (disturbances.length === 0) expect(running).not.toBe(base);
      },
    ),
    { numRuns: 400 },
  );
});

/** What a node runs after it has read the messages. */
async function inForce(
  running: Configuration | undefined,
  messages: readonly TransferMessage[],
  source: ConfigurationSource,
): Promise<Configuration | undefined> {
  let current = running;
  const receiver = new Receiver(
    () => current ?? nowhere,
    () => 0n,
  );
  for (const message of messages) {
    const received = feed(receiver, message);
    if (received.type !== 'transfer') continue;
    const result = await applyTransfer({
      transfer: received.transfer,
      running: current,
      sealingKey: node.privateKey,
      signingKey: source.signingKey,
      providerFor: () => undefined,
      clock: systemClock,
    });
    if (result.type === 'applied') current = result.configuration;
  }
  return current;
}

function disturb(
  messages: readonly TransferMessage[],
  { kind, at, ...rest }: { kind: string; at: number; bit?: number },
): readonly TransferMessage[] {
  if (messages.length === 0) return messages;
  const index = at % messages.length;
  const message = messages[index]!;
  const flipped = (bytes: Uint8Array) => {
    const copy = Buffer.from(bytes);
    const bit = (rest.bit ?? 0) % (copy.length * 8 || 1);
    if (copy.length > 0) copy[bit >> 3]! ^= 1 << (bit & 7);
    return copy;
  };
  switch (kind) {
    case 'drop':
      return messages.toSpliced(index, 1);
    case 'repeat':
      return messages.toSpliced(index, 0, message);
    case 'swap':
      return messages.toSpliced(index, 2, ...messages.slice(index, index + 2).toReversed());
    case 'cut':
      return messages.slice(0, index);
    case 'stale':
      return messages.toSpliced(index, 1, {
        ...message,
        value: { ...message.value, nonce: 1n },
      } as TransferMessage);
    case 'flip':
      if (message.case !== 'chunk') return messages;
      return messages.toSpliced(index, 1, {
        case: 'chunk',
        value: { ...message.value, data: flipped(message.value.data!) },
      });
    default:
      if (message.case !== 'commit') return messages;
      return messages.toSpliced(index, 1, {
        case: 'commit',
        value: { ...message.value, digest: flipped(message.value.digest!) },
      });
  }
}
