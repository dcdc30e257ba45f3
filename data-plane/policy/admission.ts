// What every request passes before anything is spent on it: an ordered list of named steps, each of which lets the
// request through or throws. The step of the head runs before the body is read, so that a stranger cannot make us read
// one; the steps of the request know which model is asked for. Authentication is first, because everything after it
// costs something or reveals something.
import type { Principal } from '../snapshot/snapshot.ts';
import { authenticate } from './authenticate.ts';
import { authorizeModel } from './authorize-model.ts';
import type { Arrival, ModelRequest, Step } from './step.ts';

const requestSteps: readonly Step<ModelRequest, void>[] = [authorizeModel];

/** The names of all steps, in the order in which they run. */
export const admissionOrder: readonly string[] = [authenticate.name, ...requestSteps.map(({ name }) => name)];

export function admitHead(arrival: Arrival): Principal {
  return authenticate.run(arrival);
}

export function admitRequest(request: ModelRequest): void {
  for (const step of requestSteps) step.run(request);
}
