import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { answerOf, type RawServer, type RawServerOptions, startRawServer } from '#test/harness/raw-server.ts';
import { type ObserveOptions, observe, originAt } from '#test/harness/upstream-exchange.ts';
import { createUpstreamClient, type UpstreamClient, type UpstreamClientOptions } from './client.ts';

let server: RawServer;
let client: UpstreamClient;

async function start(behaviour: RawServerOptions, options: UpstreamClientOptions = {}): Promise<void> {
  server = await startRawServer(behaviour);
  client = createUpstreamClient(options);
}

afterEach(async () => {
  client.close();
  await server.stop();
});

const ask = (change: Partial<ObserveOptions> = {}) =>
  observe(client, { origin: originAt(server.port), ...change });

const answering: RawServerOptions = { onData: ({ socket }) => socket.write(answerOf('ok')) };
const silent: RawServerOptions = {};
const requestsOn = (index: number): number =>
  server.connections[index]!.received().split('HTTP/1.1\r\n').length - 1;

describe('a connection is used again', () => {
  test('when the answer ended where it said', async () => {
    await start(answering);
    for (let round = 0; round < 5; round++) expect((await ask().over).body).toBe('ok');
    expect(server.connections).toHaveLength(1);
  });

  test('even from within the end of the exchange before it', async () => {
    await start(answering);
    const { promise, resolve } = Promise.withResolvers<string>();
    void ask().over.then(() => ask().over.then(({ body }) => resolve(body)));
    expect(await promise).toBe('ok');
    expect(server.connections).toHaveLength(1);
  });

  test('the one used last first', async () => {
    await start(answering);
    const first = [ask(), ask(), ask()];
    for (const exchange of first) await exchange.over;
    for (let round = 0; round < 5; round++) await ask().over;
    const counts = server.connections.map((_, index) => requestsOn(index)).sort();
    expect(counts).toEqual([1, 1, 6]);
  });

  test('after a pause in the middle of the last bytes', async () => {
    await start(answering);
    await ask({ onData: (_, call) => call.pause() }).over;
    expect((await ask().over).body).toBe('ok');
    expect(server.connections).toHaveLength(1);
  });
});

describe('a connection is never used again', () => {
  const spoilt: Record<string, string> = {
    'when bytes follow the answer': `${answerOf('ok')}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`,
    'when the server says it will close': answerOf('ok', 'HTTP/1.1 200 OK\r\nconnection: close'),
    'when the server speaks HTTP/1.0': answerOf('ok', 'HTTP/1.0 200 OK'),
    'when the server keeps it for no time': answerOf('ok', 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=1'),
  };
  for (const [name, answer] of Object.entries(spoilt)) {
    test(name, async () => {
      await start({ onData: ({ socket }) => socket.write(answer) });
      for (let round = 0; round < 3; round++) {
        const { body, ended } = await ask().over;
        expect({ body, ended }).toEqual({ body: 'ok', ended: true });
      }
      expect(server.connections).toHaveLength(3);
      await expect.poll(() => server.connections.every((connection) => connection.closed())).toBe(true);
    });
  }

  test('when bytes arrive while nobody asked', async () => {
    await start(answering);
    await ask().over;
    server.connections[0]!.socket.write(answerOf('poison'));
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
    expect((await ask().over).body).toBe('ok');
  });

  test('when the answer came before the request was sent', async () => {
    let answered = false;
    await start({
      onData: ({ socket }) => {
        if (answered) return;
        answered = true;
        socket.pause();
        socket.write(answerOf('too large', 'HTTP/1.1 413 Content Too Large'));
      },
    });
    const { status, ended } = await ask({ body: [Buffer.alloc(32 * 1024 * 1024)] }).over;
    expect({ status, ended }).toEqual({ status: 413, ended: true });
    server.connections[0]!.socket.resume();
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
  });

  test('when its answer could not be read', async () => {
    await start({ onData: ({ socket }) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n') });
    expect(await ask().over).toMatchObject({
      code: 'upstream_invalid',
      error: { message: expect.stringContaining('content-length') },
    });
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
  });

  test('when it has been idle for too long, or for as long as the server keeps it', async () => {
    let offsetMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + offsetMs };
    await start(
      { onData: ({ socket }) => socket.write(answerOf('ok', 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=5')) },
      { clock },
    );
    await ask().over;
    offsetMs = 4100;
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
  });
});

describe('a reused connection that breaks before any answer', () => {
  /** Answers the first request of each connection and breaks at the second. */
  const breaking = (how: 'destroy' | 'resetAndDestroy'): RawServerOptions => ({
    onData: ({ socket, received }) => {
      if (received().split('HTTP/1.1\r\n').length === 2) socket.write(answerOf('ok'));
      else socket[how]();
    },
  });

  test.each(['destroy', 'resetAndDestroy'] as const)(
    '(%s) fails a POST that was sent: it may have been billed',
    async (how) => {
      await start(breaking(how));
      await ask().over;
      const exchange = await ask().over;
      expect(exchange.code).toBe('upstream_unreachable');
      expect(exchange.call.requestSent).toBe(true);
      expect(server.connections).toHaveLength(1);
    },
  );

  test('is replaced once for a GET', async () => {
    await start(breaking('destroy'));
    await ask({ method: 'GET', body: [] }).over;
    expect((await ask({ method: 'GET', body: [] }).over).body).toBe('ok');
    expect(server.connections).toHaveLength(2);
  });

  test('is not replaced when it was new', async () => {
    await start({ onData: ({ socket }) => socket.destroy() });
    expect((await ask({ method: 'GET', body: [] }).over).code).toBe('upstream_unreachable');
    expect(server.connections).toHaveLength(1);
  });

  test('is replaced when the kernel refused the request', async () => {
    await start(answering);
    await ask().over;
    server.connections[0]!.socket.resetAndDestroy();
    expect((await ask().over).body).toBe('ok');
    expect(server.connections).toHaveLength(2);
    expect(requestsOn(0)).toBe(1);
  });

  test('is replaced when part of the request had not been sent', async () => {
    const body = Buffer.alloc(32 * 1024 * 1024, 'x');
    await start({
      discard: true,
      onData: (connection) => {
        const { socket } = connection;
        const isFirst = server.connections[0] === connection;
        if (isFirst && connection.receivedBytes() > 1000) socket.destroy();
        else if (isFirst || connection.receivedBytes() > body.length) socket.write(answerOf('ok'));
      },
    });
    await ask().over;
    expect((await ask({ body: [body] }).over).body).toBe('ok');
    expect(server.connections).toHaveLength(2);
    expect(server.connections[1]!.receivedBytes()).toBeGreaterThan(body.length);
  });

  test('after a rest, is noticed before anything is written', async () => {
    let offsetMs = 0;
    await start(answering, {
      clock: { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + offsetMs },
    });
    await ask().over;
    offsetMs = 1500;
    // Closed, and the news is still in the kernel when the next request comes.
    server.connections[0]!.socket.destroy();
    expect((await ask().over).body).toBe('ok');
    expect(requestsOn(0)).toBe(1);
    expect(server.connections).toHaveLength(2);
  });
});

describe('giving up', () => {
  test('before the answer closes the connection, and nothing more is told', async () => {
    await start(silent);
    const exchange = ask();
    await expect.poll(() => server.connections[0]?.receivedBytes()).toBeGreaterThan(0);
    exchange.call.abort();
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
    expect(exchange.callbacks).toEqual([]);
  });

  test.each(['head', 'data'])('from within %s stops at once', async (where) => {
    const answer = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n';
    await start({ onData: ({ socket }) => socket.write(answer) });
    const exchange =
      where === 'head' ? ask({ onHead: (call) => call.abort() }) : ask({ onData: (_, call) => call.abort() });
    await expect.poll(() => server.connections[0]?.closed()).toBe(true);
    expect(exchange.callbacks).toEqual(where === 'head' ? ['head'] : ['head', 'data']);
    expect((await ask().over).body).toBe('ab');
    expect(server.connections).toHaveLength(2);
  });

  test('in the middle of sending stops the sending', async () => {
    await start({ discard: true, onConnection: ({ socket }) => socket.pause() });
    const body = Buffer.alloc(32 * 1024 * 1024);
    const exchange = ask({ body: [body] });
    await expect.poll(() => exchange.call.requestSent).toBe(true);
    exchange.call.abort();
    server.connections[0]?.socket.resume();
    await expect.poll(() => server.connections[0]?.closed()).toBe(true);
    expect(server.connections[0]!.receivedBytes()).toBeLessThan(body.length);
    expect(exchange.callbacks).toEqual([]);
  });

  test('what is over changes nothing', async () => {
    await start(answering);
    const exchange = await ask().over;
    exchange.call.abort();
    exchange.call.pause();
    expect((await ask().over).body).toBe('ok');
    expect(server.connections).toHaveLength(1);
  });
});

describe('time-outs', () => {
  test('a server that never answers is given up, and sees it', async () => {
    await start(silent);
    expect((await ask({ headTimeoutMs: 200 }).over).code).toBe('upstream_timeout');
    await expect.poll(() => server.connections[0]!.closed()).toBe(true);
  });

  test('a head that trickles in does not count as an answer', async () => {
    await start({
      onConnection: ({ socket }) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 200 OK\r\nx: y'.slice(0, 1)), 20);
        socket.write('HTTP/1.1 200 OK\r\nx: ');
        socket.on('close', () => clearInterval(timer));
      },
    });
    expect((await ask({ headTimeoutMs: 300 }).over).code).toBe('upstream_timeout');
  });

  test('silence in the middle of an answer ends it; slow but steady does not', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n';
    await start({
      onData: ({ socket, received }) => {
        socket.write(head);
        if (received().startsWith('GET')) return;
        let sent = 0;
        const timer = setInterval(() => {
          socket.write('x');
          if (++sent === 8) clearInterval(timer);
        }, 60);
      },
    });
    const stalled = ask({ method: 'GET', body: [], idleTimeoutMs: 300 });
    const steady = ask({ idleTimeoutMs: 300 });
    expect((await stalled.over).callbacks).toEqual(['head', 'upstream_timeout']);
    expect((await steady.over).body).toBe('xxxxxxxx');
  });

  test('time in which the reader itself has paused does not count', async () => {
    await start({ onData: ({ socket }) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab') });
    const paused = ask({ idleTimeoutMs: 200, onData: (_, call) => call.pause() });
    const reading = ask({ idleTimeoutMs: 200 });
    expect((await reading.over).code).toBe('upstream_timeout');
    const later = ask({ idleTimeoutMs: 200 });
    expect((await later.over).code).toBe('upstream_timeout');
    expect(paused.callbacks).toEqual(['head', 'data']);
    for (const { socket } of server.connections) if (!socket.destroyed) socket.write('cd');
    paused.call.resume();
    expect((await paused.over).body).toBe('abcd');
  });
});

test('pausing stalls the server instead of filling memory, and resuming delivers everything', async () => {
  const total = 64 * 1024 * 1024;
  const piece = Buffer.alloc(64 * 1024);
  let written = 0;
  await start({
    onData: ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
      const pour = (): void => {
        while (written < total) {
          written += piece.length;
          if (!socket.write(piece)) {
            socket.once('drain', pour);
            return;
          }
        }
      };
      pour();
    },
  });
  let pauses = 0;
  const exchange = ask({
    discard: true,
    onData: (_, call) => {
      if (pauses++ === 0) call.pause();
    },
  });
  const stalledAt = async (): Promise<boolean> => {
    const before = written;
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    return before > 0 && written === before;
  };
  await expect.poll(stalledAt).toBe(true);
  expect(exchange.chunks).toBe(1);
  expect(written).toBeLessThan(total / 2);
  exchange.call.resume();
  expect((await exchange.over).bodyBytes).toBe(total);
});
