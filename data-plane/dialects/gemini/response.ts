// What an upstream answers, as events. One machine reads streams and whole bodies: a chunk of a stream is an answer of which more will
// come. Calls come whole, several at once or one after the other, and the answer ends as if there were none; counts stand on every
// chunk and the last hold; there is no mark at the end, so a stream is whole when every candidate has said why it ended, or the prompt
// was refused.
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectsIn, rest, textOf } from '../../json/values.ts';
import type { BlockHead, Citation, EndReason, TokenLogprob, TurnEvent } from '../../turn/events.ts';
import { parseSignature, type Signature } from '../../turn/signature.ts';
import { truncated } from '../../turn/truncated.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { Reader } from '../dialect.ts';
import { errorInStream } from '../read-error.ts';
import { TurnQueue } from '../turn-queue.ts';
import { readCitations } from './citations.ts';
import { readLogprobs } from './logprobs.ts';
import { findUsage } from './usage.ts';
import { brokenEnds, endReasons, extrasOf, finishWord, named, unreadable, wireReasons } from './wire.ts';

export function reader(): Reader {
  return new GeminiReader();
}

/** Throws `upstream_invalid` when the body is no answer. A stream that was asked for as one list is a body too. */
export function unfold(body: Buffer): TurnEvent[] {
  let answer: unknown;
  try {
    answer = parseJson(body);
  } catch (cause) {
    throw unreadable(cause);
  }
  const chunks = Array.isArray(answer) ? answer : [answer];
  const machine = new GeminiReader();
  const events = chunks.flatMap((chunk) => machine.take(chunk));
  return [...events, ...machine.finish()];
}

const chunkFields = ['candidates', 'usageMetadata', 'modelVersion', 'responseId', 'promptFeedback', 'error'];
const candidateFields = ['content', 'index', 'finishReason'];

interface Flow {
  readonly kind: 'text' | 'reasoning' | 'audio';
  readonly index: number;
  /** Where its text begins in what the candidate has said. */
  readonly from: number;
  signature: Signature | undefined;
}

interface Candidate {
  readonly index: number;
  flow: Flow | undefined;
  text: string;
  hadCalls: boolean;
  finish: string;
  extras: JsonObject;
}

class GeminiReader implements Reader {
  readonly #turn = new TurnQueue();
  readonly #candidates = new Map<number, Candidate>();
  #feedback: JsonObject | undefined;
  #sawAnswer = false;
  #usage: FoundUsage | undefined;

  push(frame: Frame): TurnEvent[] {
    if (this.#turn.state === 'closed' || frame.data.trim() === '') return [];
    try {
      return this.take(parseJson(frame.data));
    } catch (thrown) {
      this.#fail(frame.unterminated ? truncated() : unreadable(thrown));
      return this.#turn.flush();
    }
  }

  end(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    const candidates = [...this.#candidates.values()];
    const isFinished = candidates.length > 0 && candidates.every(({ finish }) => finish !== '');
    if (isFinished || this.#isBlocked()) this.#endTurn();
    else this.#fail(truncated());
    return this.#turn.flush();
  }

  /** A chunk, or a whole answer. Throws when it is neither. */
  take(value: unknown): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    // Errors come in a list now and then.
    const answer = named(Array.isArray(value) ? value[0] : value);
    if (isObject(answer.error)) this.#fail(errorInStream(answer));
    else if (isAnswer(answer)) this.#takeAnswer(answer);
    else throw unreadable(undefined);
    return this.#turn.flush();
  }

  /** Nothing more will come, and nothing is missing. */
  finish(): TurnEvent[] {
    if (this.#turn.state === 'closed') return [];
    if (!this.#sawAnswer) throw unreadable(undefined);
    this.#endTurn();
    return this.#turn.flush();
  }

  #takeAnswer(answer: JsonObject): void {
    this.#sawAnswer = true;
    this.#usage = findUsage(answer) ?? this.#usage;
    if (this.#turn.state === 'waiting') this.#start(answer);
    if (isObject(answer.promptFeedback)) this.#feedback = answer.promptFeedback;
    for (const candidate of objectsIn(answer.candidates)) this.#takeCandidate(named(candidate));
  }

  #start(answer: JsonObject): void {
    const fields = rest(answer, chunkFields);
    this.#turn.start({
      id: textOf(answer.responseId),
      model: textOf(answer.modelVersion),
      ...(fields === undefined ? {} : { extras: extrasOf(fields) }),
    });
  }

  #takeCandidate(wire: JsonObject): void {
    const candidate = this.#candidate(wire.index);
    candidate.extras = { ...candidate.extras, ...rest(wire, candidateFields) };
    let logprobs = readLogprobs(wire.logprobsResult);
    for (const part of objectsIn(named(wire.content).parts)) {
      const took = this.#takePart(candidate, named(part), logprobs);
      if (took) logprobs = [];
    }
    // Likelihoods that came without a text belong to the one before.
    if (logprobs.length > 0 && candidate.flow?.kind === 'text') this.#say(candidate.flow, '', { logprobs });
    const finish = finishWord(wire.finishReason);
    if (finish === '') return;
    candidate.finish ||= finish;
    this.#closeCandidate(candidate);
  }

  #candidate(index: unknown): Candidate {
    const key = typeof index === 'number' && Number.isSafeInteger(index) && index >= 0 ? index : 0;
    const known = this.#candidates.get(key);
    if (known !== undefined) return known;
    const candidate: Candidate = {
      index: key,
      flow: undefined,
      text: '',
      hadCalls: false,
      finish: '',
      extras: {},
    };
    this.#candidates.set(key, candidate);
    return candidate;
  }

  /** Whether the likelihoods went out with it. */
  #takePart(candidate: Candidate, part: JsonObject, logprobs: readonly TokenLogprob[]): boolean {
    const written = textOf(part.thoughtSignature);
    const signature = written === '' ? undefined : parseSignature(written, 'google');
    const isThought = part.thought === true;
    if (isObject(part.functionCall)) this.#takeCall(candidate, named(part.functionCall), signature);
    else if (isThought && part.text === undefined && signature !== undefined)
      this.#takeRedacted(candidate, signature);
    else if (typeof part.text === 'string' || isOnlySigned(part)) {
      return this.#takeText(
        candidate,
        isThought ? 'reasoning' : 'text',
        textOf(part.text),
        signature,
        logprobs,
      );
    } else if (isObject(part.inlineData) && !isThought)
      this.#takeData(candidate, part, named(part.inlineData));
    else if (Object.keys(part).length > 0) this.#takePrivate(candidate, part);
    return false;
  }

  #takeText(
    candidate: Candidate,
    kind: 'text' | 'reasoning',
    text: string,
    signature: Signature | undefined,
    logprobs: readonly TokenLogprob[],
  ): boolean {
    if (text === '' && signature === undefined) return false;
    const flow = this.#flow(candidate, kind);
    const hasLogprobs = kind === 'text' && logprobs.length > 0;
    if (text !== '' || hasLogprobs) this.#say(flow, text, hasLogprobs ? { logprobs } : {});
    if (kind === 'text') candidate.text += text;
    flow.signature = signature;
    return hasLogprobs;
  }

  #takeCall(candidate: Candidate, call: JsonObject, signature: Signature | undefined): void {
    this.#closeFlow(candidate);
    candidate.hadCalls = true;
    const args = isObject(call.args) ? call.args : {};
    this.#block(
      {
        kind: 'tool-call',
        choice: candidate.index,
        id: textOf(call.id) || prefixedId('call'),
        name: textOf(call.name),
        ...(signature === undefined ? {} : { signature }),
      },
      JSON.stringify(args),
    );
  }

  #takeData(candidate: Candidate, part: JsonObject, { mimeType, data }: JsonObject): void {
    const mediaType = textOf(mimeType);
    if (mediaType.startsWith('image/')) {
      this.#closeFlow(candidate);
      this.#block({ kind: 'image', choice: candidate.index, mediaType }, textOf(data));
    } else if (mediaType.startsWith('audio/')) {
      const flow = this.#flow(candidate, 'audio');
      const extras = extrasOf({ mimeType: mediaType });
      this.#turn.push({ type: 'block-delta', index: flow.index, text: textOf(data), extras });
    } else this.#takePrivate(candidate, part);
  }

  /** A thought that may be handed back and not be read. */
  #takeRedacted(candidate: Candidate, signature: Signature): void {
    this.#closeFlow(candidate);
    const index = this.#turn.open({ kind: 'reasoning', choice: candidate.index, isRedacted: true });
    this.#turn.push({ type: 'block-end', index, signature });
  }

  #takePrivate(candidate: Candidate, part: JsonObject): void {
    this.#closeFlow(candidate);
    this.#block({ kind: 'private', choice: candidate.index, extras: extrasOf({ part }) }, '');
  }

  /** A block that is known whole. */
  #block(block: BlockHead, text: string): void {
    const index = this.#turn.open(block);
    if (text !== '') this.#turn.push({ type: 'block-delta', index, text });
    this.#turn.push({ type: 'block-end', index });
  }

  /** What follows a signature is another text. */
  #flow(candidate: Candidate, kind: Flow['kind']): Flow {
    if (candidate.flow?.kind === kind && candidate.flow.signature === undefined) return candidate.flow;
    this.#closeFlow(candidate);
    const choice = candidate.index;
    const index = this.#turn.open(
      kind === 'audio' ? { kind, choice, id: prefixedId('audio') } : { kind, choice },
    );
    candidate.flow = { kind, index, from: candidate.text.length, signature: undefined };
    return candidate.flow;
  }

  #say(
    { index }: Flow,
    text: string,
    more: { readonly logprobs?: readonly TokenLogprob[]; readonly citations?: readonly Citation[] },
  ): void {
    this.#turn.push({ type: 'block-delta', index, text, ...more });
  }

  #closeFlow(candidate: Candidate): void {
    const { flow } = candidate;
    if (flow === undefined) return;
    candidate.flow = undefined;
    const { index, signature } = flow;
    this.#turn.push({ type: 'block-end', index, ...(signature === undefined ? {} : { signature }) });
  }

  #closeCandidate(candidate: Candidate): void {
    const { flow, extras, text } = candidate;
    if (flow?.kind === 'text') {
      const citations = readCitations(extras, text, flow.from);
      if (citations.length > 0) this.#say(flow, '', { citations });
    }
    this.#closeFlow(candidate);
  }

  #isBlocked(): boolean {
    return this.#feedback?.blockReason !== undefined || this.#feedback?.block_reason !== undefined;
  }

  #endTurn(): void {
    const candidates = [...this.#candidates.values()].toSorted((one, other) => one.index - other.index);
    const broken = candidates.find(({ finish, hadCalls }) => brokenEnds.includes(finish) && !hadCalls);
    if (broken !== undefined) {
      this.#fail(malformed(broken.finish));
      return;
    }
    for (const candidate of candidates) this.#closeCandidate(candidate);
    this.#turn.report(this.#usage);
    const fields = endFields(candidates, this.#feedback);
    this.#turn.end(
      candidates.length === 0
        ? [{ choice: 0, reason: 'content-filter' }]
        : candidates.map((candidate) => ({ choice: candidate.index, reason: reasonOf(candidate) })),
      fields && extrasOf(fields),
    );
  }

  #fail(error: SignalboxError): void {
    if (this.#turn.state === 'open') {
      for (const candidate of this.#candidates.values()) this.#closeFlow(candidate);
      this.#turn.report(this.#usage);
    }
    this.#turn.fail(error);
  }
}

function isAnswer(answer: JsonObject): boolean {
  return chunkFields.some((field) => answer[field] !== undefined);
}

function isOnlySigned(part: JsonObject): boolean {
  return Object.keys(part).every((name) => name === 'thought' || name === 'thoughtSignature');
}

function reasonOf({ finish, hadCalls }: Candidate): EndReason['reason'] {
  const reason = endReasons[finish] ?? 'stop';
  return reason === 'stop' && hadCalls ? 'tool-calls' : reason;
}

function endFields(
  candidates: readonly Candidate[],
  feedback: JsonObject | undefined,
): JsonObject | undefined {
  const ofCandidates = candidates.flatMap((candidate) => {
    const isRestored = candidate.finish === '' || wireReasons[reasonOf(candidate)] === candidate.finish;
    const fields = { ...candidate.extras, ...(isRestored ? {} : { finishReason: candidate.finish }) };
    return Object.keys(fields).length === 0 ? [] : [[String(candidate.index), fields] as const];
  });
  const fields = {
    ...(feedback === undefined ? {} : { promptFeedback: feedback }),
    ...(ofCandidates.length === 0 ? {} : { candidates: Object.fromEntries(ofCandidates) }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function malformed(finish: string): SignalboxError {
  return new SignalboxError(
    'upstream_error',
    `The model ended with ${finish}: what it wrote cannot be read. Send the request again.`,
  );
}
