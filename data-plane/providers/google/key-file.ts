// What Google's tools write into a file of credentials: the key of a service account, or what `gcloud auth application-default login`
// leaves behind. Of such a file only the identity and its secret are used; the addresses that it also names are not: a file that
// somebody was talked into using must not decide where a signature is sent.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject } from '../../json/values.ts';

export type GoogleKey = ServiceAccountKey | AuthorizedUser;

export interface ServiceAccountKey {
  readonly kind: 'service_account';
  readonly email: string;
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

export interface AuthorizedUser {
  readonly kind: 'authorized_user';
  readonly clientId: string;
  readonly clientSecret: string;
  readonly refreshToken: string;
  /** The project that is charged for the user's calls, where the file names one. */
  readonly quotaProject: string | undefined;
}

/** `what` names the text in the message of an error. Throws `invalid_configuration`. */
export function parseGoogleKey(text: string, what: string): GoogleKey {
  const parsed = parse(text);
  if (!isObject(parsed)) throw unusable(what, 'is not JSON. Give the whole file as Google made it.');
  const universe = parsed.universe_domain ?? 'googleapis.com';
  if (universe !== 'googleapis.com') {
    throw unusable(what, `is for the universe "${String(universe)}"; only googleapis.com is known here.`);
  }
  if (parsed.type === 'service_account') return serviceAccount(parsed, what);
  if (parsed.type === 'authorized_user') return authorizedUser(parsed, what);
  throw unusable(
    what,
    `has the type "${String(parsed.type)}"; "service_account" and "authorized_user" are known here.`,
  );
}

function serviceAccount(parsed: JsonObject, what: string): ServiceAccountKey {
  const pem = text(parsed, 'private_key', what);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw unusable(what, 'has a "private_key" that is no PEM. Give the whole file as Google made it.');
  }
  if (privateKey.asymmetricKeyType !== 'rsa') {
    throw unusable(what, 'has a "private_key" that is not of the kind RSA.');
  }
  return {
    kind: 'service_account',
    email: text(parsed, 'client_email', what),
    keyId: typeof parsed.private_key_id === 'string' ? parsed.private_key_id : '',
    privateKey,
  };
}

function authorizedUser(parsed: JsonObject, what: string): AuthorizedUser {
  const quotaProject = parsed.quota_project_id;
  return {
    kind: 'authorized_user',
    clientId: text(parsed, 'client_id', what),
    clientSecret: text(parsed, 'client_secret', what),
    refreshToken: text(parsed, 'refresh_token', what),
    quotaProject:
      typeof quotaProject === 'string' && /^[\w.:-]+$/.test(quotaProject) ? quotaProject : undefined,
  };
}

function text(parsed: JsonObject, name: string, what: string): string {
  const value = parsed[name];
  if (typeof value === 'string' && value !== '') return value;
  throw unusable(what, `has no "${name}". Give the whole file as Google made it.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(what: string, problem: string): SignalboxError {
  return new SignalboxError('invalid_configuration', `${what} ${problem}`);
}
