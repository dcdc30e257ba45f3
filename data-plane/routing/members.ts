// Deployments, keys and the members of a route as strategies see them: the same figures for all three, so that one set of strategies
// serves every level.
import type { Deployment, ProviderKey } from '../snapshot/snapshot.ts';
import type { HealthBook } from './health/health-book.ts';
import { type Subject, unknownVitals, type Vitals } from './health/vitals.ts';
import { expectedLatencyMs } from './strategies/expected-latency.ts';
import type { Member } from './strategies/strategy.ts';

export interface DeploymentMember extends Member {
  readonly deployment: Deployment;
}

export interface KeyMember extends Member {
  readonly key: ProviderKey;
}

export interface NamedMember extends Member {
  readonly name: string;
}

export const keySubject = (key: ProviderKey): Subject => `key:${key.id}`;
export const deploymentSubject = ({ id }: Deployment): Subject => `deployment:${id}`;
export const providerSubject = ({ provider }: Deployment): Subject => `provider:${provider.name}`;

/** Everyone whom an attempt tells something about. */
export function subjectsOf(deployment: Deployment, key: ProviderKey | undefined): readonly Subject[] {
  const shared = [deploymentSubject(deployment), providerSubject(deployment)];
  return key === undefined ? shared : [keySubject(key), ...shared];
}

export function deploymentMember(
  deployment: Deployment,
  { health, nowMs, region }: { health: HealthBook; nowMs: number; region: string },
): DeploymentMember {
  return {
    deployment,
    id: deployment.id,
    weight: deployment.weight,
    priority: deployment.priority,
    isNear: region !== '' && deployment.region === region,
    vitals: health.read(deploymentSubject(deployment), nowMs),
    requestsPerMinuteMax: deployment.rpm,
    tokensPerMinuteMax: deployment.tpm,
    price: deployment.price,
  };
}

export function keyMember(key: ProviderKey, health: HealthBook, nowMs: number): KeyMember {
  return {
    key,
    id: key.id,
    weight: key.weight,
    priority: key.priority,
    isNear: false,
    vitals: health.read(keySubject(key), nowMs),
    requestsPerMinuteMax: key.rpm,
    tokensPerMinuteMax: key.tpm,
    price: undefined,
  };
}

/** A member of a route is as good as those behind it: their best, with what they have in flight together. */
export function namedMember(
  member: { readonly model: string; readonly weight: number; readonly priority: number },
  behind: readonly DeploymentMember[],
  request: { readonly isStream: boolean },
): NamedMember {
  const { model, weight, priority } = member;
  const sum = (figure: (vitals: Vitals) => number) =>
    behind.reduce((total, { vitals }) => total + figure(vitals), 0);
  const waitFor = (one: DeploymentMember): number =>
    one.vitals.breaker === 'open' ? Number.MAX_VALUE : (expectedLatencyMs(one, request) ?? 0);
  const [best] = behind.toSorted((one, other) => waitFor(one) - waitFor(other));
  return {
    name: model,
    id: model,
    weight,
    priority,
    isNear: behind.some(({ isNear }) => isNear),
    vitals: {
      ...(best?.vitals ?? unknownVitals(`deployment:${model}`)),
      inFlight: sum(({ inFlight }) => inFlight),
      requestsPerMinute: sum(({ requestsPerMinute }) => requestsPerMinute),
      tokensPerMinute: sum(({ tokensPerMinute }) => tokensPerMinute),
      errorsPerMinute: sum(({ errorsPerMinute }) => errorsPerMinute),
    },
    requestsPerMinuteMax: 0,
    tokensPerMinuteMax: 0,
    price: cheapest(behind),
  };
}

function cheapest(behind: readonly DeploymentMember[]): Member['price'] {
  const prices = behind.flatMap(({ price }) => (price === undefined ? [] : [price]));
  return prices.toSorted((one, other) => one.input + one.output - (other.input + other.output))[0];
}
