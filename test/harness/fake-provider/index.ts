// A provider for tests: a real HTTP server that speaks OpenAI's chat completions and Anthropic's messages, misbehaves on request and keeps its own
// bill. The bill is the ground truth of every accounting test: one entry per request that reached the model, written when
// the request has arrived and updated as tokens are produced, whatever happens to the connection afterwards.
import { createServer, type Server, type Socket } from 'node:net';
import { chatWire, composeAnswer } from './answers.ts';
import { type Behaviour, parseScript, requireScript, wellBehaved } from './behaviour.ts';
import { countAt, type FakeCount } from './count-answers.ts';
import { type RawRequest, RequestReader } from './http-request.ts';
import { answerSteps, type Ending, errorSteps, Reply, type Step, serviceSteps, wholeSteps } from './reply.ts';
import { serviceAt } from './service-answers.ts';
import { askedOf, type FakeService } from './service-answers-wire.ts';
import { wireAt } from './wires.ts';

export interface BilledCall {
  /** The header `x-client-request-id`, under which the gateway sends the id of its attempt. */
  readonly clientRequestId: string | undefined;
  readonly model: string;
  readonly streamed: boolean;
  readonly promptTokens: number;
  /** Produced so far; a request that got no answer has none, but its prompt was read and costs. */
  readonly completionTokens: number;
  /** The answer was sent whole. */
  readonly finished: boolean;
  /** The client left before that. */
  readonly aborted: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface RecordedRequest extends RawRequest {
  /** Which connection it came on, counted from 1. */
  readonly connection: number;
  readonly at: number;
  /** Raw bytes sent in answer, status line included. */
  readonly bytesSent: number;
}

export interface FakeProviderOptions {
  /** 0 or absent: the system chooses a free one. */
  readonly port?: number;
  /** A script that holds for every request, as `setBehaviour` would set it. */
  readonly behaviour?: string;
  /** Refuse calls that do not carry this bearer token. */
  readonly requiredKey?: string;
  /** How many of the latest requests are kept to look at; the bill is kept whole. */
  readonly requestsKept?: number;
}

export interface BehaviourTarget {
  /** Only for this model; otherwise for all. */
  readonly model?: string;
  /** Only for so many requests; otherwise until changed. */
  readonly times?: number;
}

/** Where vendors look for their keys. */
const keyHeaders = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key'] as const;
const REQUESTS_KEPT = 1000;
const CONTROL_PREFIX = '/_';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
interface Planned {
  readonly steps: Generator<Step>;
  readonly behaviour: Behaviour;
  readonly call?: Mutable<BilledCall>;
}
interface Rule {
  readonly changes: Partial<Behaviour>;
  readonly model: string | undefined;
  timesLeft: number;
}

/** Answers control requests (`/_bill` …) where the provider runs as a process of its own. */
export type Control = (request: RawRequest) => object | undefined;

export class FakeProvider {
  readonly #server: Server;
  readonly #options: FakeProviderOptions;
  readonly #control: Control | undefined;
  readonly #sockets = new Set<Socket>();
  #bill: Mutable<BilledCall>[] = [];
  #requests: Mutable<RecordedRequest>[] = [];
  #rules: Rule[] = [];
  #connections = 0;
  #inFlight = 0;
  #serial = 0;

  constructor(options: FakeProviderOptions, control?: Control) {
    this.#options = options;
    this.#control = control;
    if (options.behaviour !== undefined) this.setBehaviour(options.behaviour);
    this.#server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  }

  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(this.#options.port ?? 0, '127.0.0.1', 4096, resolve);
    await promise;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Ends in `/v1`, as the base URL of a provider does. */
  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  bill(): readonly BilledCall[] {
    return this.#bill.map((call) => ({ ...call }));
  }

  requests(): readonly RecordedRequest[] {
    return this.#requests.map((request) => ({ ...request }));
  }

  /** Connections accepted so far, connections open, requests not yet answered to the end. */
  load(): { readonly accepted: number; readonly open: number; readonly inFlight: number } {
    return { accepted: this.#connections, open: this.#sockets.size, inFlight: this.#inFlight };
  }

  /**
   * Later calls override earlier ones where they say something; `ok` overrides everything. What a request asks for in
   * `metadata.behaviour` overrides this, and this overrides what the name of a model says.
   */
  setBehaviour(script: string, target: BehaviourTarget = {}): void {
    const changes = requireScript(script);
    const timesLeft = target.times ?? Number.POSITIVE_INFINITY;
    if (target.model === undefined && target.times === undefined) {
      this.#rules = this.#rules.filter((rule) => rule.model !== undefined || rule.timesLeft < timesLeft);
    }
    this.#rules.push({ changes, model: target.model, timesLeft });
  }

  /** Forgets the bill, the requests and the behaviours, not the connections. */
  reset(): void {
    this.#bill = [];
    this.#requests = [];
    this.#rules = [];
  }

  /** Breaks every open connection, as a crash would. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  #serve(socket: Socket): void {
    const connection = ++this.#connections;
    this.#sockets.add(socket);
    const waiting: RawRequest[] = [];
    let current: Reply | undefined;
    const next = (): void => {
      const request = waiting.shift();
      current = request && this.#answer(request, connection, socket, next);
      current?.play();
    };
    const reader = new RequestReader(() => socket.write('HTTP/1.1 100 Continue\r\n\r\n'));
    socket.on('data', (bytes) => {
      try {
        waiting.push(...reader.push(bytes));
      } catch {
        socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
        return;
      }
      if (current === undefined) next();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      current?.stop();
    });
  }

  #answer(request: RawRequest, connection: number, socket: Socket, next: () => void): Reply {
    const control = request.path.startsWith(CONTROL_PREFIX) ? this.#control?.(request) : undefined;
    if (control !== undefined) {
      const steps = wholeSteps(200, JSON.stringify(control), wellBehaved);
      return new Reply(socket, steps, wellBehaved, {
        onSent: () => undefined,
        onEnd: () => next(),
        onAbort: () => undefined,
      });
    }
    const recorded: Mutable<RecordedRequest> = { ...request, connection, at: Date.now(), bytesSent: 0 };
    this.#requests.push(recorded);
    if (this.#requests.length > (this.#options.requestsKept ?? REQUESTS_KEPT)) this.#requests.shift();
    const { steps, behaviour, call } = this.#planOrRefuse(request);
    if (call) this.#bill.push(call);
    this.#inFlight++;
    return new Reply(socket, steps, behaviour, {
      onSent: (byteCount, tokens) => {
        recorded.bytesSent += byteCount;
        if (call) call.completionTokens += tokens;
      },
      onEnd: (how) => {
        if (how === 'stall') return;
        this.#inFlight--;
        if (call) call.finished = how !== 'cut';
        endConnection(how, behaviour, socket, next);
      },
      onAbort: () => {
        this.#inFlight--;
        if (call) call.aborted = true;
      },
    });
  }

  /** Fields of any type are read without looking closely, so whatever that throws is the request's fault. */
  #planOrRefuse(request: RawRequest): Planned {
    try {
      return this.#plan(request);
    } catch (error) {
      const wire = wireAt(request.path.split('?')[0]!) ?? chatWire;
      return { steps: errorSteps(wire, 400, wellBehaved, (error as Error).message), behaviour: wellBehaved };
    }
  }

  /** What to answer, and the bill for it if it reaches the model. */
  #plan(request: RawRequest): Planned {
    const path = request.path.split('?')[0]!;
    const found = wireAt(path);
    const wire = found ?? chatWire;
    const plain = (status: number, message?: string) => ({
      steps: errorSteps(wire, status, wellBehaved, message),
      behaviour: wellBehaved,
    });
    const key = this.#options.requiredKey;
    if (
      key !== undefined &&
      !keyHeaders.some((name) => request.headers[name]?.replace('Bearer ', '') === key)
    )
      return plain(401);
    if (path.endsWith('/models')) return { steps: modelList(path), behaviour: wellBehaved };
    const count = countAt(path, request.body);
    if (count !== undefined) return this.#planCount(count);
    const service = serviceAt(path);
    if (service !== undefined) return this.#planService(service, request);
    if (found === undefined) return plain(404, `There is nothing at ${path}.`);
    const chat = wire.readRequest(request.body, path);
    if (chat === undefined) return plain(400, `The body is no request for ${path}.`);
    let behaviour: Behaviour;
    try {
      behaviour = this.#behaviourFor(chat.model, chat.script);
    } catch (error) {
      return plain(400, (error as Error).message);
    }
    if (behaviour.errorStatus !== undefined) {
      return { steps: errorSteps(wire, behaviour.errorStatus, behaviour), behaviour };
    }
    const answer = composeAnswer(chat, request.body, behaviour, ++this.#serial);
    const steps = answerSteps(wire, answer, chat, behaviour);
    if (behaviour.nonsense === 'page') return { steps, behaviour };
    return {
      steps,
      behaviour,
      call: {
        clientRequestId: request.headers['x-client-request-id'],
        model: chat.model,
        streamed: chat.streamed,
        promptTokens: chat.promptTokens,
        completionTokens: 0,
        finished: false,
        aborted: false,
        at: Date.now(),
      },
    };
  }

  #planCount({ wire, model, answer }: FakeCount): Planned {
    const behaviour = this.#behaviourFor(model, undefined);
    const status = behaviour.errorStatus ?? (answer === undefined ? 400 : undefined);
    if (status !== undefined) return { steps: errorSteps(wire, status, behaviour), behaviour };
    return { steps: wholeSteps(200, JSON.stringify(answer), behaviour), behaviour };
  }

  #planService(service: FakeService, request: RawRequest): Planned {
    const asked = askedOf(request);
    const behaviour = this.#behaviourFor(asked.model, undefined);
    const refused = (status: number) => ({ steps: errorSteps(chatWire, status, behaviour), behaviour });
    if (behaviour.errorStatus !== undefined) return refused(behaviour.errorStatus);
    const answer = service.answer(asked, behaviour);
    if (answer === undefined) return refused(400);
    const { model, promptTokens, type } = answer;
    return {
      steps: serviceSteps(answer, behaviour),
      behaviour,
      call: {
        clientRequestId: request.headers['x-client-request-id'],
        model,
        streamed: type === 'text/event-stream',
        promptTokens,
        completionTokens: 0,
        finished: false,
        aborted: false,
        at: Date.now(),
      },
    };
  }

  #behaviourFor(model: string, script: string | undefined): Behaviour {
    let behaviour: Behaviour = { ...wellBehaved, ...parseScript(model) };
    for (const rule of this.#rules) {
      if (rule.model !== undefined && rule.model !== model) continue;
      behaviour = { ...behaviour, ...rule.changes };
      rule.timesLeft--;
    }
    this.#rules = this.#rules.filter((rule) => rule.timesLeft > 0);
    return script === undefined ? behaviour : { ...behaviour, ...requireScript(script) };
  }
}

function endConnection(how: Ending, behaviour: Behaviour, socket: Socket, next: () => void): void {
  if (how === 'keep') next();
  else if (how === 'cut' && behaviour.cutWith === 'rst') {
    // A reset throws away what the kernel has not sent yet, so the bytes before the cut go first.
    socket.write('', () => socket.resetAndDestroy());
  } else socket.end(() => socket.destroy());
}

const modelNames = ['ok', 'fake-small', 'fake-large'];

/** As OpenAI lists its models, or as Google lists those of a publisher. */
function modelList(path: string): Generator<Step> {
  const data = modelNames.map((id) => ({ id, object: 'model', created: 1_700_000_000, owned_by: 'fake' }));
  const publisherModels = modelNames.map((name) => ({ name: `publishers/google/models/${name}` }));
  const list = path.includes('/publishers/') ? { publisherModels } : { object: 'list', data };
  return wholeSteps(200, JSON.stringify(list), wellBehaved);
}

export async function startFakeProvider(
  options: FakeProviderOptions = {},
  control?: Control,
): Promise<FakeProvider> {
  const provider = new FakeProvider(options, control);
  await provider.start();
  return provider;
}
