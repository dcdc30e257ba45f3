// Providers whose keys are in the environment of the control plane: they work without any configuration, and step aside
// for a provider of the same name from the file or the API.
import type { Environment } from '#shared/configuration/expansion.ts';
import { normaliseProvider } from '#shared/configuration/objects.ts';
import { providersFromEnvironment } from '#shared/configuration/provider-environment.ts';
import { writeProvider } from '../domain/kinds.ts';
import type { Layer } from './apply.ts';

export function environmentLayer(environment: Environment): Layer {
  const wanted = providersFromEnvironment(environment).map((spec) => writeProvider(normaliseProvider(spec)));
  // A variable that is gone must not keep a control plane from starting because something still uses its provider.
  return { source: 'environment', wanted, keepUsed: true };
}
