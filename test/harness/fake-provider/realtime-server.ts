// A provider of realtime conversations for tests: a real WebSocket server that speaks the events an application sees most,
// misbehaves on request and keeps its own bill. The model in the query says how it behaves: `ok`, or words joined by a full
// stop, as the fake provider for requests has it.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface BilledResponse {
  readonly id: string;
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface SeenHandshake {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface FakeRealtime {
  /** Ends in `/v1`. */
  readonly baseUrl: string;
  bill(): readonly BilledResponse[];
  handshakes(): readonly SeenHandshake[];
  /** The client's events, as they came. */
  received(): readonly string[];
  /** With which code each session was closed by the gateway. */
  closeCodes(): readonly number[];
  openSessions(): number;
  stop(): Promise<void>;
}

/** What one response claims to have used. */
const usage = {
  total_tokens: 175,
  input_tokens: 120,
  output_tokens: 55,
  input_token_details: {
    text_tokens: 40,
    audio_tokens: 80,
    cached_tokens: 64,
    cached_tokens_details: { text_tokens: 24, audio_tokens: 40 },
  },
  output_token_details: { text_tokens: 15, audio_tokens: 40 },
};
const transcriptionUsage = {
  type: 'tokens',
  total_tokens: 22,
  input_tokens: 13,
  input_token_details: { text_tokens: 0, audio_tokens: 13 },
  output_tokens: 9,
};
const DELTA_BYTES = 64 * 1024;

interface State {
  readonly bill: BilledResponse[];
  readonly received: string[];
  serial: number;
}

type Send = (event: Readonly<Record<string, unknown>>) => void;

export async function startFakeRealtime({ requiredKey = '' } = {}): Promise<FakeRealtime> {
  const state: State = { bill: [], received: [], serial: 0 };
  const handshakes: SeenHandshake[] = [];
  const closeCodes: number[] = [];
  const server = createServer((_request, response) => response.writeHead(426).end());
  const sessions = new WebSocketServer({ noServer: true });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    handshakes.push({ path: request.url ?? '', headers: request.headers });
    const model = new URL(request.url ?? '', 'http://fake').searchParams.get('model') ?? '';
    const refusal = refusalFor(model, request, requiredKey);
    if (refusal !== undefined) socket.end(refusal);
    else if (!model.includes('never-answer'))
      sessions.handleUpgrade(request, socket, head, (accepted) => {
        accepted.on('close', (code: number) => closeCodes.push(code));
        converse(accepted, model, state);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    bill: () => [...state.bill],
    handshakes: () => [...handshakes],
    received: () => [...state.received],
    closeCodes: () => [...closeCodes],
    openSessions: () => sessions.clients.size,
    stop: () => stop(server, sockets),
  };
}

async function stop(server: Server, sockets: Iterable<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  for (const socket of sockets) socket.destroy();
  await closed;
}

function refusalFor(model: string, { headers }: IncomingMessage, requiredKey: string): string | undefined {
  const isStranger = requiredKey !== '' && headers.authorization !== `Bearer ${requiredKey}`;
  const status = isStranger ? 401 : Number(/error-(\d+)/.exec(model)?.[1] ?? 0);
  if (status === 0) return undefined;
  const body = JSON.stringify({ error: { message: `refused ${headers.authorization}`, code: null } });
  return `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
}

function converse(socket: WebSocket, model: string, state: State): void {
  const send: Send = (event) =>
    socket.send(JSON.stringify({ event_id: `event_${++state.serial}`, ...event }));
  if (model.includes('says-nothing')) return;
  if (model.includes('refuses-inside')) {
    send({
      type: 'error',
      error: { type: 'invalid_request_error', code: 'model_not_found', message: 'no such model' },
    });
    socket.close(3000, 'invalid_request_error');
    return;
  }
  send({ type: 'session.created', session: { id: `sess_${++state.serial}`, type: 'realtime', model } });
  socket.on('message', (data) => {
    const text = (data as Buffer).toString('utf8');
    state.received.push(text);
    const event = JSON.parse(text) as { type: string; session?: object; event_id?: string };
    if (event.type === 'session.update')
      send({ type: 'session.updated', session: { model, ...event.session } });
    else if (event.type === 'conversation.item.create') send({ type: 'conversation.item.added', item: {} });
    else if (event.type === 'response.create') respond(socket, send, model, state);
    else if (event.type === 'input_audio_buffer.commit') transcribe(send);
    else if (event.type === 'fake.close') socket.close(4000, 'as asked');
  });
}

function respond(socket: WebSocket, send: Send, model: string, state: State): void {
  const id = `resp_${++state.serial}`;
  send({ type: 'response.created', response: { id, status: 'in_progress', usage: null } });
  if (model.includes('cut')) {
    socket.terminate();
    return;
  }
  if (model.includes('leaks')) {
    send({ type: 'error', error: { type: 'server_error', message: 'Bad key sk-proj-abcdefghijklmnop1234' } });
  }
  if (model.includes('endless')) return;
  const place = { response_id: id, item_id: 'item_1', output_index: 0, content_index: 0 };
  const chunks = Number(/chunks-(\d+)/.exec(model)?.[1] ?? 3);
  for (let index = 0; index < chunks; index++) {
    send({ type: 'response.output_text.delta', ...place, delta: `word${index + 1} ` });
    const delta = Buffer.alloc(model.includes('loud') ? DELTA_BYTES : 24, index).toString('base64');
    send({ type: 'response.output_audio.delta', ...place, delta });
  }
  if (model.includes('oversized')) socket.send(JSON.stringify({ type: 'x', x: 'x'.repeat(300_000) }));
  const failed = model.includes('fails-inside');
  const status_details = failed
    ? { type: 'failed', error: { type: 'server_error', code: 'overloaded' } }
    : null;
  const status = failed ? 'failed' : 'completed';
  state.bill.push({ id, model, inputTokens: usage.input_tokens, outputTokens: usage.output_tokens });
  send({
    type: 'response.done',
    response: { id, object: 'realtime.response', status, status_details, usage },
  });
}

function transcribe(send: Send): void {
  const type = 'conversation.item.input_audio_transcription.completed';
  send({ type, item_id: 'item_in', content_index: 0, transcript: 'hello', usage: transcriptionUsage });
}
