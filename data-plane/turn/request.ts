// What a client asks of a model, in no vendor's words. A field is here when three dialects need it; what only one dialect
// knows stays in extras, rides along so that the dialect can restore its own, and never leaves that dialect's folder.

import type { Signature } from './signature.ts';

/** Fields that only the dialect which decoded them understands. */
type PrivateFields = Readonly<Record<string, unknown>>;

export interface TurnRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice?: ToolChoice;
  readonly parallelToolCalls?: boolean;
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly stop?: readonly string[];
  readonly choices?: number;
  readonly seed?: number;
  /** `none`, `minimal`, `low`, `medium`, `high`, … as OpenAI calls them. */
  readonly reasoningEffort?: string;
  /** A limit of the tokens spent on reasoning, where the client named one; it says more than an effort. */
  readonly reasoningTokens?: number;
  /** Whether the client wants to read the reasoning, or a summary of it. Undefined: as the provider does by default. */
  readonly showReasoning?: boolean;
  readonly logprobs?: LogprobsAsked;
  /** Which of the provider's speeds and prices, in OpenAI's words. A hint: left out where there is no such choice. */
  readonly serviceTier?: string;
  /** How much the model should say: `low`, `medium`, `high`. */
  readonly verbosity?: string;
  /** Whom the client is asking for, for the provider's protection against abuse. */
  readonly endUser?: string;
  readonly responseFormat?: ResponseFormat;
  /** Fields of the client's own dialect that have no canonical name. */
  readonly extras: PrivateFields;
}

export interface LogprobsAsked {
  /** How many of the likeliest tokens at each place, beside the one that was chosen. */
  readonly top: number;
}

export interface Message {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly parts: readonly Part[];
  readonly name?: string;
  readonly extras?: PrivateFields;
}

export type Part = PartContent & {
  readonly extras?: PrivateFields;
  /** A mark up to which a provider may keep the prompt. A hint: providers without such marks leave it out. */
  readonly cacheControl?: PrivateFields;
};

export type PartContent =
  | { readonly kind: 'text'; readonly text: string; readonly signature?: Signature }
  | { readonly kind: 'refusal'; readonly text: string }
  | {
      readonly kind: 'reasoning';
      readonly text: string;
      /** Without one, no maker takes its reasoning back. */
      readonly signature?: Signature;
      readonly isRedacted?: boolean;
    }
  /** `url` may be a data URL, and is wherever the client sent the bytes themselves. */
  | { readonly kind: 'image'; readonly url: string; readonly detail?: string }
  | { readonly kind: 'audio'; readonly data: string; readonly format: string }
  /** A document: by a URL (which may be a data URL), or by the id of what was uploaded to the provider before. */
  | { readonly kind: 'file'; readonly url?: string; readonly fileId?: string; readonly filename?: string }
  | {
      readonly kind: 'tool-call';
      readonly id: string;
      readonly name: string;
      readonly arguments: string;
      readonly signature?: Signature;
    }
  | {
      readonly kind: 'tool-result';
      readonly toolCallId: string;
      readonly parts: readonly Part[];
      readonly isError?: boolean;
    }
  /** Something only the client's dialect knows; another dialect has to refuse it, never to leave it out. */
  | { readonly kind: 'private'; readonly type: string };

export interface Tool {
  readonly name: string;
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly strict?: boolean;
  /** No function of the client's but something of its dialect's vendor. */
  readonly isPrivate?: true;
  readonly cacheControl?: PrivateFields;
  readonly extras?: PrivateFields;
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

export type ResponseFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  /** `fields`: name, description, schema and strict, as OpenAI has them. */
  | { readonly kind: 'schema'; readonly fields: PrivateFields };

/** The request in canonical words alone, for an upstream of another dialect: what only one knows is gone, whole tools and parts too. */
export function withoutExtras(request: TurnRequest): TurnRequest {
  return {
    ...request,
    messages: request.messages.map(({ extras: _, ...message }) => ({
      ...message,
      parts: bare(message.parts),
    })),
    tools: request.tools.flatMap(({ extras: _, ...tool }) => (tool.isPrivate === true ? [] : [tool])),
    extras: {},
  };
}

function bare(parts: readonly Part[]): readonly Part[] {
  return parts.flatMap(({ extras: _, ...part }): Part[] => {
    if (part.kind === 'private') return [];
    return [part.kind === 'tool-result' ? { ...part, parts: bare(part.parts) } : part];
  });
}
