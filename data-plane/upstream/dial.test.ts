import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createTestAuthority, type TestAuthority } from '#test/harness/certificates.ts';
import { freePort } from '#test/harness/process.ts';
import { answerOf, type RawServer, type RawServerOptions, startRawServer } from '#test/harness/raw-server.ts';
import { type ObserveOptions, observe, originAt } from '#test/harness/upstream-exchange.ts';
import {
  createUpstreamClient,
  type Origin,
  type UpstreamClient,
  type UpstreamClientOptions,
} from './client.ts';

const servers: RawServer[] = [];
const clients: UpstreamClient[] = [];

async function serve(options: RawServerOptions = {}): Promise<RawServer> {
  const server = await startRawServer({ onData: ({ socket }) => socket.write(answerOf('ok')), ...options });
  servers.push(server);
  return server;
}

function callWith(options: UpstreamClientOptions) {
  const client = createUpstreamClient({ connectTimeoutMs: 5000, ...options });
  clients.push(client);
  return (origin: Origin, change: Partial<ObserveOptions> = {}) => observe(client, { origin, ...change });
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) await server.stop();
});

describe('a name is dialled at the address that was judged', () => {
  test('its addresses are tried in order', async () => {
    const server = await serve();
    const call = callWith({ resolve: async () => ['127.0.0.2', '127.0.0.3', '127.0.0.1'] });
    expect((await call(originAt(server.port, { host: 'provider.test' })).over).body).toBe('ok');
    expect(server.connections[0]!.received()).toContain(`host: provider.test:${server.port}\r\n`);
  });

  test('a name server that changes its answer gains nothing', async () => {
    const server = await serve({ onData: ({ socket }) => socket.end(answerOf('ok')) });
    const resolve = vi.fn().mockResolvedValueOnce(['127.0.0.1']).mockResolvedValue(['169.254.169.254']);
    const call = callWith({ resolve });
    const origin = originAt(server.port, { host: 'rebinding.test' });
    expect((await call(origin).over).body).toBe('ok');
    expect(resolve).toHaveBeenCalledTimes(1);
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
    expect((await call(origin).over).code).toBe('upstream_forbidden_address');
    expect(server.connections).toHaveLength(1);
  });

  test('one forbidden address condemns a name, wherever it stands in the list', async () => {
    const server = await serve();
    for (const addresses of [
      ['127.0.0.1', '169.254.169.254'],
      ['169.254.169.254', '127.0.0.1'],
    ]) {
      const call = callWith({ resolve: async () => addresses });
      expect((await call(originAt(server.port, { host: 'mixed.test' })).over).code).toBe(
        'upstream_forbidden_address',
      );
    }
    expect(server.connections).toHaveLength(0);
  });

  // Spellings that the resolver of the system takes for loopback addresses.
  test.each([
    '127.0.0.1',
    'localhost',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0x7f000001',
    '0177.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
  ])('%s is not dialled without permission', async (host) => {
    const server = await serve();
    const { error, call } = await callWith({})(originAt(server.port, { host, allowPrivateNetwork: false }))
      .over;
    expect(error!.code).toBe('upstream_forbidden_address');
    expect(error!.message).toContain('allow_private_network');
    expect(call.requestSent).toBe(false);
    expect(server.connections).toHaveLength(0);
  });

  test.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    '100.100.100.200',
    '0.0.0.0',
    '2002:7f00:1::',
    'fe80::1',
  ])('%s is not dialled even with permission, and nobody is asked about it', async (host) => {
    const resolve = vi.fn();
    const { code } = await callWith({ resolve })(originAt(80, { host, allowPrivateNetwork: true })).over;
    expect(code).toBe('upstream_forbidden_address');
    expect(resolve).not.toHaveBeenCalled();
  });

  test('a name with a trailing dot is the same name', async () => {
    const server = await serve();
    const asked: string[] = [];
    const call = callWith({
      resolve: async (host) => {
        asked.push(host);
        return ['127.0.0.1'];
      },
    });
    const origin = originAt(server.port, { host: 'provider.test.' });
    expect((await call({ ...origin, allowPrivateNetwork: false }).over).code).toBe(
      'upstream_forbidden_address',
    );
    expect((await call(origin).over).body).toBe('ok');
    expect(asked).toEqual(['provider.test.', 'provider.test.']);
    expect(server.connections[0]!.received()).toContain(`host: provider.test:${server.port}\r\n`);
  });
});

describe('an address that cannot be reached', () => {
  test('is reported without having sent anything', async () => {
    const port = await freePort();
    const { error, call } = await callWith({})(originAt(port)).over;
    expect(error).toMatchObject({
      code: 'upstream_unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(call.requestSent).toBe(false);
  });

  test('because its name is not known is reported as such', async () => {
    const resolve = async () => {
      throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
    };
    const { error } = await callWith({ resolve })(originAt(80, { host: 'nowhere.test' })).over;
    expect(error).toMatchObject({
      code: 'upstream_unreachable',
      message: expect.stringContaining('ENOTFOUND'),
    });
  });

  test('because its name has no address is reported as such', async () => {
    const { code } = await callWith({ resolve: async () => [] })(originAt(80, { host: 'empty.test' })).over;
    expect(code).toBe('upstream_unreachable');
  });

  test('because the name server is silent times out', async () => {
    const never = new Promise<readonly string[]>(() => undefined);
    const call = callWith({ resolve: () => never, connectTimeoutMs: 100 });
    expect((await call(originAt(80, { host: 'slow.test' })).over).code).toBe('upstream_timeout');
  });

  test('because the handshake never ends times out, and the connection is closed', async () => {
    const server = await serve({ onData: () => undefined });
    const call = callWith({ connectTimeoutMs: 150 });
    expect((await call(originAt(server.port, { secure: true })).over).code).toBe('upstream_timeout');
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
  });
});

describe('over TLS', () => {
  let authority: TestAuthority;
  beforeAll(async () => {
    authority = await createTestAuthority();
  });

  async function serveSecurely(...names: string[]) {
    const certificate = await authority.issue(...names);
    return serve({ tls: { ...certificate, ALPNProtocols: ['h2', 'http/1.1'] } });
  }
  const trusting = () =>
    callWith({ certificateAuthorities: [authority.certificate], resolve: async () => ['127.0.0.1'] });
  const secureOrigin = (port: number, host = 'provider.test') => originAt(port, { host, secure: true });

  test('the name is sent and checked, and HTTP/1.1 is agreed on', async () => {
    const server = await serveSecurely('provider.test');
    const call = trusting();
    for (let round = 0; round < 3; round++)
      expect((await call(secureOrigin(server.port)).over).body).toBe('ok');
    expect(server.connections).toHaveLength(1);
    const socket = server.connections[0]!.socket as TLSSocket & { servername: string };
    expect(socket.servername).toBe('provider.test');
    expect(socket.alpnProtocol).toBe('http/1.1');
  });

  test('an address needs a certificate for that address', async () => {
    const right = await serveSecurely('127.0.0.1');
    const wrong = await serveSecurely('provider.test');
    const call = trusting();
    expect((await call(secureOrigin(right.port, '127.0.0.1')).over).body).toBe('ok');
    expect((await call(secureOrigin(wrong.port, '127.0.0.1')).over).code).toBe('upstream_unreachable');
  });

  test('a certificate for another name is refused before anything is sent', async () => {
    const server = await serveSecurely('other.test');
    const { error } = await trusting()(secureOrigin(server.port)).over;
    expect(error).toMatchObject({
      code: 'upstream_unreachable',
      message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID'),
    });
    expect(server.connections.map((connection) => connection.received()).join('')).toBe('');
  });

  test('an authority that is not trusted is refused, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    try {
      const server = await serveSecurely('provider.test');
      const call = callWith({ resolve: async () => ['127.0.0.1'] });
      expect((await call(secureOrigin(server.port)).over).code).toBe('upstream_unreachable');
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('a second connection takes up the session of the first', async () => {
    const server = await serveSecurely('provider.test');
    const call = trusting();
    await call(secureOrigin(server.port)).over;
    await Promise.all([call(secureOrigin(server.port)).over, call(secureOrigin(server.port)).over]);
    const resumed = (): boolean[] =>
      server.connections.map(({ socket }) => (socket as TLSSocket).isSessionReused());
    await expect.poll(resumed).toEqual([false, true]);
  });

  test('large bodies go both ways, and a cut is seen', async () => {
    const certificate = await authority.issue('provider.test');
    const body = Buffer.alloc(3_000_000, 'x');
    const server = await serve({
      tls: certificate,
      onData: (connection) => {
        if (connection.receivedBytes() < body.length) return;
        const { socket } = connection;
        if (server.connections.length === 1)
          socket.write(answerOf(connection.received().split('\r\n\r\n')[1]!));
        else
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nshort', () =>
            socket.end(),
          );
      },
    });
    const call = trusting();
    const first = await call(secureOrigin(server.port), { body: [body] }).over;
    expect(first.bodyBytes).toBe(body.length);
    server.connections[0]!.socket.destroy();
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
    expect((await call(secureOrigin(server.port), { body: [body] }).over).code).toBe('upstream_truncated');
  });
});
