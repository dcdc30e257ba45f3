// One request's way through its candidates: who is asked next, and when to stop. Each target at most once; another key of the same
// deployment where the key was at fault, else the next deployment. Who is resting or shut off is passed over, but when everyone is shut
// off they are tried all the same: a guess that all are ill is more likely a mistake than the truth. When more than half are shut off it is
// a panic: those who are left have to carry what the others carried, and where they fail the ones that are shut off are asked after them.
// Never before them: as long as one is well, a guess about the others must not cost a request. Asking again after a failure takes a retry
// out of the route's budget. Asking somebody beside the one that is being asked takes none: second attempts have a budget of their own. Nor does it
// take one to ask after a connection that was refused, since nothing was sent.
import { SignalboxError } from '#shared/errors.ts';
import type { ProviderEntry, ProviderKey } from '../snapshot/snapshot.ts';
import { chooseKey } from './choose-key.ts';
import { isAboutKey } from './failures.ts';
import type { KeyUsage } from './key-usage.ts';
import { subjectsOf } from './members.ts';
import type { Candidate } from './plan.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Routing } from './routing-state.ts';

export interface TargetsOptions {
  readonly candidates: readonly Candidate[];
  readonly state: Routing;
  readonly keyUsage: KeyUsage;
  readonly budget: RetryBudget;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly attemptsMax: number;
  /** Why a candidate was not asked, as it happens. */
  readonly onPassedOver: (candidate: Candidate, reason: SignalboxError) => void;
  /** A candidate is shut off, and passed over while there is anyone else. */
  readonly onShutOff?: (candidate: Candidate) => void;
}

export interface ChosenTarget {
  readonly candidate: Candidate;
  /** Undefined for a provider that needs none. */
  readonly key: ProviderKey | undefined;
  /** Everyone is shut off, this one too. */
  readonly isLastResort: boolean;
}

/** A deployment that was asked, and the keys it was asked with. */
interface Opened {
  readonly candidate: Candidate;
  readonly triedKeys: Set<ProviderKey>;
}

export interface FailedTarget {
  readonly target?: ChosenTarget;
  /** Whether it can have got any of the request. */
  readonly wasSent?: boolean;
}

/** Of a request's candidates. Beyond this it is less likely that they are all ill than that something else is wrong. */
const SHUT_OFF_SHARE_MAX = 0.5;

export class Targets {
  readonly #options: TargetsOptions;
  readonly #waiting: Candidate[];
  /** Those that are shut off, for the case that nobody else is left. */
  readonly #shutOff: Candidate[] = [];
  readonly #begun = new Set<string>();
  /** Those that may be asked again, with another key; more than one where one was asked beside another. */
  #opened: readonly Opened[] = [];
  #latest: Candidate | undefined;
  #asked = 0;
  #isRetryPaid = false;
  #candidates: number;
  /** Of them, those whose breaker is open; who rests has said so itself, and that is no guess. */
  #broken = 0;
  #isLastResort = false;

  constructor(options: TargetsOptions) {
    this.#options = options;
    this.#waiting = [...options.candidates];
    this.#candidates = this.#waiting.length;
  }

  /** Undefined when there is nobody left to ask, or no asking left to do. */
  next(): ChosenTarget | undefined {
    const { attemptsMax, budget, nowMs } = this.#options;
    if (this.#asked >= attemptsMax) return undefined;
    const target = this.#anotherKey() ?? this.#anotherDeployment();
    if (target === undefined) return undefined;
    if (this.#asked > 0 && !this.#isRetryPaid && !budget.take(nowMs())) return undefined;
    this.#isRetryPaid = false;
    this.#asked += 1;
    return target;
  }

  /** Who else could be asked now, in the order of asking. */
  others(): readonly Candidate[] {
    if (this.#asked >= this.#options.attemptsMax) return [];
    return this.#waiting.filter((candidate) => !this.#isShutOff(candidate));
  }

  /** This one of the others, beside whoever is being asked. Undefined, and as if nothing was said, when it may not be asked now. */
  beside(candidate: Candidate, mayAsk: (target: ChosenTarget) => boolean): ChosenTarget | undefined {
    if (!this.others().includes(candidate)) return undefined;
    const opened: Opened = { candidate, triedKeys: new Set() };
    const target = this.#keyOf(opened, () => {});
    if (target === undefined || !mayAsk(target)) return undefined;
    this.#waiting.splice(this.#waiting.indexOf(candidate), 1);
    this.#begun.add(candidate.deployment.id);
    this.#opened = [...this.#opened, opened];
    this.#asked += 1;
    return target;
  }

  /** The target failed in a way that another may not; the one that was given last by `next` where none is named. */
  failed(error: SignalboxError, { target, wasSent = true }: FailedTarget = {}): void {
    if (!isAboutKey(error)) this.#close(target?.candidate ?? this.#latest);
    // Nobody has had the request yet, so whoever gets it now carries no more than it would have.
    this.#isRetryPaid = !wasSent;
  }

  /** The deployment just given cannot be asked for this at all; nothing was sent. */
  impossible(): void {
    this.#close(this.#latest);
    this.#asked -= 1;
    this.#isRetryPaid = this.#asked > 0;
  }

  /** From here on only these are asked, but none that has been. False when there is none. */
  insteadAsk(candidates: readonly Candidate[]): boolean {
    const fresh = candidates.filter(({ deployment }) => !this.#begun.has(deployment.id));
    if (fresh.length === 0) return false;
    this.#opened = [];
    this.#shutOff.length = 0;
    this.#waiting.splice(0, this.#waiting.length, ...fresh);
    this.#candidates = fresh.length;
    this.#broken = 0;
    this.#isLastResort = false;
    return true;
  }

  #anotherKey(): ChosenTarget | undefined {
    for (const opened of this.#opened) {
      const target = opened.triedKeys.size === 0 ? undefined : this.#keyOf(opened, () => {});
      if (target === undefined) continue;
      this.#latest = opened.candidate;
      return target;
    }
    return undefined;
  }

  #anotherDeployment(): ChosenTarget | undefined {
    for (let candidate = this.#waiting.shift(); candidate !== undefined; candidate = this.#waiting.shift()) {
      if (this.#isShutOff(candidate)) {
        this.#shutOff.push(candidate);
        if (!this.#isResting(candidate)) this.#broken += 1;
        this.#options.onShutOff?.(candidate);
        continue;
      }
      const target = this.#begin(candidate);
      if (target !== undefined) return target;
    }
    return this.#lastResort();
  }

  /** When nobody could be asked, and in a panic: else, after a real failure, the ill ones would but prolong it. */
  #lastResort(): ChosenTarget | undefined {
    const isPanic = this.#broken > this.#candidates * SHUT_OFF_SHARE_MAX;
    if (this.#asked > 0 && !isPanic) return undefined;
    for (let candidate = this.#shutOff.shift(); candidate !== undefined; candidate = this.#shutOff.shift()) {
      this.#isLastResort = true;
      const target = this.#begin(candidate);
      if (target !== undefined) return target;
    }
    return undefined;
  }

  #begin(candidate: Candidate): ChosenTarget | undefined {
    const { onPassedOver } = this.#options;
    const opened: Opened = { candidate, triedKeys: new Set() };
    this.#latest = candidate;
    this.#begun.add(candidate.deployment.id);
    this.#opened = [opened];
    return this.#keyOf(opened, (reason) => onPassedOver(candidate, reason));
  }

  /** It is not asked again. */
  #close(candidate: Candidate | undefined): void {
    this.#opened = this.#opened.filter((opened) => opened.candidate !== candidate);
  }

  #isShutOff(candidate: Candidate): boolean {
    const { state, nowMs } = this.#options;
    const at = nowMs();
    return subjectsOf(candidate.deployment, undefined).some(
      (subject) => !state.health.isAvailable(subject, at),
    );
  }

  #isResting(candidate: Candidate): boolean {
    const { state, nowMs } = this.#options;
    const at = nowMs();
    return subjectsOf(candidate.deployment, undefined).some(
      (subject) => state.health.restMs(subject, at) > 0,
    );
  }

  #targetWith(candidate: Candidate, key: ProviderKey | undefined): ChosenTarget {
    return { candidate, key, isLastResort: this.#isLastResort };
  }

  #keyOf(
    { candidate, triedKeys }: Opened,
    onExhausted: (reason: SignalboxError) => void,
  ): ChosenTarget | undefined {
    const { state, keyUsage, nowMs, random } = this.#options;
    const { provider } = candidate.deployment;
    const isFirst = triedKeys.size === 0;
    const options = { state, usage: keyUsage, nowMs: nowMs(), random, exclude: triedKeys };
    const choice = chooseKey(provider, options);
    if (choice.kind === 'none-needed') return isFirst ? this.#targetWith(candidate, undefined) : undefined;
    if (choice.kind === 'exhausted') {
      if (isFirst) onExhausted(keysExhausted(provider, choice.retryAfterMs));
      return undefined;
    }
    triedKeys.add(choice.key);
    return this.#targetWith(candidate, choice.key);
  }
}

export function keysExhausted({ name }: ProviderEntry, retryAfterMs: number): SignalboxError {
  return new SignalboxError(
    'upstream_rate_limited',
    `Every key of the provider "${name}" has reached its limits. Try again later.`,
    { retryAfterMs },
  );
}
