// A node that is asked something over its stream: it says whether it answers at all, answers in its own time, and never more than a
// few at once. What is answered is in ask.test.ts.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Question } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { ConfigurationSource } from '#test/harness/configuration-source.ts';
import { type ScriptedStream, startScriptedControlPlane } from '#test/harness/scripted-control-plane.ts';
import { compatible } from '../providers/compatible.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { createUpstreamClient } from '../upstream/client.ts';
import { startSync } from './sync.ts';

const waiting = { timeout: 15_000, interval: 5 };
const cleanUps: (() => unknown)[] = [];
let source: ConfigurationSource;

beforeEach(() => {
  source = new ConfigurationSource();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

async function connect(upstream?: UpstreamClient): Promise<ScriptedStream> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'signalbox-ask-'));
  cleanUps.push(() => rm(dataDirectory, { recursive: true, force: true }));
  const plane = await startScriptedControlPlane({ source, onStream: (stream) => stream.transfer() });
  cleanUps.push(() => plane.close());
  const sync = await startSync({
    urls: [plane.url],
    joinToken: new Secret(`sbj-abc.${'0'.repeat(64)}`),
    dataDirectory,
    nodeId: undefined,
    region: 'eu',
    advertisedAddress: '',
    providerFor: (type) => compatible(type),
    load: () => 0,
    spoolBytes: () => 0,
    journalEpochs: () => [],
    onWatermark: () => {},
    log: createLogger('silent'),
    metrics: new Metrics(),
    ...(upstream && { upstream }),
  });
  cleanUps.push(() => sync.close());
  await sync.ready();
  return plane.streams.at(-1)!;
}

function answers(stream: ScriptedStream) {
  return stream.received.flatMap(({ message }) => (message.case === 'answer' ? [message.value] : []));
}

function ask(stream: ScriptedStream, id: bigint, provider = 'nobody'): void {
  const value = { id, provider, question: Question.CHECK, timeoutMs: 20_000 };
  stream.send({ case: 'ask', value });
}

test('a node says in its greeting whether it answers', async () => {
  source.key('key_1');
  const upstream = createUpstreamClient();
  cleanUps.push(() => upstream.close());
  expect((await connect(upstream)).hello.answersQuestions).toBe(true);
  expect((await connect()).hello.answersQuestions).toBe(false);
});

test('each question is answered once, under its own number', async () => {
  source.key('key_1');
  const upstream = createUpstreamClient();
  cleanUps.push(() => upstream.close());
  const stream = await connect(upstream);
  ask(stream, 3n);
  ask(stream, 9n);
  await vi.waitFor(() => expect(answers(stream)).toHaveLength(2), waiting);
  expect(answers(stream).map(({ id, error }) => [id, error?.code])).toEqual([
    [3n, 'not_found'],
    [9n, 'not_found'],
  ]);
});

test('while a provider is slow, further questions are refused and configurations still applied', async () => {
  source.provider({ name: 'slow', type: 'openai-compatible', baseUrl: 'http://127.0.0.1:1' });
  const upstream = createUpstreamClient();
  cleanUps.push(() => upstream.close());
  const release = Promise.withResolvers<void>();
  const slow: UpstreamClient = {
    close: () => upstream.close(),
    upgrade: (request, signal) => upstream.upgrade(request, signal),
    reach: () => release.promise,
    dispatch(request, handler) {
      void release.promise.then(() => upstream.dispatch(request, handler));
      return { requestSent: false, abort() {}, pause() {}, resume() {} };
    },
  };
  const stream = await connect(slow);
  for (let id = 1; id <= limits.asksPerNodeMax + 1; id += 1) ask(stream, BigInt(id), 'slow');
  await vi.waitFor(() => expect(answers(stream)).toHaveLength(1), waiting);
  expect(answers(stream)[0]).toMatchObject({
    id: BigInt(limits.asksPerNodeMax + 1),
    error: { code: 'overloaded' },
  });
  const before = source.revision;
  source.key('key_2');
  stream.transfer(before);
  const acks = () => stream.received.filter(({ message }) => message.case === 'ack').length;
  await vi.waitFor(() => expect(acks()).toBe(2), waiting);
  expect(answers(stream)).toHaveLength(1);
  release.resolve();
  await vi.waitFor(() => expect(answers(stream)).toHaveLength(limits.asksPerNodeMax + 1), waiting);
});
