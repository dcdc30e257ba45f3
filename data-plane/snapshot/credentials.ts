// How a node comes by its certificate and keeps it. First contact is the delicate moment: the node knows of the
// authority only a fingerprint, so it looks at what the server presents, finds the certificate with that fingerprint,
// and only then connects for real, trusting that one alone, and shows its token. Later it renews over the connection
// it already has, long before the certificate runs out.
import { createHash, createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Secret } from '#shared/secret.ts';
import { controlPlaneName, type Endpoint } from './endpoint.ts';
import type { NodeCertificate, NodeIdentity } from './identity.ts';
import { authorityFingerprint } from './join-token.ts';
import { type Channel, openChannel, type TlsMaterial } from './transport.ts';

export interface CredentialsOptions {
  readonly identity: NodeIdentity;
  readonly joinToken: Secret | undefined;
  readonly deadMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Renewed when this part of its life is over: the last third is for a control plane that is away for long. */
const RENEW_AT = 2 / 3;
const RENEW_RETRY_MS = 60_000;

export class Credentials {
  readonly #options: CredentialsOptions;
  #renewing = false;
  #renewNotBeforeMs = 0;

  constructor(options: CredentialsOptions) {
    this.#options = options;
  }

  /** What a connection to this endpoint needs; joins first where there is no certificate to use. */
  async for(endpoint: Endpoint): Promise<TlsMaterial | undefined> {
    if (!endpoint.secure) return undefined;
    const { identity } = this.#options;
    const certificate = this.#usable(identity.certificate) ?? (await this.#join(endpoint));
    return { ...certificate, privateKeyPem: privateKeyPem(identity.keys.transport) };
  }

  /** Sent with a stream on loopback, where no certificate tells who the node is. */
  headersFor(endpoint: Endpoint): Record<string, string> {
    const { joinToken } = this.#options;
    if (endpoint.secure || joinToken === undefined) return {};
    return { authorization: `Bearer ${joinToken.reveal()}` };
  }

  /** Called now and then on a live connection; never throws. */
  async renewIfDue(channel: Channel): Promise<void> {
    const { identity, clock, log } = this.#options;
    const nowMs = clock.wallMs();
    if (identity.certificate === undefined || this.#renewing || nowMs < this.#renewNotBeforeMs) return;
    const { fromMs, toMs } = lifeOf(identity.certificate.certificatePem);
    if (nowMs < fromMs + (toMs - fromMs) * RENEW_AT) return;
    this.#renewing = true;
    this.#renewNotBeforeMs = nowMs + RENEW_RETRY_MS;
    try {
      const renewed = await channel.client.renew(
        {
          publicKey: publicKeyDer(identity.keys.transport),
          proof: prove(identity.keys.transport, `signalbox-renew|${identity.nodeId}`),
        },
        { timeoutMs: limits.syncConnectMs },
      );
      await this.#accept(renewed);
      log.info('the certificate of this node was renewed');
    } catch (error) {
      log.warn({ err: error }, 'the certificate of this node could not be renewed; it will be tried again');
    } finally {
      this.#renewing = false;
    }
  }

  /** The stored certificate, unless it has run out or a token names another authority than the one that issued it. */
  #usable(certificate: NodeCertificate | undefined): NodeCertificate | undefined {
    if (certificate === undefined) return undefined;
    const { joinToken, clock } = this.#options;
    if (lifeOf(certificate.certificatePem).toMs <= clock.wallMs()) return undefined;
    if (joinToken === undefined) return certificate;
    const known = certificatesIn(certificate.authorityPem).map(fingerprintOf);
    return known.includes(authorityFingerprint(joinToken)) ? certificate : undefined;
  }

  async #join(endpoint: Endpoint): Promise<NodeCertificate> {
    const { identity, joinToken, deadMs, clock, log } = this.#options;
    if (joinToken === undefined) {
      throw new SignalboxError(
        'invalid_configuration',
        'This node has no valid certificate and no join token. Create a token on the control plane and give it as SIGNALBOX_JOIN_TOKEN.',
      );
    }
    const authorityPem = await findAuthority(endpoint, authorityFingerprint(joinToken));
    const channel = openChannel({ endpoint, tls: { authorityPem }, deadMs, clock });
    try {
      const joined = await channel.client.join(
        {
          token: joinToken.reveal(),
          nodeId: identity.nodeId,
          publicKey: publicKeyDer(identity.keys.transport),
          proof: prove(identity.keys.transport, `signalbox-join|${identity.nodeId}|${joinToken.reveal()}`),
        },
        { timeoutMs: limits.syncConnectMs },
      );
      const certificate = await this.#accept(joined);
      log.info({ url: endpoint.url }, 'this node has joined and holds a certificate');
      return certificate;
    } finally {
      channel.close();
    }
  }

  async #accept({ certificatePem, authorityPem }: NodeCertificate): Promise<NodeCertificate> {
    const { identity } = this.#options;
    const own = new X509Certificate(certificatePem);
    const issued = certificatesIn(authorityPem).some((authority) => own.verify(authority.publicKey));
    if (!issued || !own.checkPrivateKey(identity.keys.transport)) {
      throw new SignalboxError(
        'internal',
        'The control plane sent a certificate that is not for the key of this node.',
      );
    }
    const certificate = { certificatePem, authorityPem };
    await identity.storeCertificate(certificate);
    return certificate;
  }
}

/** Looks at the chain that a server presents, sends nothing, and returns the authority with this fingerprint. */
async function findAuthority({ host, port, url }: Endpoint, fingerprint: string): Promise<string> {
  const presented = await presentedChain(host, port);
  const authority = presented.find(
    (certificate) => certificate.ca && fingerprintOf(certificate) === fingerprint,
  );
  if (authority !== undefined) return authority.toString();
  throw new SignalboxError(
    'invalid_configuration',
    `The server at ${url} is not under the authority that the join token names. It is another control plane, the token is of another one, or somebody is in between; nothing was sent to it.`,
  );
}

async function presentedChain(host: string, port: number): Promise<X509Certificate[]> {
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate[]>();
  // Any certificate passes here, because nothing is said on this connection; what counts is decided by the caller.
  const socket = tls.connect({
    host,
    port,
    servername: controlPlaneName,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  });
  socket.setTimeout(limits.syncConnectMs, () =>
    socket.destroy(new Error(`no answer within ${limits.syncConnectMs} ms`)),
  );
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('the connection was closed during the handshake')));
  socket.once('secureConnect', () => {
    const chain: X509Certificate[] = [];
    const seen = new Set<string>();
    let next = socket.getPeerX509Certificate();
    while (next !== undefined && !seen.has(next.fingerprint256)) {
      chain.push(next);
      seen.add(next.fingerprint256);
      next = next.issuerCertificate;
    }
    resolve(chain);
  });
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function lifeOf(certificatePem: string): { readonly fromMs: number; readonly toMs: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  return { fromMs: validFromDate.getTime(), toMs: validToDate.getTime() };
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function fingerprintOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex');
}

function publicKeyDer(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function prove(key: KeyObject, text: string): Buffer {
  return sign('sha256', Buffer.from(text), key);
}
