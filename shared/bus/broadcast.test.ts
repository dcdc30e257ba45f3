// One behaviour suite for news on every bus; NATS and Redis are real servers.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '#shared/limits.ts';
import { createLogger, type Logger } from '#shared/log.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import { type RedisServer, startRedis } from '#test/harness/redis.ts';
import type { Bus } from './bus.ts';
import { createInProcessBus } from './in-process.ts';
import { openJetStreamBus } from './jetstream.ts';
import { joinBroadcasts } from './joint-broadcast.ts';
import { openRedisBroadcast } from './redis-broadcast.ts';

const log = createLogger('silent');
const patience = { timeout: 20_000, interval: 10 };
const subject = 'signalbox.health';

interface Participant extends Pick<Bus, 'broadcast'> {
  close(): Promise<void>;
}

interface Setup {
  /** Several participants of one bus. */
  open(count: number): Promise<readonly Participant[]>;
}

function hearing(bus: Participant, about = subject): string[] {
  const heard: string[] = [];
  bus.broadcast.listen(about, (data) => void heard.push(Buffer.from(data).toString()));
  return heard;
}

/** Until somebody has it: who has just begun to listen may miss the first. */
async function tellUntilHeard(
  bus: Participant,
  text: string,
  heard: readonly (readonly string[])[],
): Promise<void> {
  await vi.waitFor(() => {
    bus.broadcast.announce(subject, Buffer.from(text));
    for (const each of heard) expect(each).toContain(text);
  }, patience);
}

function behavesAsBroadcast(setup: () => Setup): void {
  test('everyone who listens hears it, the speaker too, and nobody what is not theirs', async () => {
    const [one, other] = (await setup().open(2)) as [Participant, Participant];
    const heard = [hearing(one), hearing(one), hearing(other)];
    const elsewhere = hearing(other, 'signalbox.other');
    await tellUntilHeard(one, 'hello', heard);
    expect(elsewhere).toEqual([]);
    for (const bus of [one, other]) await bus.close();
  });

  test('who listens is not within the turn of who speaks, and may throw', async () => {
    const [bus] = (await setup().open(1)) as [Participant];
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
    const [bus] = (await setup().open(1)) as [Participant];
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
    const [bus] = (await setup().open(1)) as [Participant];
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

/** Frozen is what has said nothing for so long; here sooner, so that a test need not wait. */
const silentMs = 300;

function overRedis(url: string, to = log): Participant {
  const broadcast = openRedisBroadcast({ url, log: to, silentMs });
  return { broadcast, close: async () => broadcast.close() };
}

describe('over Redis', () => {
  let server: RedisServer;
  const open = async (url: string) => {
    const participant = overRedis(url);
    await vi.waitFor(() => expect(says(participant, 'opened')).toBe(true), patience);
    return participant;
  };
  const says = ({ broadcast }: Participant, text: string) => broadcast.announce(subject, Buffer.from(text));

  beforeEach(async () => {
    server = await startRedis();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  behavesAsBroadcast(() => ({
    open: (count) => Promise.all(Array.from({ length: count }, () => open(server.url))),
  }));

  test('who began to listen before there was a server hears it when it comes, and again after it was killed', async () => {
    await server.stop();
    const lines: string[] = [];
    const warn = (_: unknown, line: string) => lines.push(line);
    const info = (line: string) => lines.push(line);
    const one = overRedis(server.url, Object.assign(Object.create(log) as Logger, { warn, info }));
    const heard = hearing(one);
    expect(says(one, 'nobody')).toBe(false);
    await vi.waitFor(() => expect(lines).toHaveLength(1), patience);
    await server.start();
    await tellUntilHeard(one, 'first', [heard]);
    await server.stop();
    await vi.waitFor(() => expect(says(one, 'lost')).toBe(false), patience);
    await vi.waitFor(() => expect(lines).toHaveLength(3), patience);
    await server.start();
    await tellUntilHeard(one, 'second', [heard]);
    expect(heard).not.toContain('nobody');
    await one.close();
    // Each time it was away is told once, and its end.
    const kinds = lines.map((line) => (/no news/.test(line) ? 'away' : 'back'));
    expect(kinds).toEqual(['away', 'back', 'away', 'back']);
  });

  test('a server that is frozen is told little, and no old news when it goes on', async () => {
    const [one, other] = [await open(server.url), await open(server.url)];
    const heard = [hearing(one), hearing(other)];
    await tellUntilHeard(one, 'before', heard);
    server.signal('SIGSTOP');
    const large = Buffer.alloc(limits.healthDigestBytesMax);
    const taken = Array.from({ length: 10 }, () => one.broadcast.announce(subject, large));
    const room = Math.floor(limits.newsUnansweredBytesMax / large.length);
    expect(taken).toEqual(taken.map((_, index) => index < room));
    await vi.waitFor(() => expect([says(one, 'old'), says(other, 'old')]).toEqual([false, false]), patience);
    server.signal('SIGCONT');
    await tellUntilHeard(one, 'after', heard);
    await tellUntilHeard(other, 'after too', heard);
    for (const each of heard) expect(each.filter((text) => text === 'old' || text.length > 100)).toEqual([]);
    for (const participant of [one, other]) await participant.close();
  });

  test('databases of one server do not hear each other', async () => {
    const [one, other] = [await open(`${server.url}/1`), await open(`${server.url}/2`)];
    const [near, far] = [hearing(one), hearing(other)];
    await tellUntilHeard(one, 'here', [near]);
    await tellUntilHeard(other, 'there', [far]);
    expect(near).not.toContain('there');
    expect(far).not.toContain('here');
    for (const participant of [one, other]) await participant.close();
  });
});

describe('over several at once', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  behavesAsBroadcast(() => ({
    async open(count) {
      const bus = createInProcessBus({ log });
      return Array.from({ length: count }, () => {
        const news = overRedis(server.url);
        const close = async () => void (await Promise.all([news.close(), bus.close()]));
        return { broadcast: joinBroadcasts([bus.broadcast, news.broadcast]), close };
      });
    },
  }));

  test('it arrives while any of them passes it on, and is said to be lost when none does', async () => {
    const [first, second] = [createInProcessBus({ log }), createInProcessBus({ log })];
    const broadcast = joinBroadcasts([first.broadcast, second.broadcast]);
    const heard = hearing({ broadcast, close: async () => {} });
    const twice = ['both', 'both'];
    expect(broadcast.announce(subject, Buffer.from('both'))).toBe(true);
    await vi.waitFor(() => expect(heard).toEqual(twice), patience);
    await first.close();
    expect(broadcast.announce(subject, Buffer.from('one'))).toBe(true);
    await vi.waitFor(() => expect(heard).toEqual([...twice, 'one']), patience);
    await second.close();
    expect(broadcast.announce(subject, Buffer.from('none'))).toBe(false);
  });
});
