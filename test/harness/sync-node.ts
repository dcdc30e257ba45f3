// A data plane reduced to its end of the Sync stream: it says hello, keeps what it is sent, checks every hash, digest and
// signature, and acknowledges. Tests tell it when to be slow, to refuse, or to fall silent.
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { ResourceBatchSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import {
  type Begin,
  type Chunk,
  type Commit,
  Encoding,
  type HelloSchema,
  type ResourceErrorSchema,
  type SyncRequest,
  SyncRequestSchema,
  type SyncResponse,
  SyncService,
  type Welcome,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { ConfigurationDigest } from '#shared/configuration-digest.ts';
import { newSealingKeyPair, openSealedKey } from '#shared/crypto/sealed-key.ts';

export interface SyncNodeOptions {
  readonly url: string;
  readonly nodeId: string;
  /** For plain connections. */
  readonly token?: string;
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
  readonly hello?: MessageInitShape<typeof HelloSchema>;
  /** What an earlier stream of this node left behind. */
  readonly memory?: NodeMemory;
  /** Reasons to refuse a transfer; none accepts it. */
  readonly refuse?: (begin: Begin) => MessageInitShape<typeof ResourceErrorSchema>[];
  /** Leaves transfers unanswered, until `answer` is called. */
  readonly answersTransfers?: boolean;
  readonly heartbeatMs?: number;
  readonly journalEpochs?: readonly string[];
}

/** What a node keeps from one stream to the next. */
export class NodeMemory {
  readonly sealing = newSealingKeyPair();
  resources = new Map<string, { type: number; name: string; version: bigint; payload: Uint8Array }>();
  revision = 0n;
  digest: Uint8Array = new Uint8Array();
  historyId = '';
  fleetKey: Buffer | undefined;

  names(): string[] {
    return [...this.resources.values()].map(({ name }) => name).toSorted();
  }
}

type Content = NonNullable<MessageInitShape<typeof SyncRequestSchema>['message']>;
type Answer = Extract<SyncResponse['message'], { value: unknown }>;
type Answers = { [Each in Answer as Each['case']]: Each['value'] };

export class SyncNode {
  readonly memory: NodeMemory;
  readonly responses: SyncResponse[] = [];
  readonly begins: Begin[] = [];
  welcome: Welcome | undefined;
  /** Set when the stream has ended; undefined as a value of it means an orderly end. */
  ended: { readonly error?: unknown } | undefined;
  readonly #options: SyncNodeOptions;
  readonly #manager: Http2SessionManager;
  readonly #abort = new AbortController();
  readonly #outgoing: SyncRequest[] = [];
  #wake: (() => void) | undefined;
  #begin: Begin | undefined;
  #chunks: Chunk[] = [];
  #heartbeats: NodeJS.Timeout | undefined;
  #unanswered: (() => void)[] = [];

  constructor(options: SyncNodeOptions) {
    this.#options = options;
    this.memory = options.memory ?? new NodeMemory();
    const { manager, client } = connectSync(options);
    this.#manager = manager;
    this.send({ case: 'hello', value: this.#hello() });
    void this.#run(client, {
      signal: this.#abort.signal,
      headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
    });
    const { heartbeatMs } = options;
    if (heartbeatMs !== undefined) this.#heartbeats = setInterval(() => this.heartbeat(), heartbeatMs);
  }

  send(message: Content): void {
    this.#outgoing.push(create(SyncRequestSchema, { message }));
    this.#wake?.();
  }

  heartbeat(): void {
    const { revision, digest } = this.memory;
    const journalEpochs = [...(this.#options.journalEpochs ?? [])];
    this.send({ case: 'heartbeat', value: { revision, digest, load: 3, spoolBytes: 7n, journalEpochs } });
  }

  /** Answers the transfers that were left unanswered. */
  answer(): void {
    for (const send of this.#unanswered.splice(0)) send();
  }

  /** The messages of one kind received so far. */
  of<Case extends Answer['case']>(name: Case): Answers[Case][] {
    return this.responses.flatMap(({ message }) =>
      message.case === name ? [message.value as Answers[Case]] : [],
    );
  }

  close(): void {
    clearInterval(this.#heartbeats);
    this.#abort.abort();
    this.#manager.abort();
  }

  #hello(): MessageInitShape<typeof HelloSchema> {
    const { revision, digest, historyId, sealing } = this.memory;
    return {
      nodeId: this.#options.nodeId,
      bootEpoch: 1n,
      region: 'eu',
      build: 'test/1',
      schemaMin: 1,
      schemaMax: 1,
      haveRevision: revision,
      haveDigest: digest,
      historyId,
      sealingKey: sealing.publicKey,
      advertisedAddress: 'http://node.example',
      ...this.#options.hello,
    };
  }

  async #run(client: Client<typeof SyncService>, callOptions: CallOptions): Promise<void> {
    try {
      for await (const response of client.sync(this.#requests(), callOptions)) this.#receive(response);
      this.ended = {};
    } catch (error) {
      this.ended = { error };
    }
    clearInterval(this.#heartbeats);
  }

  async *#requests(): AsyncGenerator<SyncRequest> {
    while (this.ended === undefined) {
      const next = this.#outgoing.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #receive(response: SyncResponse): void {
    const { message } = response;
    if (message.case === 'chunk') {
      if (message.value.nonce === this.#begin?.nonce) this.#chunks.push(message.value);
      return;
    }
    this.responses.push(response);
    if (message.case === 'welcome') this.welcome = message.value;
    if (message.case === 'begin') {
      this.begins.push(message.value);
      this.#begin = message.value;
      this.#chunks = [];
    }
    if (message.case === 'commit') this.#commit(this.#begin!, message.value);
  }

  #commit(begin: Begin, commit: Commit): void {
    const errors = this.#options.refuse?.(begin) ?? [];
    const answer = () => {
      if (errors.length > 0) {
        const { revision: runningRevision } = this.memory;
        this.send({
          case: 'nack',
          value: { nonce: begin.nonce, revision: begin.toRevision, runningRevision, errors },
        });
        return;
      }
      this.#apply(begin, commit);
      const { revision, digest } = this.memory;
      this.send({ case: 'ack', value: { nonce: begin.nonce, revision, digest, applyMs: 1.5 } });
    };
    if (this.#options.answersTransfers ?? true) answer();
    else this.#unanswered.push(answer);
  }

  #apply(begin: Begin, commit: Commit): void {
    const { memory } = this;
    const hash = createHash('sha256');
    const resources = begin.full ? new Map<string, never>() : new Map(memory.resources);
    for (const { data, encoding } of this.#chunks) {
      hash.update(data);
      const batch = fromBinary(ResourceBatchSchema, encoding === Encoding.GZIP ? gunzipSync(data) : data);
      for (const one of batch.upserts) resources.set(`${one.type}/${one.name}`, one as never);
      for (const one of batch.removals) resources.delete(`${one.type}/${one.name}`);
    }
    if (!hash.digest().equals(begin.sha256)) throw new Error('the bytes are not the ones announced');
    const digest = ConfigurationDigest.empty();
    for (const { type, name, version } of resources.values()) digest.add(type, name, version);
    if (!digest.bytes().equals(commit.digest)) throw new Error('the digest is another one');
    const text = `signalbox-config|${begin.historyId}|${begin.toRevision}|${digest.bytes().toString('hex')}`;
    if (!isSignedBy(this.welcome!.signingKey, text, commit.signature))
      throw new Error('the signature is wrong');
    memory.fleetKey = openSealedKey(memory.sealing.privateKey, begin.sealedKey!);
    memory.resources = resources;
    memory.revision = begin.toRevision;
    memory.digest = digest.bytes();
    memory.historyId = begin.historyId;
  }
}

export function connectSync({ url, tls }: Pick<SyncNodeOptions, 'url' | 'tls'>) {
  const manager = new Http2SessionManager(
    url,
    {},
    { ...tls, servername: 'control-plane.signalbox.internal' },
  );
  const transport = createGrpcTransport({ baseUrl: url, sessionManager: manager, acceptCompression: [] });
  return { manager, transport, client: createClient(SyncService, transport) };
}

export function newTransportKey(): { publicKey: Buffer; privateKeyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }),
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

function isSignedBy(rawKey: Uint8Array, text: string, signature: Uint8Array): boolean {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), rawKey]);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return verify(null, Buffer.from(text), key, signature);
}
