// Second attempts of one request: whether and when the one that is asked gets another beside it, whom, and what comes of it for the route's
// budget. The second waits for nobody: it is sent where there is room at once, or not at all.
import { once } from '#shared/once.ts';
import type { Passage, Task } from '../../passage/task.ts';
import type { Lease } from '../../routing/admission/gate.ts';
import type { HedgeBudget, HedgeTicket } from '../../routing/hedging/hedge-budget.ts';
import { expectedHedgeCost, spentBy } from '../../routing/hedging/hedge-cost.ts';
import { besideOrder, type HedgeFacts, planHedge } from '../../routing/hedging/hedge-plan.ts';
import { deploymentSubject } from '../../routing/members.ts';
import type { Candidate, RoutedRequest } from '../../routing/plan.ts';
import type { HedgeSettings } from '../../snapshot/snapshot.ts';
import type { GatewayContext } from '../context.ts';
import { enterAtOnce } from './enter.ts';
import type { HedgeOutcome } from './hedge-outcome.ts';
import { HedgedAttempt, type HedgedEnd } from './hedged-attempt.ts';
import { type Asking, TargetAttempt } from './target-attempt.ts';

export interface HedgingOptions {
  readonly context: GatewayContext;
  readonly settings: HedgeSettings;
  readonly budget: HedgeBudget;
  readonly routed: RoutedRequest;
  /** Asked for once at most; undefined where such requests are never sent twice. */
  readonly facts: () => HedgeFacts | undefined;
}

export class Hedging {
  readonly #options: HedgingOptions;
  readonly #facts: () => HedgeFacts | undefined;

  constructor(options: HedgingOptions) {
    this.#options = options;
    this.#facts = once(options.facts);
    options.budget.request(this.#nowMs());
  }

  /** After how long the first is to get another beside it; undefined when it is to be left alone. */
  delayMs(first: Candidate, others: readonly Candidate[]): number | undefined {
    const { context, settings } = this.#options;
    const vitals = context.attempts.routing.health.read(deploymentSubject(first.deployment), this.#nowMs());
    const plan = planHedge({ settings, facts: this.#facts(), first, others, vitals });
    return plan.kind === 'hedge' ? plan.delayMs : undefined;
  }

  /** Runs the first, with another beside it once it has taken so long. Those from which it follows how the request goes on. */
  async race(asking: Asking, first: TargetAttempt, delayMs: number): Promise<readonly TargetAttempt[]> {
    let ticket: HedgeTicket | undefined;
    const beside = (): TargetAttempt | undefined => {
      const found = this.#beside(asking, first, delayMs);
      if (typeof found === 'string') {
        this.#options.context.onHedged(found);
        return undefined;
      }
      ticket = found.ticket;
      return found.attempt;
    };
    const end = await new HedgedAttempt({ exchange: asking.exchange, first, delayMs, beside }).run();
    this.#account(end, first, ticket);
    return end.ended;
  }

  /** What an attempt has used that would have been made without second attempts, too. */
  spent({ target, usage }: TargetAttempt): void {
    if (usage) this.#options.budget.spent(spentBy(target.deployment.price, usage), this.#nowMs());
  }

  #beside(
    asking: Asking,
    first: TargetAttempt,
    silentMs: number,
  ): { readonly attempt: TargetAttempt; readonly ticket: HedgeTicket | undefined } | HedgeOutcome {
    const { settings, budget, context, routed } = this.#options;
    const { targets, task, failover } = asking;
    const why = `beside ${first.target.deployment.id}, silent for ${Math.round(silentMs)} ms`;
    // One moment for all of it, so that what had room still has it when it is taken.
    const nowMs = this.#nowMs();
    let outcome: HedgeOutcome = 'no_target';
    for (const candidate of besideOrder(first.chosen.candidate, targets.others())) {
      const expected = expectedHedgeCost(candidate.deployment, routed, budget, nowMs);
      if (!budget.hasRoom(settings, expected, nowMs)) {
        outcome = 'no_budget';
        continue;
      }
      const passage = passageBeside(task, candidate);
      if (passage === undefined) continue;
      let lease: Lease | undefined;
      const chosen = targets.beside(candidate, (target) => {
        lease = enterAtOnce(context.gate, failover.route, target);
        return lease !== undefined;
      });
      if (chosen === undefined || lease === undefined) continue;
      const ticket = budget.take(settings, expected, nowMs);
      return { attempt: new TargetAttempt(asking, { chosen, passage, lease, why }), ticket };
    }
    return outcome;
  }

  #account({ winner, second }: HedgedEnd, first: TargetAttempt, ticket: HedgeTicket | undefined): void {
    if (second === undefined) {
      this.spent(first);
      return;
    }
    const [paid, extra] = winner === 'second' ? [second, first] : [first, second];
    this.spent(paid);
    // Whoever is cancelled has rarely said what it has used by then. What it was expected to use goes on counting.
    if (extra.usage) {
      ticket?.settle(spentBy(extra.target.deployment.price, extra.usage).nanoDollars, this.#nowMs());
    }
    this.#options.context.onHedged(winner === undefined ? 'failed' : winner === 'second' ? 'won' : 'lost');
  }

  #nowMs(): number {
    return this.#options.context.attempts.clock.monotonicMs();
  }
}

/** Whatever is wrong with asking it, that is told when its turn comes; the first may answer yet. */
function passageBeside(task: Task, { deployment }: Candidate): Passage | undefined {
  try {
    return task.passageTo(deployment);
  } catch {
    return undefined;
  }
}
