// Converse is one API for all models, up to a point: what only some of them know travels in fields of their makers' own, and
// what only some of them take has to be left out for the others.
import type { JsonObject } from '../../json/values.ts';

export interface ConverseModel {
  /** Whose fields of its own it has. */
  readonly maker: 'anthropic' | 'amazon' | 'openai' | 'other';
  /** Whether it may be Claude and so takes back what Claude signed. The ARN of a profile does not say what stands behind it. */
  readonly takesSignatures: boolean;
  readonly takesCacheMarks: boolean;
  /** Tools may be marked too. */
  readonly takesToolMarks: boolean;
  /** Bedrock holds this model to a form of the API in which neither an answer nor a call can be bound to a schema. */
  readonly lacksSchemas: boolean;
  /** How to choose among the likeliest tokens only. */
  readonly topK?: (topK: number) => JsonObject;
  /** Ids of calls have to be nine letters and digits. */
  readonly nineCharacterIds: boolean;
}

const plain: ConverseModel = {
  maker: 'other',
  takesSignatures: false,
  takesCacheMarks: false,
  takesToolMarks: false,
  lacksSchemas: false,
  nineCharacterIds: false,
};

const claude: ConverseModel = {
  ...plain,
  maker: 'anthropic',
  takesSignatures: true,
  takesCacheMarks: true,
  takesToolMarks: true,
  topK: (topK) => ({ top_k: topK }),
};

interface Row {
  readonly pattern: RegExp;
  readonly model: ConverseModel;
}

/** The first row whose pattern fits counts. */
const rows: readonly Row[] = [
  {
    pattern: /claude-(opus-4-[78]|(opus|sonnet|haiku|fable)-5)/,
    model: { ...claude, lacksSchemas: true },
  },
  { pattern: /anthropic|claude/, model: claude },
  {
    pattern: /amazon\.nova/,
    model: {
      ...plain,
      maker: 'amazon',
      takesCacheMarks: true,
      topK: (topK) => ({ inferenceConfig: { topK } }),
    },
  },
  { pattern: /openai\./, model: { ...plain, maker: 'openai' } },
  {
    pattern: /mistral/,
    model: { ...plain, topK: (topK) => ({ top_k: topK }), nineCharacterIds: true },
  },
  { pattern: /cohere/, model: { ...plain, topK: (topK) => ({ k: topK }) } },
  { pattern: /^arn:/, model: { ...plain, takesSignatures: true, takesCacheMarks: true } },
];

export function modelNamed(name: string): ConverseModel {
  return rows.find(({ pattern }) => pattern.test(name))?.model ?? plain;
}

/** Older models of Claude are given a number of tokens to think with; later ones decide for themselves and take an effort. */
const BUDGETED = /claude-3|claude-(opus|sonnet|haiku)-4(-[15])?(-\d{8}|-v\d|$)/;

export function isBudgeted(name: string): boolean {
  return BUDGETED.test(name);
}
