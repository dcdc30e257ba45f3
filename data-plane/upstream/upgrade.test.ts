// A WebSocket to a provider is dialled under the same rules as every other connection.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { createUpstreamClient, type Origin, type UpgradeRequest } from './client.ts';

let server: Server;
let answered = 0;
const client = createUpstreamClient({ connectTimeoutMs: 500 });

beforeEach(async () => {
  answered = 0;
  const sockets = new WebSocketServer({ noServer: true });
  server = createServer((_request, response) =>
    response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
  );
  server.on('upgrade', (request, socket, head) => {
    answered += 1;
    if (request.url === '/redirect') {
      socket.end('HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      for (let index = 0; index < 100; index++) accepted.send(`message ${index}`);
      accepted.close(4001, 'done');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function requestTo(path: string, origin: Partial<Origin> = {}): UpgradeRequest {
  const { port } = server.address() as AddressInfo;
  return {
    origin: { secure: false, host: '127.0.0.1', port, allowPrivateNetwork: true, ...origin },
    path,
    headers: { authorization: 'Bearer secret' },
    answerTimeoutMs: 500,
    messageBytesMax: 1000,
    refusalBytesMax: 1000,
  };
}

const never = new AbortController().signal;

test('messages that came before anybody listened are not lost, and a pause holds them back', async () => {
  const outcome = await client.upgrade(requestTo('/'), never);
  if (outcome.kind !== 'opened') throw new Error('refused');
  const heard: string[] = [];
  const closing = await new Promise((resolve) => {
    outcome.socket.listen({
      onMessage(bytes) {
        heard.push(bytes.toString());
        if (heard.length % 10 !== 0) return;
        outcome.socket.pause();
        setImmediate(() => {
          expect(heard.length % 10).toBe(0);
          outcome.socket.resume();
        });
      },
      onDrain: () => undefined,
      onPong: () => undefined,
      onClose: resolve,
    });
  });
  expect(heard).toEqual(Array.from({ length: 100 }, (_, index) => `message ${index}`));
  expect(closing).toEqual({ code: 4001, reason: 'done', fault: undefined });
});

test('a redirect is a refusal and not followed', async () => {
  const outcome = await client.upgrade(requestTo('/redirect'), never);
  expect(outcome).toMatchObject({ kind: 'refused', status: 302 });
});

test('an address that is not allowed is not dialled', async () => {
  const opening = client.upgrade(requestTo('/', { allowPrivateNetwork: false }), never);
  await expect(opening).rejects.toMatchObject({ code: 'upstream_forbidden_address' });
  expect(answered).toBe(0);
});

test('TLS is verified', async () => {
  const opening = client.upgrade(requestTo('/', { secure: true }), never);
  await expect(opening).rejects.toMatchObject({ code: 'upstream_unreachable' });
  expect(answered).toBe(0);
});

test('a header that would end the head early is not sent', async () => {
  const request = { ...requestTo('/'), headers: { 'x-name': 'a\r\nb: c' } };
  await expect(client.upgrade(request, never)).rejects.toMatchObject({ code: 'upstream_unreachable' });
  expect(answered).toBe(0);
});

test('whoever has no time left is not waited for', async () => {
  const called = new AbortController();
  const opening = client.upgrade(requestTo('/'), called.signal);
  called.abort(new Error('left'));
  await expect(opening).rejects.toThrow('left');
});
