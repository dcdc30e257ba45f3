// What people want to know about a provider before they rely on it: does it work, and which models does it have. The control plane
// never calls a provider; it has a data plane ask, and what comes back is checked like anything that comes over a network.
import { type Answer, type AnswerError, Probe, Question } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { type ErrorCode, errorTable, SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Delivery } from '../delivery/server.ts';
import type { ObjectService } from './objects.ts';

export interface ProviderCheckOptions {
  readonly objects: Pick<ObjectService, 'get'>;
  readonly delivery: Pick<Delivery, 'ask'>;
}

export interface AskedProvider {
  readonly name: string;
  /** Which node asks; any when undefined. */
  readonly nodeId: string | undefined;
}

export type ProbeName = 'model_list' | 'connection' | 'local';

interface Finding {
  readonly provider: string;
  readonly node: { readonly id: string; readonly region: string };
  readonly latencyMs: number;
}

export interface FoundModels extends Finding {
  readonly models: readonly string[];
  readonly moreModels: boolean;
}

export interface FoundState extends Finding {
  readonly probe: ProbeName;
  /** Null where there is no list. */
  readonly modelCount: number | null;
  readonly keys: readonly KeyState[];
  /** The first that went wrong. */
  readonly error: SignalboxError | undefined;
}

export interface KeyState {
  readonly id: string;
  readonly latencyMs: number;
  readonly error: SignalboxError | undefined;
}

const probes: Readonly<Partial<Record<Probe, ProbeName>>> = {
  [Probe.MODEL_LIST]: 'model_list',
  [Probe.CONNECTION]: 'connection',
  [Probe.LOCAL]: 'local',
};
const MESSAGE_LENGTH_MAX = 2000;

export class ProviderCheck {
  readonly #options: ProviderCheckOptions;

  constructor(options: ProviderCheckOptions) {
    this.#options = options;
  }

  /** Throws what kept the list from coming; `unsupported_by_provider` where there is none to be had. */
  async models(asked: AskedProvider): Promise<FoundModels> {
    const { finding, answer } = await this.#ask(asked, Question.MODELS);
    if (answer.probe !== Probe.MODEL_LIST) {
      throw new SignalboxError(
        'unsupported_by_provider',
        `The provider "${asked.name}" has no list of models. Name them in the configuration.`,
      );
    }
    const keys = keyStates(answer);
    const { error } = keys.at(-1) ?? {};
    if (error !== undefined) throw error;
    const models = answer.models.slice(0, limits.modelListNamesMax);
    return { ...finding, models, moreModels: answer.moreModels || models.length < answer.models.length };
  }

  /** That a provider does not work is a finding, not an error. */
  async test(asked: AskedProvider): Promise<FoundState> {
    const { finding, answer } = await this.#ask(asked, Question.CHECK);
    const keys = keyStates(answer);
    const probe = probes[answer.probe] ?? 'connection';
    const works = keys.some((key) => key.error === undefined);
    return {
      ...finding,
      probe,
      modelCount: probe === 'model_list' && works ? answer.models.length : null,
      keys: keys.filter(({ id }) => id !== ''),
      error: keys.find((key) => key.error !== undefined)?.error,
    };
  }

  async #ask(
    { name, nodeId }: AskedProvider,
    question: Question,
  ): Promise<{ finding: Finding; answer: Answer }> {
    const { objects, delivery } = this.#options;
    const { revision } = await objects.get({ kind: 'provider', name });
    const { node, answer } = await delivery.ask({ provider: name, question, revision, nodeId });
    if (answer.error !== undefined) throw errorOf(answer.error);
    return { finding: { provider: name, node, latencyMs: rounded(answer.durationMs) }, answer };
  }
}

function keyStates({ keys }: Answer): KeyState[] {
  return keys.slice(0, limits.askKeysMax).map(({ keyId, durationMs, error }) => ({
    id: keyId,
    latencyMs: rounded(durationMs),
    error: error === undefined ? undefined : errorOf(error),
  }));
}

/** A node of another build may know codes that this one does not. */
export function errorOf({ code, message }: AnswerError): SignalboxError {
  const known = Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'upstream_error';
  return new SignalboxError(known, message.slice(0, MESSAGE_LENGTH_MAX));
}

export function rounded(ms: number): number {
  return Number.isFinite(ms) ? Math.round(ms * 10) / 10 : 0;
}
