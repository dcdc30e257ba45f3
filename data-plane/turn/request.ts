// What a client asks of a model, in no vendor's words. A field is here when three dialects need it; what only one dialect
// knows stays in its extras and never leaves its folder.

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
  readonly responseFormat?: ResponseFormat;
  /** Fields of the client's own dialect that have no canonical name. */
  readonly extras: Readonly<Record<string, unknown>>;
}

export interface Message {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly parts: readonly Part[];
  readonly name?: string;
  readonly extras?: Readonly<Record<string, unknown>>;
}

export type Part =
  | { readonly kind: 'text'; readonly text: string; readonly extras?: Readonly<Record<string, unknown>> }
  | { readonly kind: 'refusal'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly signature?: string }
  | { readonly kind: 'image'; readonly url: string; readonly detail?: string }
  | { readonly kind: 'audio'; readonly data: string; readonly format: string }
  | { readonly kind: 'file'; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly kind: 'tool-call'; readonly id: string; readonly name: string; readonly arguments: string }
  | { readonly kind: 'tool-result'; readonly toolCallId: string; readonly parts: readonly Part[] };

export interface Tool {
  readonly name: string;
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly strict?: boolean;
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

export type ResponseFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | { readonly kind: 'schema'; readonly fields: Readonly<Record<string, unknown>> };
