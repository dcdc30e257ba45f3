// One provider of a snapshot: where it is dialled, under which path, and with which ready-made headers. Done once per
// change, so that a request copies references and concatenates nothing.
import type {
  ProviderKey as ProviderKeyMessage,
  Provider as ProviderMessage,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { providerType } from '#shared/provider-types.ts';
import type { Secret } from '#shared/secret.ts';
import type { Provider } from '../providers/provider.ts';
import type { Origin } from '../upstream/client.ts';
import { matchesAny } from './name-patterns.ts';
import type { ProviderEntry, ProviderKey } from './snapshot.ts';

export interface CompileProviderInput {
  readonly name: string;
  readonly provider: ProviderMessage;
  readonly kind: Provider;
  /** Reports why and gives nothing when the secret cannot be had. */
  readonly openSecret: (name: string, field: string) => Secret | undefined;
  readonly report: (field: string, code: string, message: string) => undefined;
}

/** What RFC 9110 allows in a header value. */
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

export function compileProvider(input: CompileProviderInput): ProviderEntry | undefined {
  const { name, provider, kind } = input;
  const address = kind.dialect === undefined ? { origin: undefined, path: '' } : compileAddress(input);
  const keys = provider.keys.map((key, index) => compileKey(input, key, index));
  if (address === undefined || keys.includes(undefined)) return undefined;
  return Object.freeze({
    name,
    kind,
    origin: address.origin,
    path: address.path,
    keys: Object.freeze(keys.filter((key) => key !== undefined)),
    matchesModel: matchesAny(provider.modelPatterns),
  });
}

function compileAddress({
  provider,
  kind,
  report,
}: CompileProviderInput): { origin: Origin; path: string } | undefined {
  const baseUrl = provider.baseUrl === '' ? providerType(provider.type)?.baseUrl : provider.baseUrl;
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
  return { origin, path: joinPaths(url.pathname, kind.path) };
}

/** Exactly one slash between the two, whichever of them brought it. */
function joinPaths(base: string, path: string): string {
  return `${base.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`;
}

function compileKey(
  input: CompileProviderInput,
  key: ProviderKeyMessage,
  index: number,
): ProviderKey | undefined {
  const field = `keys[${index}].secret`;
  const secret = input.openSecret(key.secret, field);
  if (secret === undefined) return undefined;
  const headers = input.kind.headers(secret.reveal());
  if (!Object.values(headers).every((value) => headerValue.test(value))) {
    return input.report(
      field,
      'invalid_secret',
      `The key "${key.id}" holds characters that no HTTP header can carry.`,
    );
  }
  const { id, weight, rpm, tpm } = key;
  return Object.freeze({ id, secret, headers: Object.freeze({ ...headers }), weight, rpm, tpm: Number(tpm) });
}
