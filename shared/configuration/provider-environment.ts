// Providers that need no configuration: a vendor's key in the environment, under the name that the vendor's own tools
// use, is enough for its models to work.
import { type ProviderType, providerTypes } from '../provider-types.ts';
import type { Environment } from './expansion.ts';
import { type ProviderSpec, providerSpec } from './schema.ts';

/** In the order of the table of provider types. */
export function providersFromEnvironment(environment: Environment): ProviderSpec[] {
  return Object.entries<ProviderType>(providerTypes).flatMap(([name, type]) => {
    const key = type.environmentKey === undefined ? undefined : environment[type.environmentKey]?.trim();
    if (key === undefined || key === '') return [];
    return [
      providerSpec.parse({ name, type: name, api_keys: [key], model_patterns: [...type.modelPatterns] }),
    ];
  });
}
