// AWS Bedrock: the models of many makers behind one API, Converse. The model stands in the path: an id, an inference profile or
// an ARN.
import type { ProviderType } from '#shared/provider-types.ts';
import { awsCredentials } from './aws/credential.ts';
import { type AwsHosts, awsHosts, bedrockAddress } from './aws/hosts.ts';
import type { CredentialTools } from './credential.ts';
import type { Provider, ServiceEndpoint, TurnEndpoint } from './provider.ts';

const turns: readonly TurnEndpoint[] = [
  {
    dialect: 'bedrock-converse',
    path: ({ model, stream }) =>
      `/model/${encodeURIComponent(model)}/${stream ? 'converse-stream' : 'converse'}`,
  },
];

/** What is no conversation is asked for in the words of each model's maker. */
const invocation: ServiceEndpoint = {
  form: 'bedrock',
  path: ({ model }) => `/model/${encodeURIComponent(model)}/invoke`,
};

/** `hosts`: for tests, which have no AWS. */
export function bedrock(
  type: string,
  _row: ProviderType,
  tools: CredentialTools,
  hosts: AwsHosts = awsHosts,
): Provider {
  return Object.freeze<Provider>({
    type,
    turns: () => turns,
    services: { embeddings: invocation, rerank: invocation },
    baseUrl: bedrockAddress,
    credential: awsCredentials(tools, hosts),
  });
}
