// How much a model should think, in its maker's words: Converse has none of its own.
import type { JsonObject } from '../../json/values.ts';
import { effortBudgets, effortOf } from '../../turn/reasoning.ts';
import type { TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget } from '../dialect.ts';
import type { Writing } from './conversation.ts';
import { isBudgeted } from './models.ts';

export interface EncodedReasoning {
  readonly additional: JsonObject;
  /** The limit of the whole answer that this needs. */
  readonly maxTokens?: number;
  readonly isOn: boolean;
}

const off: EncodedReasoning = { additional: {}, isOn: false };

const BUDGET_MIN = 1024;
/** What every Claude that thinks by budget can write; it has to be said, because the budget has to be below it. */
const OUTPUT_TOKENS = 32_000;
const efforts: readonly string[] = ['low', 'medium', 'high'];

export function encodeReasoning(
  request: TurnRequest,
  writing: Writing,
  leftOut: EncodeTarget['leftOut'],
): EncodedReasoning {
  const { reasoningEffort, reasoningTokens } = request;
  const field = reasoningTokens === undefined ? 'reasoningEffort' : 'reasoningTokens';
  const effort = reasoningEffort ?? (reasoningTokens === undefined ? undefined : effortOf(reasoningTokens));
  if (effort === undefined) return unasked(request, writing);
  if (effort === 'none') return off;
  if (!Object.hasOwn(effortBudgets, effort)) {
    writing.unsupported(field, `"${effort}" is no effort that this model knows.`);
    return off;
  }
  const { maker } = writing.model;
  if (maker === 'anthropic') return claudeReasoning(request, { effort, field, writing, leftOut });
  const named = effort === 'minimal' ? 'low' : effort;
  const words = efforts.includes(named) ? otherWords(request.model, maker, named) : undefined;
  if (words !== undefined) return { additional: words, isOn: true };
  writing.unsupported(field, 'this model cannot be told how much to reason.');
  return off;
}

/** A client that wants to read what a model thinks, and not say how much, leaves that to one that can decide for itself. */
function unasked(request: TurnRequest, { model }: Writing): EncodedReasoning {
  const mayDecide = model.maker === 'anthropic' && !isBudgeted(request.model);
  if (request.showReasoning !== true || !mayDecide || isForced(request) || !mayGoOn(request)) return off;
  return { additional: { thinking: { type: 'adaptive', display: 'summarized' } }, isOn: true };
}

function otherWords(model: string, maker: string, effort: string): JsonObject | undefined {
  if (maker === 'amazon' && /nova-2/.test(model)) {
    return { reasoningConfig: { type: 'enabled', maxReasoningEffort: effort } };
  }
  return /gpt-oss/.test(model) ? { reasoning_effort: effort } : undefined;
}

interface Thinking {
  readonly effort: string;
  readonly field: 'reasoningEffort' | 'reasoningTokens';
  readonly writing: Writing;
  readonly leftOut: EncodeTarget['leftOut'];
}

function claudeReasoning(
  request: TurnRequest,
  { effort, field, writing, leftOut }: Thinking,
): EncodedReasoning {
  const { model, maxOutputTokens, reasoningTokens, showReasoning } = request;
  if (isForced(request)) {
    writing.unsupported(field, 'this model cannot reason when a tool is demanded. Leave one out.');
    return off;
  }
  if (!mayGoOn(request)) {
    leftOut?.(field);
    return off;
  }
  if (!isBudgeted(model)) {
    const display = showReasoning === undefined ? {} : { display: showReasoning ? 'summarized' : 'omitted' };
    const additional = {
      thinking: { type: 'adaptive', ...display },
      output_config: { effort: effort === 'minimal' ? 'low' : effort },
    };
    return { additional, isOn: true };
  }
  const limit = maxOutputTokens ?? OUTPUT_TOKENS;
  if (limit <= BUDGET_MIN) {
    writing.unsupported(field, `this model needs a limit above ${BUDGET_MIN} tokens to reason.`);
    return off;
  }
  const wanted = reasoningTokens ?? Math.min(effortBudgets[effort]!, Math.floor(limit / 2));
  const budget = Math.max(BUDGET_MIN, Math.min(wanted, limit - 1));
  return {
    additional: { thinking: { type: 'enabled', budget_tokens: budget } },
    maxTokens: limit,
    isOn: true,
  };
}

function isForced({ toolChoice }: TurnRequest): boolean {
  return toolChoice === 'required' || typeof toolChoice === 'object';
}

/** Between the call of a tool and the answer, thinking goes on only where what was thought before is still there, signed. */
function mayGoOn({ messages }: TurnRequest): boolean {
  if (messages.at(-1)?.role !== 'tool') return true;
  const caller = messages.findLast(({ role }) => role === 'assistant');
  const thought = caller?.parts.find(({ kind }) => kind === 'reasoning');
  return thought?.kind === 'reasoning' && thought.signature?.maker === 'anthropic';
}
