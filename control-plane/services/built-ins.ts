// What a fresh installation can be tried with: a provider that answers by itself and four models, one for each way in
// which an answer may go. Made at the very first start only; from then on they are objects like any other.
import { normaliseModel, normaliseProvider } from '#shared/configuration/objects.ts';
import { modelSpec, providerSpec } from '#shared/configuration/schema.ts';
import { writeModel, writeProvider } from '../domain/kinds.ts';
import type { Layer } from './apply.ts';

const models = ['demo', 'demo-slow', 'demo-error', 'demo-cut'];

export function builtInLayer(): Layer {
  const provider = providerSpec.parse({ name: 'demo', type: 'demo' });
  return {
    source: 'built-in',
    wanted: [
      writeProvider(normaliseProvider(provider)),
      ...models.map((name) => writeModel(normaliseModel(modelSpec.parse({ name, provider: 'demo' })))),
    ],
  };
}
