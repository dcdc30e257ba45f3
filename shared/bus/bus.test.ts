// One behaviour suite for every bus; the JetStream one runs against a real server.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import type { Bus, IncomingMessage } from './bus.ts';
import { usageSubject } from './bus.ts';
import { createInProcessBus } from './in-process.ts';
import { connectionOptions, openJetStreamBus } from './jetstream.ts';

const log = createLogger('silent');
const subject = usageSubject;
const patience = { timeout: 20_000, interval: 20 };

interface Setup {
  /** A new, empty bus; JetStream gets a server of its own, so that no test sees another's messages. */
  open(bytesMax?: number): Promise<Bus>;
  /** A second participant of the same bus, as another process would have. */
  join(): Promise<Bus>;
}

function text(message: IncomingMessage): string {
  return Buffer.from(message.data).toString();
}

function publish(bus: Bus, id: string, data = id): Promise<void> {
  return bus.publish({ subject, id, data: Buffer.from(data) });
}

async function connected(bus: Bus): Promise<Bus> {
  await vi.waitFor(() => expect(bus.state).toBe('connected'), patience);
  return bus;
}

function behavesAsBus(setup: () => Setup): void {
  test('a message published before anybody consumes is delivered once somebody does', async () => {
    await using bus = disposable(await setup().open());
    await publish(bus, 'early');
    const seen: IncomingMessage[] = [];
    await bus.consume({
      subject,
      group: 'ledger',
      batchMax: 10,
      handle: async (batch) => void seen.push(...batch),
    });
    await vi.waitFor(() => expect(seen.map(text)).toEqual(['early']), patience);
    expect(seen[0]).toMatchObject({ id: 'early', deliveries: 1 });
  });

  test('messages waiting together arrive as batches of at most the size asked for', async () => {
    await using bus = disposable(await setup().open());
    for (let index = 0; index < 25; index += 1) await publish(bus, `m${index}`);
    const sizes: number[] = [];
    const seen: string[] = [];
    const handle = async (batch: readonly IncomingMessage[]) => {
      sizes.push(batch.length);
      seen.push(...batch.map(text));
    };
    await bus.consume({ subject, group: 'ledger', batchMax: 10, handle });
    await vi.waitFor(() => expect(seen).toHaveLength(25), patience);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(10);
    expect(sizes.length).toBeLessThan(25);
  });

  test('a message whose handling fails is delivered again, and counted', async () => {
    await using bus = disposable(await setup().open());
    const deliveries: number[] = [];
    const handle = async ([message]: readonly IncomingMessage[]) => {
      deliveries.push(message!.deliveries);
      if (deliveries.length < 3) throw new Error('the database is away');
    };
    await bus.consume({ subject, group: 'ledger', batchMax: 1, handle });
    await publish(bus, 'stubborn');
    await vi.waitFor(() => expect(deliveries).toEqual([1, 2, 3]), patience);
  });

  test('consumers of one group share the messages between them', async () => {
    await using bus = disposable(await setup().open());
    await using other = disposable(await setup().join());
    const first: string[] = [];
    const second: string[] = [];
    const into = (target: string[]) => async (batch: readonly IncomingMessage[]) => {
      target.push(...batch.map(text));
    };
    await bus.consume({ subject, group: 'ledger', batchMax: 1, handle: into(first) });
    await other.consume({ subject, group: 'ledger', batchMax: 1, handle: into(second) });
    const ids = Array.from({ length: 60 }, (_, index) => `m${index}`);
    for (const id of ids) await publish(bus, id);
    await vi.waitFor(() => expect([...first, ...second].toSorted()).toEqual(ids.toSorted()), patience);
  });

  test('a bus that is full refuses instead of dropping what it has', async () => {
    await using bus = disposable(await setup().open(40_000));
    const taken: string[] = [];
    const refused = async () => {
      for (let index = 0; index < 100; index += 1) {
        await publish(bus, `m${index}`, 'x'.repeat(10_000));
        taken.push(`m${index}`);
      }
    };
    await expect(refused()).rejects.toMatchObject({ code: 'bus_unavailable' });
    const seen: string[] = [];
    const handle = async (batch: readonly IncomingMessage[]) => void seen.push(...batch.map(({ id }) => id));
    await bus.consume({ subject, group: 'ledger', batchMax: 10, handle });
    await vi.waitFor(() => expect(seen).toEqual(taken), patience);
    expect(taken.length).toBeGreaterThan(0);
  });

  test('a full bus takes messages again once those it had are handled', async () => {
    await using bus = disposable(await setup().open(40_000));
    const fill = async () => {
      for (let index = 0; ; index += 1) await publish(bus, `m${index}`, 'x'.repeat(10_000));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'bus_unavailable' });
    await bus.consume({ subject, group: 'ledger', batchMax: 10, handle: async () => undefined });
    await vi.waitFor(() => publish(bus, 'next', 'x'.repeat(10_000)), patience);
  });

  test('a stopped consumer handles nothing more and leaves the rest to others', async () => {
    await using bus = disposable(await setup().open());
    const first: string[] = [];
    const stopped = await bus.consume({
      subject,
      group: 'ledger',
      batchMax: 1,
      handle: async (batch) => void first.push(...batch.map(text)),
    });
    await publish(bus, 'before');
    await vi.waitFor(() => expect(first).toEqual(['before']), patience);
    await stopped.stop();
    await publish(bus, 'after');
    const second: string[] = [];
    const handle = async (batch: readonly IncomingMessage[]) => void second.push(...batch.map(text));
    await bus.consume({ subject, group: 'ledger', batchMax: 1, handle });
    await vi.waitFor(() => expect(second).toEqual(['after']), patience);
    expect(first).toEqual(['before']);
  });

  test('a closed bus refuses to publish', async () => {
    const bus = await setup().open();
    await bus.close();
    expect(bus.state).toBe('closed');
    await expect(publish(bus, 'late')).rejects.toMatchObject({ code: 'bus_unavailable' });
  });
}

function disposable(bus: Bus): Bus & AsyncDisposable {
  return Object.assign(bus, { [Symbol.asyncDispose]: () => bus.close() });
}

describe('the bus of one process', () => {
  let current: Bus;
  behavesAsBus(() => ({
    async open(bytesMax = 1_000_000) {
      current = createInProcessBus({ log, bytesMax, redelivery: { msMin: 5, msMax: 20 } });
      return current;
    },
    async join() {
      return current;
    },
  }));
});

describe('the JetStream bus', () => {
  let server: NatsServer;
  const open = (url: string, bytesMax = 10_000_000) =>
    connected(openJetStreamBus({ url, clientName: 'test', log, bytesMax }));

  let fresh: NatsServer | undefined;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(async () => {
    await fresh?.[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  behavesAsBus(() => ({
    async open(bytesMax) {
      await fresh?.[Symbol.asyncDispose]();
      fresh = await startNats();
      return open(fresh.url, bytesMax);
    },
    join: () => open(fresh!.url),
  }));

  test('a message published twice under one id is delivered once', async () => {
    await using bus = disposable(await open(server.url));
    await publish(bus, 'twice');
    await publish(bus, 'twice');
    await publish(bus, 'end');
    const seen: string[] = [];
    const handle = async (batch: readonly IncomingMessage[]) => void seen.push(...batch.map(text));
    await bus.consume({ subject, group: 'twice', batchMax: 10, handle });
    await vi.waitFor(() => expect(seen).toContain('end'), patience);
    expect(seen).toEqual(['twice', 'end']);
  });

  test('replicas that start at once agree on one stream', async () => {
    const replicas = await Promise.all(Array.from({ length: 6 }, () => open(server.url)));
    expect(replicas.map(({ state }) => state)).toEqual(replicas.map(() => 'connected'));
    await Promise.all(replicas.map((bus) => bus.close()));
  });

  test('a bus opened before its server runs connects when it comes', async () => {
    const away = await startNats();
    await away.stop();
    await using bus = disposable(openJetStreamBus({ url: away.url, clientName: 'test', log }));
    expect(bus.state).toBe('connecting');
    await expect(publish(bus, 'refused')).rejects.toMatchObject({ code: 'bus_unavailable' });
    await away.start();
    await connected(bus);
    await publish(bus, 'taken');
    await away[Symbol.asyncDispose]();
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'consuming goes on after the server ended by %s and came back',
    async (signal) => {
      await using breaking = await startNats();
      await using bus = disposable(await open(breaking.url));
      const seen: string[] = [];
      const handle = async (batch: readonly IncomingMessage[]) => void seen.push(...batch.map(text));
      await bus.consume({ subject, group: 'ledger', batchMax: 10, handle });
      await publish(bus, 'before');
      await vi.waitFor(() => expect(seen).toContain('before'), patience);
      await breaking.kill(signal);
      await vi.waitFor(() => expect(bus.state).toBe('connecting'), patience);
      await breaking.start();
      await connected(bus);
      await publish(bus, 'after');
      await vi.waitFor(() => expect(seen).toContain('after'), patience);
    },
  );

  test('a stream that was lost with its server is made again', async () => {
    const first = await startNats();
    const port = Number(new URL(first.url).port);
    await using bus = disposable(await open(first.url));
    const seen: string[] = [];
    const handle = async (batch: readonly IncomingMessage[]) => void seen.push(...batch.map(text));
    await bus.consume({ subject, group: 'ledger', batchMax: 10, handle });
    await first[Symbol.asyncDispose]();
    await using _second = await startNats({ port });
    await connected(bus);
    await publish(bus, 'after');
    await vi.waitFor(() => expect(seen).toEqual(['after']), patience);
  });
});

describe('a NATS address', () => {
  test('may carry several servers and credentials', () => {
    expect(connectionOptions('nats://ledger:p%40ss@a:4222, nats://b:4223')).toEqual({
      servers: ['a:4222', 'b:4223'],
      user: 'ledger',
      pass: 'p@ss',
    });
    expect(connectionOptions('tls://token@a:4222')).toEqual({ servers: ['a:4222'], tls: {}, token: 'token' });
  });

  test.each(['http://a:1', 'redis://a'])('%s is refused with what it should look like', (url) => {
    expect(() => connectionOptions(url)).toThrow(/nats:\/\/host:4222/);
  });
});
