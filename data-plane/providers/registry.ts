// The one place that names every provider: each row of the vendors' table becomes what the data plane calls. A new
// compatible host needs no line here; a host with ways of its own needs one.
import { type ProviderType, providerTypes } from '#shared/provider-types.ts';
import { anthropic } from './anthropic.ts';
import { compatible } from './compatible.ts';
import { demoAnswer } from './demo.ts';
import type { Provider } from './provider.ts';

function demo(type: string): Provider {
  return Object.freeze<Provider>({
    type,
    dialect: undefined,
    path: '',
    headers: () => ({}),
    answer: demoAnswer,
  });
}

const makers = {
  'openai-chat': compatible,
  'anthropic-messages': anthropic,
  local: demo,
} as const satisfies Record<ProviderType['dialect'], (type: string, row: ProviderType) => Provider>;

const providers: ReadonlyMap<string, Provider> = new Map(
  Object.entries<ProviderType>(providerTypes).map(([type, row]) => [type, makers[row.dialect](type, row)]),
);

/** Undefined for a type this build does not know. */
export function providerFor(type: string): Provider | undefined {
  return providers.get(type);
}
