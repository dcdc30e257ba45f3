// AWS Signature Version 4: a request is written in one canonical form, and a key derived from the secret, the day, the region
// and the service signs the hash of it. What is signed is what goes on the wire, so this comes last. The path is encoded once
// more than it is sent, as every service but S3 wants it: a "%3A" in a model's name is signed as "%253A".
import { createHash, createHmac } from 'node:crypto';
import type { AuthorisedRequest } from '../credential.ts';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** With keys that are good for a while only. */
  readonly sessionToken?: string | undefined;
}

export interface SignatureScope {
  readonly region: string;
  readonly service: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** Signed where they are sent; the others may be changed on the way. */
const signedHeaders = ['content-type'];

/** The headers to add: who asks, when, and the signature. */
export function signRequest(
  request: AuthorisedRequest,
  keys: AwsKeys,
  { region, service }: SignatureScope,
  wallMs: number,
): Record<string, string> {
  const time = new Date(wallMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const added: Record<string, string> = {
    'x-amz-date': time,
    ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
  };
  const given = signedHeaders.flatMap((name) => {
    const value = request.headers[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const headers = [['host', request.host] as const, ...given, ...Object.entries(added)].toSorted(byName);
  const names = headers.map(([name]) => name).join(';');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const signed = [ALGORITHM, time, scope, sha256([Buffer.from(canonicalForm(request, headers, names))])];
  const key = [day, region, service, 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${keys.secretAccessKey}`,
  );
  const signature = hmac(key, signed.join('\n')).toString('hex');
  const credential = `${keys.accessKeyId}/${scope}`;
  return {
    ...added,
    authorization: `${ALGORITHM} Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

type Header = readonly [name: string, value: string];

function canonicalForm(
  { method, path, body }: AuthorisedRequest,
  headers: readonly Header[],
  names: string,
): string {
  const [place = '', ...query] = path.split('?');
  const lines = headers.map(([name, value]) => `${name}:${value.trim().replaceAll(/ +/g, ' ')}`);
  return [
    method,
    place.replaceAll(/\/+/g, '/').split('/').map(encode).join('/'),
    canonicalQuery(query.join('?')),
    ...lines,
    '',
    names,
    sha256(body),
  ].join('\n');
}

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]): Header => [encode(name), encode(value)])
    .toSorted(byName)
    .map((pair) => pair.join('='))
    .join('&');
}

/** By code point, and by value where names are the same. */
function byName(one: Header, other: Header): number {
  const at = one[0] === other[0] ? 1 : 0;
  return one[at]! < other[at]! ? -1 : 1;
}

/** RFC 3986: everything but letters, digits and "-._~". */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.codePointAt(0)!.toString(16).toUpperCase()}`,
  );
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(pieces: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}
