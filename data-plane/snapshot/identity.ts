// Who this node is: its name, its keys and what it has learned to trust, in `<data directory>/node/`, for the node alone.
// What can be made again without harm is made again when its file is damaged; the name cannot, because the ledger counts
// under it. docs/node-cache.md says what each file is and what losing it means.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '#shared/clock.ts';
import { KEY_BYTES, newKey } from '#shared/crypto/box.ts';
import { newSealingKeyPair, rawPublicKey } from '#shared/crypto/sealed-key.ts';
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { makePrivateDirectory, readTextIfPresent, renameIfPresent, writeDurably } from './durable-file.ts';
import { HighWater } from './high-water.ts';

export interface IdentityOptions {
  readonly dataDirectory: string;
  /** The name to go by; without one, the name of the last start, and at the first start a new one. */
  readonly nodeId: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NodeCertificate {
  /** Names this node; presented to the control plane. */
  readonly certificatePem: string;
  /** The one authority whose control planes this node talks to. */
  readonly authorityPem: string;
}

interface NodeKeys {
  /** X25519: the fleet's secret key arrives sealed to it. */
  readonly sealing: KeyObject;
  /** EC P-256: the key of the node's certificate. */
  readonly transport: KeyObject;
  /** AES-256: everything this node caches on disk is under it. */
  readonly disk: Buffer;
}

const SIGNING_KEY_BYTES = 32;
const nodeIdShape = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${limits.nameLengthMax - 1}}$`);
const keysShape = z.object({ sealing: z.string(), transport: z.string(), disk: z.string() });
const certificateShape = z.object({ certificatePem: z.string(), authorityPem: z.string() });

export class NodeIdentity {
  readonly nodeId: string;
  /** Larger at every start, so that the control plane can tell a stream of an earlier life from this one. */
  readonly bootEpoch: bigint;
  readonly directory: string;
  readonly keys: NodeKeys;
  readonly highWater: HighWater;
  #certificate: NodeCertificate | undefined;
  #signingKey: Buffer | undefined;

  private constructor(
    parts: Pick<
      NodeIdentity,
      'nodeId' | 'bootEpoch' | 'directory' | 'keys' | 'highWater' | 'certificate' | 'signingKey'
    >,
  ) {
    this.nodeId = parts.nodeId;
    this.bootEpoch = parts.bootEpoch;
    this.directory = parts.directory;
    this.keys = parts.keys;
    this.highWater = parts.highWater;
    this.#certificate = parts.certificate;
    this.#signingKey = parts.signingKey;
  }

  static async open(options: IdentityOptions): Promise<NodeIdentity> {
    const directory = join(options.dataDirectory, 'node');
    await makePrivateDirectory(directory);
    await chmod(directory, 0o700);
    const files = new Files(directory, options.log);
    const { nodeId, renamed } = await openNodeId(files, options);
    const bootEpoch = await openBootEpoch(files, options.clock);
    const { keys, made } = await openKeys(files);
    // A certificate is for one name and one key; with either gone it proves nothing.
    if (renamed || made) await files.remove('certificate.json');
    return new NodeIdentity({
      nodeId,
      bootEpoch,
      directory,
      keys,
      highWater: await HighWater.open(files),
      certificate: await files.read('certificate.json', readCertificate),
      signingKey: await files.read('signing-key', readSigningKey),
    });
  }

  get sealingPublicKey(): Buffer {
    return rawPublicKey(createPublicKey(this.keys.sealing));
  }

  get certificate(): NodeCertificate | undefined {
    return this.#certificate;
  }

  async storeCertificate(certificate: NodeCertificate): Promise<void> {
    await writeDurably(
      join(this.directory, 'certificate.json'),
      JSON.stringify(readCertificateParts(certificate)),
    );
    this.#certificate = certificate;
  }

  async forgetCertificate(): Promise<void> {
    await rm(join(this.directory, 'certificate.json'), { force: true });
    this.#certificate = undefined;
  }

  /** The key that signs every configuration this node accepts; undefined until the first control plane showed one. */
  get signingKey(): Buffer | undefined {
    return this.#signingKey;
  }

  /** From now on only configurations signed with this key are accepted. */
  async pinSigningKey(key: Uint8Array): Promise<void> {
    const text = Buffer.from(key).toString('base64');
    await writeDurably(join(this.directory, 'signing-key'), text);
    this.#signingKey = readSigningKey(text);
  }
}

/** The files of one identity. A file that cannot be understood is moved aside, not deleted, and told about. */
export class Files {
  readonly directory: string;
  readonly #log: Logger;

  constructor(directory: string, log: Logger) {
    this.directory = directory;
    this.#log = log;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async read<Value>(name: string, parse: (text: string) => Value): Promise<Value | undefined> {
    const text = await readTextIfPresent(this.path(name));
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      await renameIfPresent(this.path(name), `${this.path(name)}.damaged`);
      this.#log.warn(
        { file: this.path(name), err: error },
        'a file of this node is damaged; it was moved aside and is made again',
      );
      return undefined;
    }
  }

  async write(name: string, text: string): Promise<void> {
    await writeDurably(this.path(name), text);
  }

  async remove(name: string): Promise<void> {
    await rm(this.path(name), { force: true });
  }
}

async function openNodeId(
  files: Files,
  { nodeId: given, log }: IdentityOptions,
): Promise<{ nodeId: string; renamed: boolean }> {
  if (given !== undefined && !nodeIdShape.test(given)) {
    throw new SignalboxError(
      'invalid_configuration',
      `The node id "${given}" is not valid: use letters, digits, ".", "_" and "-", at most ${limits.nameLengthMax}.`,
    );
  }
  const path = files.path('node-id');
  const stored = (await readTextIfPresent(path))?.trim();
  if (given === undefined && stored !== undefined && !nodeIdShape.test(stored)) {
    throw new SignalboxError(
      'invalid_configuration',
      `The file ${path} does not hold a node id. Restore it, give the node its id, or delete ${files.directory} to start as a new node.`,
    );
  }
  const nodeId = given ?? stored ?? prefixedId('node');
  const renamed = stored !== undefined && stored !== nodeId;
  if (renamed) log.warn({ before: stored, now: nodeId }, 'this node has been given another name');
  if (stored !== nodeId) await files.write('node-id', `${nodeId}\n`);
  return { nodeId, renamed };
}

// The clock is the floor, so that epochs still increase when the file is lost.
async function openBootEpoch(files: Files, clock: Clock): Promise<bigint> {
  const last = (await files.read('boot-epoch', (text) => BigInt(text.trim()))) ?? 0n;
  const now = BigInt(Math.floor(clock.wallMs()));
  const bootEpoch = last >= now ? last + 1n : now;
  await files.write('boot-epoch', `${bootEpoch}\n`);
  return bootEpoch;
}

async function openKeys(files: Files): Promise<{ keys: NodeKeys; made: boolean }> {
  const stored = await files.read('keys.json', readKeys);
  if (stored !== undefined) return { keys: stored, made: false };
  const keys: NodeKeys = {
    sealing: newSealingKeyPair().privateKey,
    transport: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    disk: newKey(),
  };
  const text = JSON.stringify({
    sealing: exportKey(keys.sealing),
    transport: exportKey(keys.transport),
    disk: keys.disk.toString('base64'),
  });
  await files.write('keys.json', text);
  return { keys, made: true };
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'der' }).toString('base64');
}

function readKeys(text: string): NodeKeys {
  const stored = keysShape.parse(JSON.parse(text));
  const read = (der: string, type: string) => {
    const key = createPrivateKey({ key: Buffer.from(der, 'base64'), type: 'pkcs8', format: 'der' });
    if (key.asymmetricKeyType !== type) throw new Error(`a key of type ${type} was expected`);
    return key;
  };
  const disk = Buffer.from(stored.disk, 'base64');
  if (disk.length !== KEY_BYTES) throw new Error(`the disk key must have ${KEY_BYTES} bytes`);
  return { sealing: read(stored.sealing, 'x25519'), transport: read(stored.transport, 'ec'), disk };
}

function readCertificate(text: string): NodeCertificate {
  return readCertificateParts(certificateShape.parse(JSON.parse(text)));
}

/** Throws unless both are certificates. */
function readCertificateParts({ certificatePem, authorityPem }: NodeCertificate): NodeCertificate {
  new X509Certificate(certificatePem);
  new X509Certificate(authorityPem);
  return Object.freeze({ certificatePem, authorityPem });
}

function readSigningKey(text: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== SIGNING_KEY_BYTES) throw new Error(`a signing key must have ${SIGNING_KEY_BYTES} bytes`);
  return key;
}
