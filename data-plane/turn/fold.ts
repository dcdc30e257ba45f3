// A whole message is a fold of events, and unfolding it gives events again: that is how a finished answer is rendered, kept
// and replayed without a second translation. Deltas stay apart inside a block, because a dialect's extras belong to them.
import type { SignalboxError } from '#shared/errors.ts';
import type {
  BlockEvent,
  BlockHead,
  Citation,
  EndReason,
  Extras,
  TokenLogprob,
  TurnEvent,
} from './events.ts';
import type { Signature } from './signature.ts';
import type { Usage } from './usage.ts';

export interface FoldedTurn {
  readonly id: string;
  readonly model: string;
  readonly createdAtMs: number | undefined;
  readonly startExtras: Extras | undefined;
  readonly endExtras: Extras | undefined;
  readonly choices: readonly FoldedChoice[];
  readonly usage: Usage | undefined;
  readonly rawUsage: string;
  /** Set when the turn broke off; what had arrived by then is in `choices`. */
  readonly error: SignalboxError | undefined;
}

export interface FoldedChoice {
  readonly index: number;
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly toolCalls: readonly FoldedToolCall[];
  readonly reason: EndReason['reason'] | undefined;
  readonly stopSequence: string | undefined;
  readonly blocks: readonly FoldedBlock[];
}

export interface FoldedToolCall {
  readonly id: string;
  readonly name: string;
  /** A JSON object; a tool without arguments has `{}`. */
  readonly arguments: string;
  readonly signature: Signature | undefined;
}

export interface FoldedBlock {
  readonly head: BlockHead;
  readonly text: string;
  readonly deltas: readonly string[];
  readonly logprobs: readonly TokenLogprob[];
  readonly citations: readonly Citation[];
  readonly extras: readonly Extras[];
  readonly signature: Signature | undefined;
}

interface GrowingBlock {
  readonly head: BlockHead;
  readonly deltas: string[];
  readonly logprobs: TokenLogprob[];
  readonly citations: Citation[];
  readonly extras: Extras[];
  signature: Signature | undefined;
}

export function foldTurn(events: readonly TurnEvent[]): FoldedTurn {
  const blocks = new Map<number, GrowingBlock>();
  let start: Extract<TurnEvent, { type: 'turn-start' }> | undefined;
  let end: Extract<TurnEvent, { type: 'turn-end' }> | undefined;
  let usage: Extract<TurnEvent, { type: 'usage' }> | undefined;
  let error: SignalboxError | undefined;
  for (const event of events) {
    if (event.type === 'turn-start') start = event;
    else if (event.type === 'usage') usage = event;
    else if (event.type === 'turn-end') end = event;
    else if (event.type === 'turn-error') error = event.error;
    else foldBlockEvent(blocks, event);
  }
  return {
    id: start?.id ?? '',
    model: start?.model ?? '',
    createdAtMs: start?.createdAtMs,
    startExtras: start?.extras,
    endExtras: end?.extras,
    choices: foldChoices([...blocks.values()], end?.reasons ?? []),
    usage: usage?.usage,
    rawUsage: usage?.raw ?? '',
    error,
  };
}

/** The events of a block that is known already, in as many deltas as there are pieces. */
export function unfoldBlock(index: number, block: BlockHead, pieces: readonly string[]): TurnEvent[] {
  return [
    { type: 'block-start', index, block },
    ...pieces.map((text): TurnEvent => ({ type: 'block-delta', index, text })),
    { type: 'block-end', index },
  ];
}

/** What an answer's tool call holds when the model gave no arguments. */
export function completeArguments(text: string): string {
  return text.trim() === '' ? '{}' : text;
}

function foldBlockEvent(blocks: Map<number, GrowingBlock>, event: BlockEvent): void {
  if (event.type === 'block-start') {
    blocks.set(event.index, {
      head: event.block,
      deltas: [],
      logprobs: [],
      citations: [],
      extras: [],
      signature: undefined,
    });
    return;
  }
  const block = blocks.get(event.index);
  if (block === undefined) return;
  if (event.type === 'block-end') {
    block.signature = event.signature;
    return;
  }
  if (event.text !== '') block.deltas.push(event.text);
  if (event.logprobs !== undefined) block.logprobs.push(...event.logprobs);
  if (event.citations !== undefined) block.citations.push(...event.citations);
  if (event.extras !== undefined) block.extras.push(event.extras);
}

function foldChoices(blocks: readonly GrowingBlock[], reasons: readonly EndReason[]): FoldedChoice[] {
  const indexes = new Set([
    ...blocks.map((block) => block.head.choice),
    ...reasons.map((reason) => reason.choice),
  ]);
  const byChoice = Map.groupBy(blocks, (block) => block.head.choice);
  return [...indexes]
    .toSorted((a, b) => a - b)
    .map((index) => {
      const own = (byChoice.get(index) ?? []).map((block) => ({ ...block, text: block.deltas.join('') }));
      const textOf = (kind: BlockHead['kind']) =>
        own
          .filter((block) => block.head.kind === kind)
          .map((block) => block.text)
          .join('');
      const end = reasons.find((reason) => reason.choice === index);
      return {
        index,
        text: textOf('text'),
        reasoning: textOf('reasoning'),
        refusal: textOf('refusal'),
        toolCalls: own.flatMap((block) =>
          block.head.kind === 'tool-call'
            ? [
                {
                  id: block.head.id,
                  name: block.head.name,
                  arguments: completeArguments(block.text),
                  signature: block.head.signature,
                },
              ]
            : [],
        ),
        reason: end?.reason,
        stopSequence: end?.stopSequence,
        blocks: own,
      };
    });
}
