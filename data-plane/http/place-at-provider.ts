// A model's name where the provider is settled already: inside a session, inside a batch. Admitted and resolved as in every request, but
// it can only lead to what is there.
import { SignalboxError } from '#shared/errors.ts';
import { admitRequest } from '../policy/admission.ts';
import { findAtProvider } from '../routing/at-provider.ts';
import type { Deployment, ProviderEntry } from '../snapshot/snapshot.ts';
import type { Admitted } from './context.ts';
import { unknownModel } from './place-request.ts';

/** Throws `model_not_allowed` or `model_not_found`. */
export function deploymentAt(
  { snapshot, principal }: Admitted,
  provider: ProviderEntry,
  model: string,
): Deployment {
  admitRequest({ principal, model });
  const found = findAtProvider(snapshot, model, provider.name);
  if (found.kind === 'found') return found.deployment;
  if (found.kind === 'unknown') throw unknownModel(model);
  throw new SignalboxError(
    'model_not_found',
    `The model "${model}" is not at the provider "${provider.name}", which this is for. Name one that is, or "${provider.name}/<its own name>".`,
    { param: 'model' },
  );
}
