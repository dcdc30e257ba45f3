// OpenAI's models at Azure. An account there serves them in two ways: under OpenAI's own paths below /openai/v1, with the deployment's
// name as the model; or, when an API version is asked for, under one path for each deployment.
import { SignalboxError } from '#shared/errors.ts';
import type { ProviderType } from '#shared/provider-types.ts';
import { type Credential, type CredentialTools, fixedCredential } from './credential.ts';
import { entraCredential, entraHost } from './entra/credential.ts';
import { readModelIds } from './model-lists.ts';
import { openaiServices } from './openai-services.ts';
import type { EndpointPath, Provider, ProviderSettings, TurnEndpoint } from './provider.ts';

/** An operation on a deployment. */
function deploymentPath(operation: string): EndpointPath {
  return ({ model, settings }) => {
    const version = versionQuery(settings);
    if (version === undefined) return `/openai/v1/${operation}`;
    return `/openai/deployments/${encodeURIComponent(model)}/${operation}${version}`;
  };
}

/** An operation on the account; the body says which deployment is meant, if any. */
function accountPath(operation: string): EndpointPath {
  return ({ settings }) => {
    const version = versionQuery(settings);
    return version === undefined ? `/openai/v1/${operation}` : `/openai/${operation}${version}`;
  };
}

/** A conversation over a WebSocket. */
const realtime: EndpointPath = ({ model, settings }) => {
  const version = versionQuery(settings);
  const name = encodeURIComponent(model);
  if (version === undefined) return `/openai/v1/realtime?model=${name}`;
  return `/openai/realtime${version}&deployment=${name}`;
};

function filesPath(path: string, settings: ProviderSettings): string {
  const version = versionQuery(settings);
  return version === undefined ? `/openai/v1${path}` : `/openai${path}${version}`;
}

function versionQuery({ api_version: version }: ProviderSettings): string | undefined {
  return version === undefined ? undefined : `?api-version=${encodeURIComponent(version)}`;
}

const conversations: readonly TurnEndpoint[] = [
  {
    dialect: 'openai-chat',
    path: deploymentPath('chat/completions'),
    outputLimitField: 'max_completion_tokens',
  },
  { dialect: 'openai-responses', path: accountPath('responses'), keepsAnswers: true },
];
const completions: readonly TurnEndpoint[] = [
  { dialect: 'openai-completions', path: deploymentPath('completions') },
];
/** The models that know no conversations, only texts to go on with. */
const COMPLETION_MODELS = /instruct|davinci|babbage/i;

const services = openaiServices(
  [
    'embeddings',
    'images-generations',
    'images-edits',
    'audio-transcriptions',
    'audio-translations',
    'audio-speech',
  ],
  deploymentPath,
);

/** `entra`: for tests, which have no Microsoft. */
export function azure(type: string, _row: ProviderType, tools: CredentialTools, entra = entraHost): Provider {
  return Object.freeze<Provider>({
    type,
    turns: (upstreamModel) => (COMPLETION_MODELS.test(upstreamModel) ? completions : conversations),
    services,
    credential(secret, settings): Credential {
      if (secret === undefined) return fixedCredential({});
      const { tenant_id: tenantId, client_id: clientId } = settings;
      if (tenantId === undefined && clientId === undefined) return fixedCredential({ 'api-key': secret });
      if (tenantId === undefined || clientId === undefined) throw halfAnApplication();
      return entraCredential({ tenantId, clientId, clientSecret: secret }, tools, entra);
    },
    modelList: { path: accountPath('models'), read: readModelIds },
    files: filesPath,
    realtime,
  });
}

function halfAnApplication(): SignalboxError {
  return new SignalboxError(
    'invalid_configuration',
    'tenant_id and client_id name an Entra application together; give both, or neither for an API key.',
  );
}
