// A gateway with models that hold realtime conversations, and a client that keeps everything it hears.
import { WebSocket } from 'ws';
import { compatible } from '#data-plane/providers/compatible.ts';
import type { FakeRealtime } from './fake-provider/realtime-server.ts';
import { goodKey, limitedKey, startGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';
import { deploymentOf, principalOf, providerKeyOf, providerOf, routeOf, snapshotOf } from './snapshots.ts';

const realtimeModels = ['ok', 'cut', 'leaks', 'endless', 'oversized', 'fails-inside'];

export type RealtimeOptions = Pick<TestGatewayOptions, 'limits'>;

/** Every model of the list, `renamed` for `chunks-1`, and a route that comes to `ok` after everything else has failed. */
export function realtimeGateway(fake: FakeRealtime, options: RealtimeOptions = {}): Promise<TestGateway> {
  const keys = [providerKeyOf('one')];
  const kind = compatible('openai', { realtime: true });
  const provider = providerOf('voice', { kind, baseUrl: fake.baseUrl, keys });
  const silent = providerOf('text-only', { baseUrl: fake.baseUrl });
  const named = (model: string, upstreamModel = model) => deploymentOf(model, provider, { upstreamModel });
  const snapshot = snapshotOf({
    providers: [provider, silent],
    deployments: [
      ...realtimeModels.map((model) => named(model)),
      named('renamed', 'chunks-1'),
      { ...named('one-at-a-time', 'ok.chunks-2'), concurrencyMax: 1 },
      named('loud', 'loud.chunks-400'),
      named('broken', 'error-500'),
      named('mute', 'says-nothing'),
      named('deaf', 'never-answer'),
      named('inside', 'refuses-inside'),
      named('rejects', 'error-400'),
      named('scribe', 'scribe-upstream'),
      deploymentOf('written', silent),
    ],
    routes: [routeOf('patient', ['written', 'broken', 'inside', 'deaf', 'mute', 'ok'])],
    keys: {
      [goodKey]: principalOf('key_good'),
      [limitedKey]: principalOf('key_limited', { mayUse: (name) => name === 'ok' }),
    },
  });
  const limits = { realtimeHandshakeMs: 300, ...options.limits };
  return startGateway({ snapshot, ...options, limits });
}

export interface HeardEvent {
  readonly type: string;
  readonly error?: { readonly code: string; readonly message: string; readonly event_id: string | null };
  readonly [member: string]: unknown;
}

export interface TestSession {
  readonly socket: WebSocket;
  /** The headers of the answer that let it in. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly heard: readonly HeardEvent[];
  say(event: object): void;
  /** The first event of this type, now or later; rejects when the session ends without one. */
  hear(type: string): Promise<HeardEvent>;
  /** With which code it was closed, and why. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

export interface OpenOptions {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
}

export interface Refusal {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export function openSession(
  { url }: TestGateway,
  model: string,
  options: OpenOptions = {},
): Promise<TestSession> {
  return openRealtime(url, model, options);
}

/** Resolves when the session is open, rejects with a `Refusal` when it is not opened. */
export async function openRealtime(
  gatewayUrl: string,
  model: string,
  { key = goodKey, headers, protocols = [] }: OpenOptions = {},
): Promise<TestSession> {
  const authorization = key === '' ? {} : { authorization: `Bearer ${key}` };
  const url = `${gatewayUrl.replace('http', 'ws')}/v1/realtime?model=${encodeURIComponent(model)}`;
  const socket = new WebSocket(url, [...protocols], { headers: { ...authorization, ...headers } });
  const opening = Promise.withResolvers<TestSession['headers']>();
  const closing = Promise.withResolvers<{ code: number; reason: string }>();
  const heard: HeardEvent[] = [];
  const watchers = new Set<() => void>();
  socket.on('upgrade', (response) => opening.resolve(response.headers));
  socket.on('unexpected-response', (_request, response) => {
    let body = '';
    response.on('data', (part: Buffer) => {
      body += part.toString();
    });
    response.on('end', () =>
      opening.reject({ status: response.statusCode, body, headers: response.headers }),
    );
  });
  socket.on('error', (error) => opening.reject(error));
  socket.on('message', (data: Buffer) => {
    heard.push(JSON.parse(data.toString()) as HeardEvent);
    for (const watch of watchers) watch();
  });
  socket.on('close', (code, reason) => {
    closing.resolve({ code, reason: reason.toString() });
    for (const watch of watchers) watch();
  });
  return {
    socket,
    heard,
    headers: await opening.promise,
    closed: closing.promise,
    say: (event) => socket.send(JSON.stringify(event)),
    hear: (type) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          const found = heard.find((event) => event.type === type);
          if (found) resolve(found);
          else if (socket.readyState === WebSocket.CLOSED) {
            reject(new Error(`closed without ${type}, after ${heard.map((event) => event.type).join(', ')}`));
          } else return;
          watchers.delete(watch);
        };
        watchers.add(watch);
        watch();
      }),
  };
}

export async function refusalOf(opening: Promise<TestSession>): Promise<Refusal> {
  try {
    (await opening).socket.terminate();
  } catch (thrown) {
    return thrown as Refusal;
  }
  throw new Error('The session was opened.');
}
