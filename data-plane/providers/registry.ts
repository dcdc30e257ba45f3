// The one place that names every provider: each row of the vendors' table becomes what the data plane calls. A new
// compatible host needs no line here; a host with ways of its own needs one.
import { type ProviderFamily, type ProviderType, providerTypes } from '#shared/provider-types.ts';
import { anthropic } from './anthropic.ts';
import { azure } from './azure.ts';
import { bedrock } from './bedrock.ts';
import { cohere } from './cohere.ts';
import { compatible } from './compatible.ts';
import type { CredentialTools } from './credential.ts';
import { demoProvider } from './demo.ts';
import { gemini } from './gemini.ts';
import type { Provider } from './provider.ts';
import { vertex } from './vertex.ts';

type Maker = (type: string, row: ProviderType, tools: CredentialTools) => Provider;

const makers: Readonly<Record<ProviderFamily, Maker>> = {
  openai: compatible,
  anthropic,
  gemini,
  vertex: (type, row, tools) => vertex(type, row, tools),
  azure: (type, row, tools) => azure(type, row, tools),
  cohere,
  bedrock: (type, row, tools) => bedrock(type, row, tools),
  local: () => demoProvider,
};

/** Undefined for a type this build does not know. */
export type ProviderFor = (type: string) => Provider | undefined;

export function createProviders(tools: CredentialTools): ProviderFor {
  const rows = Object.entries<ProviderType>(providerTypes);
  const providers = new Map(rows.map(([type, row]) => [type, makers[row.family](type, row, tools)]));
  return (type) => providers.get(type);
}
