// What a client asks of a model, in no vendor's words. A field is here when three dialects need it; what only one dialect
// knows stays in extras, rides along so that the dialect can restore its own, and never leaves that dialect's folder.

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
  readonly stop?: readonly string[];
  readonly choices?: number;
  readonly seed?: number;
  readonly reasoningEffort?: string;
  /** Whom the client is asking for, for the provider's protection against abuse. */
  readonly endUser?: string;
  readonly responseFormat?: ResponseFormat;
  /** Fields of the client's own dialect that have no canonical name. */
  readonly extras: PrivateFields;
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
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'refusal'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly signature?: string }
  | { readonly kind: 'image'; readonly url: string; readonly detail?: string }
  | { readonly kind: 'audio'; readonly data: string; readonly format: string }
  | { readonly kind: 'file'; readonly fields: PrivateFields }
  | { readonly kind: 'tool-call'; readonly id: string; readonly name: string; readonly arguments: string }
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
  readonly cacheControl?: PrivateFields;
  readonly extras?: PrivateFields;
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

export type ResponseFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | { readonly kind: 'schema'; readonly fields: PrivateFields };

/** The request in canonical words alone, for an upstream of another dialect. */
export function withoutExtras(request: TurnRequest): TurnRequest {
  return {
    ...request,
    messages: request.messages.map(({ extras: _, ...message }) => ({
      ...message,
      parts: message.parts.map(bare),
    })),
    tools: request.tools.map(({ extras: _, ...tool }) => tool),
    extras: {},
  };
}

function bare({ extras: _, ...part }: Part): Part {
  return part.kind === 'tool-result' ? { ...part, parts: part.parts.map(bare) } : part;
}
