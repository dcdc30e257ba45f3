// The places where AWS hands out temporary keys (STS, the agent of a container, the metadata of an instance) on one port of this
// machine. Every set of keys has a number, so that a test sees which one was used, and lives as long as the test says.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AwsHosts } from '#data-plane/providers/aws/hosts.ts';
import { originAt } from './upstream-exchange.ts';

export interface FakeAws {
  readonly url: string;
  readonly hosts: AwsHosts;
  /** What was asked, as `PUT /latest/api/token`. */
  readonly asked: readonly string[];
  /** Bodies and tokens that came with it. */
  readonly seen: readonly { readonly body: string; readonly headers: IncomingMessage['headers'] }[];
  lifeMs: number;
  /** Answers everything with this status from now on. */
  failsWith: number | undefined;
  stop(): Promise<void>;
}

const ROLES = '/latest/meta-data/iam/security-credentials/';

export async function startFakeAws(nowMs: () => number): Promise<FakeAws> {
  const asked: string[] = [];
  const seen: { body: string; headers: IncomingMessage['headers'] }[] = [];
  const state = { lifeMs: 60 * 60_000, failsWith: undefined as number | undefined, serial: 0 };
  const keys = () => {
    state.serial += 1;
    return {
      AccessKeyId: `ASIATEMPORARY${String(state.serial).padStart(4, '0')}`,
      SecretAccessKey: `secret${state.serial}`,
      Token: `token+/${state.serial}=`,
      Expiration: new Date(nowMs() + state.lifeMs).toISOString(),
    };
  };
  const answers: Readonly<Record<string, () => string>> = {
    'POST /': () => {
      const { AccessKeyId, SecretAccessKey, Token, Expiration } = keys();
      return `<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>${AccessKeyId}</AccessKeyId><SecretAccessKey>${SecretAccessKey}</SecretAccessKey><SessionToken>${Token}</SessionToken><Expiration>${Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>`;
    },
    'GET /v2/credentials/1?a=b': () => JSON.stringify(keys()),
    'PUT /latest/api/token': () => 'instance-token',
    [`GET ${ROLES}`]: () => 'the role\n',
    [`GET ${ROLES}the%20role`]: () => JSON.stringify({ Code: 'Success', ...keys() }),
  };
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const question = `${request.method} ${request.url}`;
      asked.push(question);
      seen.push({ body: Buffer.concat(pieces).toString(), headers: request.headers });
      const status = state.failsWith ?? (answers[question] === undefined ? 404 : 200);
      response.writeHead(status).end(status === 200 ? answers[question]!() : 'no, arn:aws:iam::123:role/x');
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const { port } = server.address() as { port: number };
  const origin = originAt(port);
  return {
    url: `http://127.0.0.1:${port}`,
    hosts: { sts: () => origin, container: origin, instance: origin },
    asked,
    seen,
    get lifeMs() {
      return state.lifeMs;
    },
    set lifeMs(lifeMs: number) {
      state.lifeMs = lifeMs;
    },
    get failsWith() {
      return state.failsWith;
    },
    set failsWith(status: number | undefined) {
      state.failsWith = status;
    },
    stop: async () => {
      const stopped = Promise.withResolvers<void>();
      server.close(() => stopped.resolve());
      server.closeAllConnections();
      await stopped.promise;
    },
  };
}
