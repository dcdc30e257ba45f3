// Calls an upstream and gathers what the handler is told, so that a test can await an exchange and look at it afterwards.
import type {
  Origin,
  UpstreamCall,
  UpstreamClient,
  UpstreamHandler,
  UpstreamRequest,
} from '#data-plane/upstream/contract.ts';
import type { ErrorCode, SignalboxError } from '#shared/errors.ts';

export interface ObservedExchange {
  readonly call: UpstreamCall;
  /** Settles at onEnd or onError. */
  readonly over: Promise<ObservedExchange>;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly bodyBytes: number;
  readonly chunks: number;
  readonly ended: boolean;
  readonly error: SignalboxError | undefined;
  readonly code: ErrorCode | undefined;
  /** Every callback in order: `head`, `data`, `end` or the code of an error. */
  readonly callbacks: readonly string[];
}

export function originAt(port: number, change: Partial<Origin> = {}): Origin {
  return { secure: false, host: '127.0.0.1', port, allowPrivateNetwork: true, ...change };
}

export interface ObserveOptions extends Partial<UpstreamRequest> {
  readonly origin: Origin;
  readonly onHead?: (call: UpstreamCall) => void;
  readonly onData?: (chunk: Buffer, call: UpstreamCall) => void;
  /** Count the body without keeping it. */
  readonly discard?: boolean;
}

export function observe(client: UpstreamClient, options: ObserveOptions): ObservedExchange {
  const { onHead, onData, discard, ...request } = options;
  const { promise, resolve } = Promise.withResolvers<ObservedExchange>();
  const pieces: Buffer[] = [];
  const state = {
    over: promise,
    status: undefined as number | undefined,
    headers: {} as Readonly<Record<string, string | undefined>>,
    bodyBytes: 0,
    chunks: 0,
    ended: false,
    error: undefined as SignalboxError | undefined,
    callbacks: [] as string[],
    get body() {
      return Buffer.concat(pieces).toString();
    },
    get code() {
      return state.error?.code;
    },
    get call() {
      return call;
    },
  };
  const handler: UpstreamHandler = {
    onHead: (status, headers) => {
      state.callbacks.push('head');
      Object.assign(state, { status, headers });
      onHead?.(call);
    },
    onData: (chunk) => {
      state.callbacks.push('data');
      state.bodyBytes += chunk.length;
      state.chunks++;
      if (!discard) pieces.push(chunk);
      onData?.(chunk, call);
    },
    onEnd: () => {
      state.callbacks.push('end');
      state.ended = true;
      resolve(state);
    },
    onError: (error) => {
      state.callbacks.push(error.code);
      state.error = error;
      resolve(state);
    },
  };
  const call = client.dispatch(
    {
      method: 'POST',
      path: '/v1/chat/completions',
      headers: {},
      body: [Buffer.from('{}')],
      headTimeoutMs: 20_000,
      idleTimeoutMs: 20_000,
      ...request,
    },
    handler,
  );
  return state;
}
