// One behaviour suite for news on every bus; the NATS one runs against a real server.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import type { Bus } from './bus.ts';
import { createInProcessBus } from './in-process.ts';
import { openJetStreamBus } from './jetstream.ts';

const log = createLogger('silent');
const patience = { timeout: 20_000, interval: 10 };
const subject = 'signalbox.health';

interface Setup {
  /** Several participants of one bus. */
  open(count: number): Promise<readonly Bus[]>;
}

function hearing(bus: Bus, about = subject): string[] {
  const heard: string[] = [];
  bus.broadcast.listen(about, (data) => void heard.push(Buffer.from(data).toString()));
  return heard;
}

/** Until somebody has it: who has just begun to listen may miss the first. */
async function tellUntilHeard(bus: Bus, text: string, heard: readonly (readonly string[])[]): Promise<void> {
  await vi.waitFor(() => {
    bus.broadcast.announce(subject, Buffer.from(text));
    for (const each of heard) expect(each).toContain(text);
  }, patience);
}

function behavesAsBroadcast(setup: () => Setup): void {
  test('everyone who listens hears it, the speaker too, and nobody what is not theirs', async () => {
    const [one, other] = (await setup().open(2)) as [Bus, Bus];
    const heard = [hearing(one), hearing(one), hearing(other)];
    const elsewhere = hearing(other, 'signalbox.other');
    await tellUntilHeard(one, 'hello', heard);
    expect(elsewhere).toEqual([]);
    for (const bus of [one, other]) await bus.close();
  });

  test('who listens is not within the turn of who speaks, and may throw', async () => {
    const [bus] = (await setup().open(1)) as [Bus];
    let calls = 0;
    bus.broadcast.listen(subject, () => {
      calls += 1;
      throw new Error('cannot hear this');
    });
    const heard = hearing(bus);
    const before = calls;
    bus.broadcast.announce(subject, Buffer.from('first'));
    expect(calls).toBe(before);
    await tellUntilHeard(bus, 'second', [heard]);
    expect(calls).toBeGreaterThan(0);
    await bus.close();
  });

  test('who has stopped hears nothing more', async () => {
    const [bus] = (await setup().open(1)) as [Bus];
    const stopped: string[] = [];
    const listening = bus.broadcast.listen(
      subject,
      (data) => void stopped.push(Buffer.from(data).toString()),
    );
    const heard = hearing(bus);
    await tellUntilHeard(bus, 'before', [heard, stopped]);
    listening.stop();
    const count = stopped.length;
    await tellUntilHeard(bus, 'after', [heard]);
    expect(stopped).toHaveLength(count);
    await bus.close();
  });

  test('a closed bus takes nothing, and says so', async () => {
    const [bus] = (await setup().open(1)) as [Bus];
    const listening = bus.broadcast.listen(subject, () => {});
    await bus.close();
    expect(bus.broadcast.announce(subject, Buffer.from('late'))).toBe(false);
    expect(() => listening.stop()).not.toThrow();
  });
}

describe('within one process', () => {
  behavesAsBroadcast(() => ({
    async open(count) {
      const bus = createInProcessBus({ log });
      return Array.from({ length: count }, () => bus);
    },
  }));
});

describe('over NATS', () => {
  let server: NatsServer;
  const open = async (url: string) => {
    const bus = openJetStreamBus({ url, clientName: 'test', log, bytesMax: 10_000_000 });
    await vi.waitFor(() => expect(bus.state).toBe('connected'), patience);
    return bus;
  };
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  behavesAsBroadcast(() => ({
    open: (count) => Promise.all(Array.from({ length: count }, () => open(server.url))),
  }));

  test('who began to listen before there was a server hears it when it comes, and again after it was away', async () => {
    const away = await startNats();
    await away.stop();
    const bus = openJetStreamBus({ url: away.url, clientName: 'test', log, bytesMax: 10_000_000 });
    const heard = hearing(bus);
    expect(bus.broadcast.announce(subject, Buffer.from('nobody'))).toBe(false);
    await away.start();
    await tellUntilHeard(bus, 'first', [heard]);
    await away.kill('SIGKILL');
    await vi.waitFor(
      () => expect(bus.broadcast.announce(subject, Buffer.from('lost'))).toBe(false),
      patience,
    );
    await away.start();
    await tellUntilHeard(bus, 'second', [heard]);
    await bus.close();
    await away[Symbol.asyncDispose]();
  });
});
