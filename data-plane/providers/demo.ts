// The provider that is always there: it answers by itself, always the same to the same question, so that keys, routes,
// streaming, tools, failover and accounting can be tried without an account anywhere. What it says is decided first (see
// demo-reply.ts); here that becomes a turn, at the pace of its model.
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import type { BlockHead, TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import { noUsage, type Usage } from '../turn/usage.ts';
import { fixedCredential } from './credential.ts';
import { demoEmbeddings } from './demo-embeddings.ts';
import { type DemoReply, demoReply, tokensOf } from './demo-reply.ts';
import type { LocalAnswer, LocalAnswerOptions, Provider } from './provider.ts';

interface DemoModel {
  /** Before the first piece, and between pieces. Undefined: only a stream waits, and briefly. */
  readonly pace: Pace | undefined;
  /** What goes wrong, and after how many pieces. */
  readonly failure?: { readonly afterPieces: number; readonly error: () => SignalboxError };
}

interface Pace {
  readonly firstMs: number;
  readonly nextMs: number;
}

/** Slow enough to see a stream as a stream. */
const streamPace: Pace = { firstMs: 15, nextMs: 6 };
const noPace: Pace = { firstMs: 0, nextMs: 0 };

/** As many as OpenAI allows. */
const CHOICES_MAX = 128;

const models: Readonly<Record<string, DemoModel>> = {
  demo: { pace: undefined },
  /** 2 s to the first token, then 20 tokens a second: for time-outs, aborted requests and draining. */
  'demo-slow': { pace: { firstMs: 2000, nextMs: 50 } },
  'demo-error': { pace: undefined, failure: { afterPieces: 0, error: overloaded } },
  'demo-cut': { pace: undefined, failure: { afterPieces: 5, error: cut } },
};

export const demoModels: readonly string[] = Object.freeze(Object.keys(models));

export const demoAnswer: LocalAnswer = (request, options) =>
  play(request, options, (ms, signal) => sleep(ms, undefined, { signal }));

export const demoProvider: Provider = Object.freeze<Provider>({
  type: 'demo',
  turns: () => [],
  services: { embeddings: { form: 'openai', answer: (body) => demoEmbeddings(body, failureOf) } },
  credential: () => fixedCredential({}),
  answer: demoAnswer,
});

export type Pause = (ms: number, signal: AbortSignal) => Promise<unknown>;

/** The answer with a pause of one's own. Rejects with what the pause rejects with when the signal is aborted. */
export async function* play(
  request: TurnRequest,
  { model, signal }: LocalAnswerOptions,
  pause: Pause,
): AsyncGenerator<TurnEvent> {
  const behaviour = Object.hasOwn(models, model) ? models[model] : undefined;
  if (behaviour === undefined) {
    yield { type: 'turn-error', error: unknownModel(model) };
    return;
  }
  const { failure } = behaviour;
  if (failure?.afterPieces === 0) {
    yield { type: 'turn-error', error: failure.error() };
    return;
  }
  const choices = request.choices ?? 1;
  if (choices < 1 || choices > CHOICES_MAX) {
    yield { type: 'turn-error', error: wrongChoices(choices) };
    return;
  }
  const pace = behaviour.pace ?? (request.stream ? streamPace : noPace);
  const replies = Array.from({ length: choices }, (_, choice) => demoReply(request, choice));
  const script = schedule(replies);
  let pieces = 0;
  yield { type: 'turn-start', id: prefixedId('demo'), model, createdAtMs: systemClock.wallMs() };
  for (const event of script) {
    if (event.type === 'block-delta') {
      const ms = pieces === 0 ? pace.firstMs : pace.nextMs;
      if (ms > 0) await pause(ms, signal);
      if (failure !== undefined && pieces === failure.afterPieces) {
        yield { type: 'turn-error', error: failure.error() };
        return;
      }
      pieces += 1;
    }
    yield event;
  }
  yield { type: 'usage', usage: usageOf(request, replies), raw: '' };
  yield { type: 'turn-end', reasons: replies.map(({ reason }, choice) => ({ choice, reason })) };
}

/** All choices at once, piece by piece in turn, as real providers send them. */
function schedule(replies: readonly DemoReply[]): TurnEvent[] {
  let index = 0;
  const lanes = replies.map((reply, choice) =>
    reply.blocks.flatMap(({ head, pieces }): TurnEvent[] => {
      const block: BlockHead = { ...head, choice };
      const own = index;
      index += 1;
      return [
        { type: 'block-start', index: own, block },
        ...pieces.map((text): TurnEvent => ({ type: 'block-delta', index: own, text })),
        { type: 'block-end', index: own },
      ];
    }),
  );
  const longest = Math.max(0, ...lanes.map((lane) => lane.length));
  return Array.from({ length: longest }, (_, step) =>
    lanes.flatMap((lane) => lane.slice(step, step + 1)),
  ).flat();
}

function usageOf(request: TurnRequest, replies: readonly DemoReply[]): Usage {
  const texts = replies.flatMap(({ blocks }) => blocks.map(({ pieces }) => pieces.join('')));
  return {
    ...noUsage,
    input: tokensOf(JSON.stringify([request.messages, request.tools])),
    output: texts.reduce((sum, text) => sum + tokensOf(text), 0),
  };
}

function failureOf(model: string): SignalboxError | undefined {
  return Object.hasOwn(models, model) ? models[model]?.failure?.error() : unknownModel(model);
}

function overloaded(): SignalboxError {
  return new SignalboxError(
    'upstream_overloaded',
    'The model demo-error is always overloaded. Ask demo instead.',
    {
      retryAfterMs: 1000,
    },
  );
}

function cut(): SignalboxError {
  return new SignalboxError('upstream_truncated', 'The model demo-cut always breaks off. Ask demo instead.');
}

function wrongChoices(choices: number): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    `The field "n" has to be between 1 and ${CHOICES_MAX}, not ${choices}.`,
    {
      param: 'n',
    },
  );
}

function unknownModel(model: string): SignalboxError {
  return new SignalboxError(
    'upstream_model_missing',
    `The demo provider has no model "${model}". It has ${demoModels.join(', ')}.`,
  );
}
