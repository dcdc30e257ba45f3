// One provider of a snapshot: where it is dialled, under which path, and with which ready-made headers. Done once per
// change, so that a request copies references and concatenates nothing.
import type {
  ProviderKey as ProviderKeyMessage,
  Provider as ProviderMessage,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { providerType } from '#shared/provider-types.ts';
import { usualKeyStrategy } from '#shared/routing-strategies.ts';
import type { Secret } from '#shared/secret.ts';
import type { Credential } from '../providers/credential.ts';
import type { Provider } from '../providers/provider.ts';
import { matchesAny } from '../rules/name-patterns.ts';
import type { Origin } from '../upstream/client.ts';
import { capacityOf, type Report, strategyIn } from './compile-routing.ts';
import type { ProviderEntry, ProviderKey } from './snapshot.ts';

export interface CompileProviderInput {
  readonly name: string;
  readonly provider: ProviderMessage;
  readonly kind: Provider;
  /** Reports why and gives nothing when the secret cannot be had. */
  readonly openSecret: (name: string, field: string) => Secret | undefined;
  readonly report: Report;
}

/** What RFC 9110 allows in a header value. */
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

export function compileProvider(input: CompileProviderInput): ProviderEntry | undefined {
  const { name, provider, kind } = input;
  const address = kind.answer ? { origin: undefined, basePath: '' } : compileAddress(input);
  const ambient = compileCredential(input, undefined, 'settings');
  const keys = provider.keys.map((key, index) => compileKey(input, key, index));
  const keyStrategy = strategyIn(provider.keyStrategy, usualKeyStrategy, 'key_strategy', input.report);
  if (keyStrategy === undefined || address === undefined || ambient === undefined || keys.includes(undefined))
    return undefined;
  return Object.freeze({
    name,
    kind,
    origin: address.origin,
    basePath: address.basePath,
    settings: Object.freeze({ ...provider.settings }),
    ambient,
    keyStrategy,
    ...capacityOf(provider.concurrency),
    keys: Object.freeze(keys.filter((key) => key !== undefined)),
    matchesModel: matchesAny(provider.modelPatterns),
  });
}

function compileAddress({
  provider,
  kind,
  report,
}: CompileProviderInput): { origin: Origin; basePath: string } | undefined {
  const usual = kind.baseUrl?.(provider.settings) ?? providerType(provider.type)?.baseUrl;
  const baseUrl = provider.baseUrl === '' ? usual : provider.baseUrl;
  if (baseUrl === undefined) {
    return report('base_url', 'missing', `A provider of type "${provider.type}" needs a base_url.`);
  }
  const url = URL.parse(baseUrl);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return report('base_url', 'invalid_url', `"${baseUrl}" is not an http or https URL.`);
  }
  if (url.username !== '' || url.password !== '') {
    return report('base_url', 'invalid_url', 'A base_url must not hold credentials; give them as api_keys.');
  }
  if (url.search !== '' || url.hash !== '') {
    return report('base_url', 'invalid_url', 'A base_url must not have a query or a fragment.');
  }
  const secure = url.protocol === 'https:';
  const origin: Origin = Object.freeze({
    secure,
    // An IPv6 address is dialled without its brackets.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    allowPrivateNetwork: provider.allowPrivateNetwork,
  });
  return { origin, basePath: url.pathname.replace(/\/+$/, '') };
}

function compileKey(
  input: CompileProviderInput,
  key: ProviderKeyMessage,
  index: number,
): ProviderKey | undefined {
  const field = `keys[${index}].secret`;
  const secret = input.openSecret(key.secret, field);
  if (secret === undefined) return undefined;
  const credential = compileCredential(input, secret, field);
  if (credential === undefined) return undefined;
  const { id, weight, rpm, tpm } = key;
  const capacity = capacityOf(key.concurrency);
  return Object.freeze({ id, credential, weight, priority: index, rpm, tpm: Number(tpm), ...capacity });
}

/** Undefined, and reported, for a secret of a form that this vendor's keys cannot have. */
function compileCredential(
  { kind, provider, report }: CompileProviderInput,
  secret: Secret | undefined,
  field: string,
): Credential | undefined {
  let credential: Credential;
  try {
    credential = kind.credential(secret?.reveal(), provider.settings);
  } catch (thrown) {
    if (!(thrown instanceof SignalboxError)) throw thrown;
    return report(field, 'invalid_secret', thrown.message);
  }
  if (Object.values(credential.headers).every((value) => headerValue.test(value))) return credential;
  return report(field, 'invalid_secret', 'The key holds characters that no HTTP header can carry.');
}
