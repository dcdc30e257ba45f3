// How an attempt is written down. The payload of a record is an encoded `signalbox.usage.v1.Attempt`: an intent holds the
// fields known before the call, a settlement all of them. Fields of a protobuf message may be joined by joining their
// bytes, so an intent is encoded once, a settlement only adds to it, and the publisher sends what is on disk without
// decoding it. Written by hand because it runs twice per request: a generic encoder takes several times as long.
//
// Frame: marker (4 bytes) | CRC-32 of all that follows (4) | payload length (4) | sequence (6) | kind (1) | 0 (1) | payload
import { crc32 } from 'node:zlib';
import { limits } from '#shared/limits.ts';
import type { Usage } from '../turn/usage.ts';
import type { Intent, Settlement } from './ledger.ts';

export const recordKinds = { head: 1, intent: 2, settlement: 3 } as const;
export type RecordKind = (typeof recordKinds)[keyof typeof recordKinds];

export const frameHeadBytes = 20;
/** "SBJ1": where reading can start again after damage. */
export const frameMarker = 0x31_4a_42_53;
const CHECKED_FROM = 8;
const SEQUENCE_AT = 12;
const KIND_AT = 18;

/** As in `signalbox.usage.v1.Outcome`. */
const outcomeNumbers = { completed: 1, failed: 2, cancelled: 3, interrupted: 4 } as const;

const field = {
  attemptId: 1,
  requestId: 2,
  attemptNumber: 3,
  startedAtMs: 4,
  keyId: 5,
  requestedModel: 6,
  route: 7,
  model: 8,
  deployment: 9,
  provider: 10,
  providerKey: 11,
  upstreamModel: 12,
  operation: 13,
  streamed: 14,
  outcome: 15,
  upstreamStatus: 16,
  errorCode: 17,
  durationMs: 18,
  firstByteMs: 19,
  usage: 20,
  rawUsage: 21,
  tags: 22,
  upstreamId: 23,
  metadata: 24,
  trail: 25,
  shadow: 26,
} as const;

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const UINT32_MAX = 0xff_ff_ff_ff;
/** Longer text is written by the runtime; for shorter the call costs more than the copying. */
const SHORT_TEXT = 40;

/** What a settlement says when nobody was left to write one. */
export interface InterruptedSettlement extends Omit<Settlement, 'outcome'> {
  readonly outcome: 'interrupted';
}

export const interrupted: InterruptedSettlement = {
  outcome: 'interrupted',
  upstreamStatus: 0,
  errorCode: 'interrupted',
  durationMs: 0,
  firstByteMs: 0,
  usage: undefined,
  rawUsage: '',
  upstreamId: '',
};

/** Builds one frame at a time in one buffer; a frame is valid until the next one is begun. */
export class RecordWriter {
  #bytes = Buffer.allocUnsafe(limits.journalRecordBytesMax);
  #at = frameHeadBytes;

  head(epoch: string, nextSequence: number): Buffer {
    this.#at = frameHeadBytes;
    this.#text(1, epoch);
    return this.#frame(recordKinds.head, nextSequence);
  }

  intent(intent: Intent): Buffer {
    this.#at = frameHeadBytes;
    // First, so that recovery finds it without decoding.
    this.#text(field.attemptId, intent.attemptId);
    this.#text(field.requestId, intent.requestId);
    this.#number(field.attemptNumber, intent.attemptNumber);
    this.#number(field.startedAtMs, intent.startedAtMs);
    this.#text(field.keyId, intent.keyId);
    this.#text(field.requestedModel, intent.requestedModel);
    this.#text(field.route, intent.route);
    this.#text(field.model, intent.model);
    this.#text(field.deployment, intent.deployment);
    this.#text(field.provider, intent.provider);
    this.#text(field.providerKey, intent.providerKey);
    this.#text(field.upstreamModel, intent.upstreamModel);
    this.#text(field.operation, intent.operation);
    this.#number(field.streamed, intent.streamed ? 1 : 0);
    this.#text(field.trail, intent.trail);
    this.#number(field.shadow, intent.shadow ? 1 : 0);
    for (const tag of intent.tags) this.#text(field.tags, tag);
    for (const name in intent.metadata) this.#entry(field.metadata, name, intent.metadata[name]!);
    return this.#frame(recordKinds.intent, 0);
  }

  /** An intent that is written again, further on. */
  intentAgain(payload: Uint8Array): Buffer {
    return this.#copy(recordKinds.intent, 0, payload);
  }

  settlement(sequence: number, intent: Uint8Array, settlement: Settlement | InterruptedSettlement): Buffer {
    this.#at = frameHeadBytes;
    this.#raw(intent);
    this.#number(field.outcome, outcomeNumbers[settlement.outcome]);
    this.#number(field.upstreamStatus, settlement.upstreamStatus);
    this.#text(field.errorCode, settlement.errorCode);
    this.#number(field.durationMs, settlement.durationMs);
    this.#number(field.firstByteMs, settlement.firstByteMs);
    if (settlement.usage !== undefined) this.#usage(settlement.usage);
    this.#text(field.upstreamId, settlement.upstreamId);
    // The counts are what matters; an absurdly large raw object must not keep them from being published.
    const room = limits.journalRecordBytesMax - (this.#at + 16);
    if (settlement.rawUsage.length * 3 <= room) this.#text(field.rawUsage, settlement.rawUsage);
    return this.#frame(recordKinds.settlement, sequence);
  }

  /** A settlement that is written again, under another sequence. */
  settlementAgain(sequence: number, payload: Uint8Array): Buffer {
    return this.#copy(recordKinds.settlement, sequence, payload);
  }

  #copy(kind: RecordKind, sequence: number, payload: Uint8Array): Buffer {
    this.#at = frameHeadBytes;
    this.#raw(payload);
    return this.#frame(kind, sequence);
  }

  #frame(kind: RecordKind, sequence: number): Buffer {
    const bytes = this.#bytes;
    bytes.writeUInt32LE(frameMarker, 0);
    bytes.writeUInt32LE(this.#at - frameHeadBytes, CHECKED_FROM);
    bytes.writeUIntLE(sequence, SEQUENCE_AT, 6);
    bytes[KIND_AT] = kind;
    bytes[KIND_AT + 1] = 0;
    bytes.writeUInt32LE(crc32(bytes.subarray(CHECKED_FROM, this.#at)), 4);
    return bytes.subarray(0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  #raw(payload: Uint8Array): void {
    this.#reserve(payload.length);
    this.#bytes.set(payload, this.#at);
    this.#at += payload.length;
  }

  #usage(usage: Usage): void {
    this.#reserve(64);
    this.#tag(field.usage, LENGTH_DELIMITED);
    const lengthAt = this.#at;
    this.#at += 1;
    // At most seven fields of six bytes: the length fits one byte.
    this.#number(1, usage.input);
    this.#number(2, usage.inputCacheRead);
    this.#number(3, usage.inputCacheWrite);
    this.#number(4, usage.inputAudio);
    this.#number(5, usage.output);
    this.#number(6, usage.outputReasoning);
    this.#number(7, usage.outputAudio);
    this.#bytes[lengthAt] = this.#at - lengthAt - 1;
  }

  #tag(number: number, wireType: number): void {
    this.#varint(number * 8 + wireType);
  }

  /** Zero is not written: a reader takes what is absent for zero. */
  #number(number: number, value: number): void {
    // `startedAtMs` is the only field beyond 32 bits.
    const valueMax = number === field.startedAtMs ? Number.MAX_SAFE_INTEGER : UINT32_MAX;
    const whole = Math.min(Math.round(value), valueMax);
    if (!(whole > 0)) return;
    this.#reserve(16);
    this.#tag(number, VARINT);
    this.#varint(whole);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  #text(number: number, text: string): void {
    const { length } = text;
    if (length === 0) return;
    this.#reserve(length * 3 + 16);
    this.#tag(number, LENGTH_DELIMITED);
    if (length <= SHORT_TEXT && this.#shortAscii(text, length)) return;
    this.#varint(Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** One entry of a map: a message of its own, whose length has to be known before it is written. */
  #entry(number: number, key: string, value: string): void {
    const start = this.#at;
    this.#text(1, key);
    this.#text(2, value);
    const entry = Buffer.from(this.#bytes.subarray(start, this.#at));
    this.#at = start;
    this.#reserve(entry.length + 16);
    this.#tag(number, LENGTH_DELIMITED);
    this.#varint(entry.length);
    this.#raw(entry);
  }

  #shortAscii(text: string, length: number): boolean {
    const bytes = this.#bytes;
    const start = this.#at + 1;
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[start + index] = code;
    }
    bytes[this.#at] = length;
    this.#at = start + length;
    return true;
  }
}

export function payloadOf(frame: Buffer): Buffer {
  return frame.subarray(frameHeadBytes);
}

export interface Frame {
  readonly kind: RecordKind;
  readonly sequence: number;
  readonly payload: Buffer;
  /** Where the next frame begins. */
  readonly end: number;
}

/** The frame that begins at `at`; undefined when there is no whole, undamaged one. */
export function readFrame(bytes: Buffer, at: number): Frame | undefined {
  if (at + frameHeadBytes > bytes.length || bytes.readUInt32LE(at) !== frameMarker) return undefined;
  const end = at + frameHeadBytes + bytes.readUInt32LE(at + CHECKED_FROM);
  if (end > bytes.length) return undefined;
  if (crc32(bytes.subarray(at + CHECKED_FROM, end)) !== bytes.readUInt32LE(at + 4)) return undefined;
  const kind = bytes[at + KIND_AT];
  if (kind !== recordKinds.head && kind !== recordKinds.intent && kind !== recordKinds.settlement)
    return undefined;
  const sequence = bytes.readUIntLE(at + SEQUENCE_AT, 6);
  return { kind, sequence, payload: bytes.subarray(at + frameHeadBytes, end), end };
}

const markerBytes = Buffer.alloc(4);
markerBytes.writeUInt32LE(frameMarker);

/** Where the next undamaged frame begins, at or after `at`; -1 when there is none. */
export function findFrame(bytes: Buffer, at: number): number {
  let candidate = bytes.indexOf(markerBytes, at);
  while (candidate !== -1 && readFrame(bytes, candidate) === undefined) {
    candidate = bytes.indexOf(markerBytes, candidate + 1);
  }
  return candidate;
}

/** The attempt a payload is about. It is the first field: one byte of tag, one of length, 36 of text. */
export function attemptIdOf(payload: Buffer): string {
  return payload.toString('latin1', 2, 2 + (payload[1] ?? 0));
}
