// The fleet's own certificate authority: it names control planes to nodes and nodes to control planes, and nobody else.
// All replicas share its key through the fleet's secrets. A server certificate is made when a replica starts and lives in
// memory only; it carries one fixed name, which nodes check against the authority they pinned, so an address may change
// without a certificate changing. A node's certificate is good for a week and for being a client.
import { createHash, createPrivateKey, verify, webcrypto } from 'node:crypto';
import type * as X509 from '@peculiar/x509';
import { z } from 'zod';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { FleetSecrets } from '../secrets/fleet.ts';

export const controlPlaneName = 'control-plane.signalbox.internal';
const nodeUriPrefix = 'signalbox://node/';

const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
const NODE_DAYS = 7;
/** Longer than any replica runs without making a new one, which it does daily. */
const SERVER_DAYS = 30;
/** Clocks of nodes may be behind. */
const BACKDATED_MS = 10 * 60 * 1000;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const usage = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const;

export interface ServerIdentity {
  readonly keyPem: string;
  /** The server's certificate, then the authority's: a joining node looks for the latter. */
  readonly chainPem: string;
}

export interface Authority {
  readonly certificatePem: string;
  /** SHA-256 of the SubjectPublicKeyInfo, by which join tokens name this authority. */
  readonly fingerprint: Uint8Array;
  issueServer(): Promise<ServerIdentity>;
  /** For the holder of a public key (SubjectPublicKeyInfo, DER, EC P-256). */
  issueNode(nodeId: string, publicKey: Uint8Array): Promise<string>;
}

const storedShape = z.object({ keyPem: z.string(), certificatePem: z.string() });

export async function openAuthority(fleetSecrets: FleetSecrets, clock: Clock): Promise<Authority> {
  const x509 = await loadX509();
  const stored = await fleetSecrets.loadOrCreate('authority', () => createAuthority(x509, clock));
  const { keyPem, certificatePem } = storedShape.parse(JSON.parse(stored.toString()));
  const certificate = new x509.X509Certificate(certificatePem);
  const signingKey = await importPrivateKey(keyPem);
  const issue = async (
    subject: string,
    publicKey: webcrypto.CryptoKey,
    extensions: X509.Extension[],
    days: number,
  ) => {
    const issued = await x509.X509CertificateGenerator.create({
      subject: [{ CN: [subject] }],
      issuer: certificate.subject,
      publicKey,
      signingKey,
      signingAlgorithm: algorithm,
      ...validity(clock, days),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
        ...extensions,
      ],
    });
    return issued.toString('pem');
  };
  return {
    certificatePem,
    fingerprint: createHash('sha256').update(Buffer.from(certificate.publicKey.rawData)).digest(),
    async issueServer() {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const names = new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: controlPlaneName }]);
      const purpose = new x509.ExtendedKeyUsageExtension([usage.serverAuth]);
      const own = await issue(controlPlaneName, keys.publicKey, [names, purpose], SERVER_DAYS);
      return { keyPem: await exportPrivateKey(keys.privateKey), chainPem: `${own}\n${certificatePem}\n` };
    },
    async issueNode(nodeId, publicKey) {
      const key = await webcrypto.subtle.importKey('spki', publicKey, algorithm, true, ['verify']);
      const name = new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: `${nodeUriPrefix}${nodeId}` },
      ]);
      const purpose = new x509.ExtendedKeyUsageExtension([usage.clientAuth]);
      return issue(nodeId.slice(0, COMMON_NAME_LENGTH_MAX), key, [name, purpose], NODE_DAYS);
    },
  };
}

/** X.520 allows no more; the name that counts is the URI. */
const COMMON_NAME_LENGTH_MAX = 64;

const nodeIdShape = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${limits.nameLengthMax - 1}}$`);

/** Ids stand in certificates, tables and logs: nothing in them may be mistaken for anything else. */
export function isNodeId(text: string): boolean {
  return nodeIdShape.test(text);
}

/** The node a verified certificate names, as Node prints alternative names ("URI:…, DNS:…"). */
export function nodeIdOf(subjectAlternativeName: string | undefined): string | undefined {
  const uris = (subjectAlternativeName ?? '')
    .split(', ')
    .filter((name) => name.startsWith(`URI:${nodeUriPrefix}`));
  return uris.length === 1 ? uris[0]!.slice(`URI:${nodeUriPrefix}`.length) : undefined;
}

/** Whether `proof` is a signature (ECDSA with SHA-256, DER) over `text` by the holder of the public key. */
export function isProofOfPossession(publicKey: Uint8Array, text: string, proof: Uint8Array): boolean {
  try {
    const key = { key: Buffer.from(publicKey), format: 'der', type: 'spki' } as const;
    return verify('sha256', Buffer.from(text), key, proof);
  } catch {
    return false; // what was sent is no key
  }
}

async function createAuthority(x509: typeof X509, clock: Clock): Promise<Buffer> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Signalbox fleet authority',
    keys,
    signingAlgorithm: algorithm,
    ...validity(clock, AUTHORITY_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const keyPem = await exportPrivateKey(keys.privateKey);
  return Buffer.from(JSON.stringify({ keyPem, certificatePem: certificate.toString('pem') }));
}

function validity(clock: Clock, days: number): { notBefore: Date; notAfter: Date } {
  const nowMs = clock.wallMs();
  return { notBefore: new Date(nowMs - BACKDATED_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

async function exportPrivateKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

/**
 * The library assembles itself with a container that refuses to load unless decorator metadata can be asked for; the
 * answer may be that there is none. Three members of the proposal's API are enough, and only where nobody else, with
 * real metadata, has been before.
 */
async function loadX509(): Promise<typeof X509> {
  if (!('getMetadata' in Reflect)) {
    const none = () => undefined;
    Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none, defineMetadata: none });
  }
  return import('@peculiar/x509');
}
