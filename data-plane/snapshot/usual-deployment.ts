// What holds for a deployment of which nobody said more than which model it is at which provider. The configuration leaves most of it
// unsaid; some deployments no configuration names at all: models that a provider claims, accounts that are asked for a file.
import { limits } from '#shared/limits.ts';
import type { Deployment } from './snapshot.ts';

type Unsaid = Omit<Deployment, 'id' | 'model' | 'provider' | 'upstreamModel'>;

export const usualDeployment: Unsaid = Object.freeze({
  weight: 1,
  priority: 1,
  timeoutMs: limits.upstreamTimeoutMs,
  idleTimeoutMs: undefined,
  region: '',
  tags: Object.freeze([]),
  rpm: 0,
  tpm: 0,
  concurrencyMax: 0,
  waitingMax: 0,
  waitMsMax: 0,
  price: undefined,
  abilities: undefined,
});
