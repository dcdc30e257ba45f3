// How realtime sessions end, and what may not be said in them: whoever breaks off, is slow, is cut off or breaks a rule, the other
// side is told, nothing stays open, and the ledger knows.
import { afterEach, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { type FakeRealtime, startFakeRealtime } from '#test/harness/fake-provider/realtime-server.ts';
import { goodKey, limitedKey, type TestGateway } from '#test/harness/gateway.ts';
import {
  openSession,
  type RealtimeOptions,
  realtimeGateway,
  refusalOf,
  type TestSession,
} from '#test/harness/realtime.ts';

let fake: FakeRealtime;
let gateway: TestGateway;

async function start(options: RealtimeOptions = {}): Promise<void> {
  fake = await startFakeRealtime();
  gateway = await realtimeGateway(fake, options);
}

afterEach(async () => {
  await gateway.stop();
  await expect.poll(() => fake.openSessions()).toBe(0);
  await fake.stop();
});

/** How the session and its responses ended in the ledger, opening first. */
async function story(): Promise<readonly string[]> {
  await expect.poll(() => gateway.ledger.story).not.toContain('open');
  return gateway.ledger.story;
}

async function begunResponse(model: string): Promise<TestSession> {
  const session = await openSession(gateway, model);
  session.say({ type: 'response.create' });
  await session.hear('response.created');
  return session;
}

test('another model is refused with an error event, and the session goes on', async () => {
  await start();
  const session = await openSession(gateway, 'ok', { key: limitedKey });
  session.say({ type: 'session.update', event_id: 'mine', session: { type: 'realtime', model: 'loud' } });
  const { error } = await session.hear('error');
  expect(error).toMatchObject({ code: 'model_not_allowed', event_id: 'mine' });
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  expect(fake.received()).toEqual(['{"type":"response.create"}']);
  session.socket.close();
});

test.each([
  ['written twice', '{"type":"session.update","session":{"model":"ok","model":"loud"}}', 'invalid_request'],
  [
    'behind a second session',
    '{"type":"session.update","session":{"model":"loud"},"session":{}}',
    'invalid_request',
  ],
  ['in other letters', '{"type":"session.update","session":{"Model":"loud"}}', 'invalid_request'],
  ['under an escape', '{"type":"session.update","session":{"mod\\u0065l":"loud"}}', 'model_not_allowed'],
  ['in a response', '{"type":"response.create","response":{"model":"loud"}}', 'model_not_allowed'],
  [
    'for transcription',
    '{"type":"session.update","session":{"input_audio_transcription":{"model":"scribe"}}}',
    'model_not_allowed',
  ],
  ['no JSON', '{"type":', 'invalid_json'],
  ['no type', '{"session":{}}', 'invalid_request'],
])('an event with a model %s does not reach the provider', async (_how, text, code) => {
  await start();
  const session = await openSession(gateway, 'ok', { key: limitedKey });
  session.socket.send(text);
  expect((await session.hear('error')).error?.code).toBe(code);
  expect(fake.received()).toEqual([]);
  session.socket.close();
});

test('the session’s own model may be named, and goes out as the provider calls it', async () => {
  await start();
  const session = await openSession(gateway, 'renamed');
  session.say({ type: 'session.update', session: { model: 'renamed', voice: 'é' } });
  await session.hear('session.updated');
  expect(fake.received()).toEqual(['{"type":"session.update","session":{"model":"chunks-1","voice":"é"}}']);
  session.socket.close();
});

test('binary messages are refused', async () => {
  await start();
  const session = await openSession(gateway, 'ok');
  session.socket.send(Buffer.from([1, 2, 3]));
  expect((await session.hear('error')).error?.code).toBe('invalid_request');
  session.socket.close();
});

test('a provider that is cut off: an error, a code, and a response that failed', async () => {
  await start();
  const session = await begunResponse('cut');
  expect((await session.hear('error')).error?.code).toBe('upstream_truncated');
  expect(await session.closed).toEqual({ code: 1014, reason: 'upstream_truncated' });
  expect(await story()).toEqual(['failed upstream_truncated', 'failed upstream_truncated']);
});

test('the provider’s own code and words for the end reach the client', async () => {
  await start();
  const session = await openSession(gateway, 'ok');
  session.say({ type: 'fake.close' });
  expect(await session.closed).toEqual({ code: 4000, reason: 'as asked' });
});

test('what looks like a credential in an error event is taken out', async () => {
  await start();
  const session = await begunResponse('leaks');
  expect((await session.hear('error')).error?.message).toBe('Bad key [redacted]');
  session.socket.close();
});

test('a client that leaves ends the session at the provider, and its response is cancelled', async () => {
  await start();
  const session = await begunResponse('endless');
  session.socket.terminate();
  expect(await story()).toEqual(['cancelled client_closed', 'cancelled client_closed']);
  await expect.poll(() => fake.closeCodes()).toEqual([1001]);
});

test('a client that leaves while the provider is being asked', async () => {
  await start({ limits: { realtimeHandshakeMs: 60_000 } });
  const opening = openSession(gateway, 'deaf');
  opening.catch(() => undefined);
  await expect.poll(() => fake.handshakes().length).toBe(1);
  gateway.gateway.close({ drainMs: 0 }).catch(() => undefined);
  expect((await refusalOf(opening)).status).toBe(503);
  expect(await story()).toEqual(['failed draining']);
});

test('a message that is too large closes the session with 1009', async () => {
  await start({ limits: { realtimeMessageBytesMax: 100_000 } });
  const session = await openSession(gateway, 'ok');
  session.socket.send(JSON.stringify({ type: 'x', audio: 'x'.repeat(200_000) }));
  expect((await session.closed).code).toBe(1009);
  expect(await story()).toEqual(['cancelled request_too_large']);
});

test('a message of the provider that is too large is an error', async () => {
  await start({ limits: { realtimeMessageBytesMax: 200_000 } });
  const session = await openSession(gateway, 'oversized');
  session.say({ type: 'response.create' });
  expect((await session.hear('error')).error?.code).toBe('upstream_invalid');
  expect((await session.closed).code).toBe(1014);
});

test('a client that reads slowly slows the provider down, and gets everything', async () => {
  await start();
  const session = await openSession(gateway, 'loud');
  session.socket.pause();
  session.say({ type: 'response.create' });
  await expect.poll(() => gateway.ledger.entries.length, { interval: 5 }).toBe(2);
  // 400 pieces of 64 KiB do not fit into what sockets hold, so the end cannot have come through.
  expect(gateway.ledger.entries[1]!.settlements).toEqual([]);
  session.socket.resume();
  await session.hear('response.done');
  expect(session.heard.filter(({ type }) => type === 'response.output_audio.delta')).toHaveLength(400);
  session.socket.close();
});

test('a client that takes nothing is disconnected', async () => {
  await start({ limits: { clientStallMs: 100 } });
  const session = await openSession(gateway, 'loud');
  session.socket.pause();
  session.say({ type: 'response.create' });
  expect(await story()).toEqual(['cancelled client_closed', 'cancelled client_closed']);
  session.socket.terminate();
});

test('a session lasts as long as it may', async () => {
  await start({ limits: { realtimeSessionMsMax: 50 } });
  const session = await openSession(gateway, 'ok');
  expect((await session.hear('error')).error?.code).toBe('session_expired');
  expect((await session.closed).code).toBe(1000);
});

test('a session in which nobody says anything is ended', async () => {
  await start({ limits: { realtimePingMs: 300, realtimeIdleMs: 200 } });
  const session = await openSession(gateway, 'ok');
  expect((await session.hear('error')).error?.message).toContain('Nothing was said');
});

test('a client that does not answer to a ping is gone', async () => {
  await start({ limits: { realtimePingMs: 30 } });
  const session = await openSession(gateway, 'ok');
  session.socket.pause();
  expect(await story()).toEqual(['cancelled client_closed']);
  session.socket.terminate();
});

test('an instance that stops lets sessions finish, then tells them to go elsewhere', async () => {
  await start();
  const session = await begunResponse('endless');
  const stopping = gateway.gateway.close({ drainMs: 80 });
  expect((await session.hear('error')).error?.code).toBe('draining');
  expect(await session.closed).toEqual({ code: 1012, reason: 'draining' });
  await stopping;
  expect(await story()).toEqual(['failed draining', 'failed draining']);
});

test('there is room for so many sessions, and a place is free again when one ends', async () => {
  await start({ limits: { realtimeSessionsMax: 1 } });
  const session = await openSession(gateway, 'ok');
  const refusal = await refusalOf(openSession(gateway, 'ok'));
  expect([refusal.status, JSON.parse(refusal.body).error.code]).toEqual([503, 'overloaded']);
  session.socket.close();
  await session.closed;
  await expect.poll(() => gateway.gateway.inFlight).toBe(0);
  (await openSession(gateway, 'ok', { key: goodKey })).socket.close();
});

test('a response that cannot be journaled ends the session', async () => {
  await start();
  const session = await openSession(gateway, 'endless');
  gateway.ledger.refusal = new SignalboxError('ledger_unavailable', 'The journal is full.');
  session.say({ type: 'response.create' });
  expect((await session.hear('error')).error?.code).toBe('ledger_unavailable');
  expect((await session.closed).code).toBe(1013);
});

test('sessions are counted as requests are', async () => {
  await start();
  const session = await openSession(gateway, 'ok');
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  session.socket.close();
  await expect.poll(() => gateway.gateway.inFlight).toBe(0);
  const text = await gateway.metrics.render();
  expect(text).toContain('signalbox_requests_total{operation="realtime",status="101"} 1');
  expect(text).toContain('signalbox_tokens_total{provider="voice",meter="output_audio"} 40');
});

test('a session takes its place for as long as it lasts', async () => {
  await start();
  const first = await openSession(gateway, 'one-at-a-time');
  expect((await refusalOf(openSession(gateway, 'one-at-a-time'))).status).toBe(503);
  first.socket.close();
  await first.closed;
  await expect
    .poll(async () => {
      const session = await openSession(gateway, 'one-at-a-time').catch(() => undefined);
      session?.socket.close();
      return session !== undefined;
    })
    .toBe(true);
});
