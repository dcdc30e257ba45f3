// A server that hands out access tokens, as Google and Microsoft do, for tests: a real HTTP server that remembers what it was asked and
// gives the tokens, or the refusals, that a test tells it to.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Origin } from '#data-plane/upstream/client.ts';

export interface TokenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly form: Readonly<Record<string, string>>;
}

export interface TokenAnswer {
  readonly status: number;
  readonly body: object | string;
}

export interface TokenServer {
  readonly origin: Origin;
  readonly port: number;
  readonly requests: readonly TokenRequest[];
  /** What is answered from now on; `token-1`, `token-2`, … good for an hour unless a test says otherwise. */
  answer: (request: TokenRequest, count: number) => TokenAnswer | Promise<TokenAnswer>;
  stop(): Promise<void>;
}

export function goodToken(_request: TokenRequest, count: number): TokenAnswer {
  return {
    status: 200,
    body: { access_token: `token-${count}`, expires_in: 3600, token_type: 'Bearer' },
  };
}

export async function startTokenServer(): Promise<TokenServer> {
  const requests: TokenRequest[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', async () => {
      const asked: TokenRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        form: Object.fromEntries(new URLSearchParams(Buffer.concat(pieces).toString())),
      };
      requests.push(asked);
      const { status, body } = await started.answer(asked, requests.length);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const started: TokenServer = {
    origin: { secure: false, host: '127.0.0.1', port, allowPrivateNetwork: true },
    port,
    requests,
    answer: goodToken,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}
