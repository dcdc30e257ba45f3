// A certificate authority for one test, and server certificates under it.
import { webcrypto } from 'node:crypto';

export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface TestAuthority {
  readonly certificate: string;
  /** For DNS names and addresses. */
  issue(...names: string[]): Promise<ServerCertificate>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

/** The library does not load unless decorator metadata can be asked for; that there is none is answer enough. */
async function loadX509() {
  const none = () => undefined;
  const metadata = { getMetadata: none, getOwnMetadata: none, defineMetadata: none };
  if (!('getMetadata' in Reflect)) Object.assign(Reflect, metadata);
  return import('@peculiar/x509');
}

export async function createTestAuthority(): Promise<TestAuthority> {
  const x509 = await loadX509();
  const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
  const keys = await makeKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test authority',
    keys,
    signingAlgorithm: algorithm,
    ...validity,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  return {
    certificate: authority.toString('pem'),
    issue: async (...names) => {
      const ownKeys = await makeKeys();
      const alternatives = names.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value }) as const);
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${names[0]}`,
        issuer: authority.subject,
        publicKey: ownKeys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        ...validity,
        extensions: [new x509.SubjectAlternativeNameExtension(alternatives)],
      });
      const key = await webcrypto.subtle.exportKey('pkcs8', ownKeys.privateKey);
      return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') };
    },
  };
}

function isAddress(name: string): boolean {
  return /^[\d.]+$|:/.test(name);
}
