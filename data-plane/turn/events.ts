// A turn is one answer of a model, as events: the language in which dialects meet. Readers turn upstream frames into
// events, writers turn events into client frames, and neither knows the other.
//
//   turn := turn-start block* usage* turn-end | [turn-start block* usage*] turn-error
//   block := block-start block-delta* block-end        blocks interleave by index
//
// A turn that fails before it began is a turn-error alone, so that nothing has been sent yet and another upstream may be
// asked; a turn-error may leave blocks open. A whole body unfolds into the events it would have streamed; a whole message is
// a fold of events.
import type { SignalboxError } from '#shared/errors.ts';
import type { Signature } from './signature.ts';
import type { Usage } from './usage.ts';

export type TurnEvent =
  | {
      readonly type: 'turn-start';
      readonly id: string;
      readonly model: string;
      readonly createdAtMs?: number;
      readonly extras?: Extras;
    }
  | { readonly type: 'block-start'; readonly index: number; readonly block: BlockHead }
  | {
      readonly type: 'block-delta';
      readonly index: number;
      readonly text: string;
      /** Of the tokens in this text, where the caller asked. */
      readonly logprobs?: readonly TokenLogprob[];
      /** Sources of what this block has said so far. */
      readonly citations?: readonly Citation[];
      readonly extras?: Extras;
    }
  | { readonly type: 'block-end'; readonly index: number; readonly signature?: Signature }
  | { readonly type: 'usage'; readonly usage: Usage; readonly raw: string }
  | { readonly type: 'turn-end'; readonly reasons: readonly EndReason[]; readonly extras?: Extras }
  | { readonly type: 'turn-error'; readonly error: SignalboxError };

export type BlockEvent = Extract<TurnEvent, { type: 'block-start' | 'block-delta' | 'block-end' }>;

/** What a block is. `choice` is the alternative it belongs to where a caller asked for several (`n`). */
export type BlockHead =
  | { readonly kind: 'text'; readonly choice: number }
  /** Redacted reasoning has no text: all there is of it is the signature at its end. */
  | { readonly kind: 'reasoning'; readonly choice: number; readonly isRedacted?: boolean }
  | { readonly kind: 'refusal'; readonly choice: number }
  | { readonly kind: 'audio'; readonly choice: number; readonly id: string }
  /** A picture that the model made; its text is the picture in base64. */
  | { readonly kind: 'image'; readonly choice: number; readonly mediaType: string }
  /** Something only the dialect that read it can restore (a search of the provider's own, encrypted reasoning). */
  | { readonly kind: 'private'; readonly choice: number; readonly extras: Extras }
  | {
      readonly kind: 'tool-call';
      readonly choice: number;
      readonly id: string;
      readonly name: string;
      /** Some makers sign the call itself. */
      readonly signature?: Signature;
    };

/** Why one choice ended. */
export interface EndReason {
  readonly choice: number;
  readonly reason: 'stop' | 'length' | 'tool-calls' | 'content-filter';
  /** Which of the caller's stop sequences it was, where the provider says so. */
  readonly stopSequence?: string;
}

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes?: readonly number[];
  /** The likeliest tokens at this place, this one perhaps among them. */
  readonly top: readonly Omit<TokenLogprob, 'top'>[];
}

/** Where something that a block says was taken from. */
export interface Citation {
  /** Characters of the block's text, from `start` to before `end`; absent when the provider does not say which. */
  readonly start?: number;
  readonly end?: number;
  readonly url?: string;
  readonly title?: string;
  /** The words of the source. */
  readonly quote?: string;
}

/**
 * Fields that only one dialect knows (service tier, fingerprint). They ride along so that a dialect can restore its own;
 * every other dialect ignores them.
 */
export interface Extras {
  readonly dialect: string;
  readonly fields: Readonly<Record<string, unknown>>;
}
