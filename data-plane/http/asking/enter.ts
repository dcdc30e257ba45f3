// Letting a request in at its target: where the route, the provider, the deployment or the key takes only so many at once, it waits for its
// turn, the urgent before the patient, or is turned away. Without such limits nothing is waited for and nothing is made.
import { SignalboxError } from '#shared/errors.ts';
import type { Gate, GateSubject, Lease } from '../../routing/admission/gate.ts';
import type { ChosenTarget } from '../../routing/targets.ts';
import type { Capacity, Route } from '../../snapshot/snapshot.ts';
import type { Exchange } from '../exchange.ts';

export interface Entering {
  readonly gate: Gate;
  readonly exchange: Exchange;
  /** Undefined where the caller named a model. */
  readonly route: Route | undefined;
  readonly chosen: ChosenTarget;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
}

/** The lease has to be released. Throws `queue_full`, `queue_timeout`, or what stopped the request while it waited. */
export async function enter({ gate, exchange, route, chosen, deadlineMs }: Entering): Promise<Lease> {
  const subjects = subjectsOf(route, chosen);
  if (subjects.length === 0) return noLease;
  const waiting = new AbortController();
  const { listener } = exchange;
  exchange.listener = { onStop: (reason) => waiting.abort(reason) };
  try {
    const { keyId: principal, queuePriority: priority } = exchange;
    return await gate.enter({ subjects, principal, priority, deadlineMs, signal: waiting.signal });
  } catch (thrown) {
    throw SignalboxError.from(thrown);
  } finally {
    exchange.listener = listener;
  }
}

/** The same for whoever would rather not go in than wait. The lease has to be released. */
export function enterAtOnce(gate: Gate, route: Route | undefined, chosen: ChosenTarget): Lease | undefined {
  return gate.enterAtOnce(subjectsOf(route, chosen));
}

function subjectsOf(route: Route | undefined, { candidate, key }: ChosenTarget): readonly GateSubject[] {
  const { deployment } = candidate;
  const subjects: GateSubject[] = [];
  const add = (id: string, { concurrencyMax, waitingMax, waitMsMax }: Capacity): void => {
    if (concurrencyMax > 0) subjects.push({ id, concurrencyMax, waitingMax, waitMsMax });
  };
  if (route) add(`route:${route.slug}`, route);
  add(`provider:${deployment.provider.name}`, deployment.provider);
  add(`deployment:${deployment.id}`, deployment);
  if (key) add(`key:${key.id}`, key);
  return subjects;
}

const noLease: Lease = Object.freeze({ waitedMs: 0, release() {}, [Symbol.dispose]() {} });
