// The connections to one origin. The connection used last is used next, so that those nobody needs grow old and close.
// Exchanges that find none free wait in order; there is at most one dialling per waiting exchange, and whichever
// connection becomes free first serves the one that has waited longest.
import { SignalboxError } from '#shared/errors.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Origin } from './contract.ts';
import { dial, type Resolve } from './dial.ts';
import type { Exchange, ExchangeHolder } from './exchange.ts';
import { bareHost, hostOf } from './host.ts';

export interface PoolSettings {
  readonly resolve: Resolve;
  readonly certificateAuthorities: readonly string[] | undefined;
  readonly connectTimeoutMs: number;
  readonly idleConnectionMs: number;
  readonly connectionsMax: number;
  readonly nowMs: () => number;
}

export class Pool implements ConnectionOwner, ExchangeHolder {
  readonly name: string;
  readonly hostLine: string;
  readonly #origin: Origin;
  readonly #settings: PoolSettings;
  readonly #open = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #dials: AbortController[] = [];
  readonly #waiting: Exchange[] = [];
  #session: Buffer | undefined;
  #closed = false;

  constructor(origin: Origin, settings: PoolSettings) {
    this.#origin = origin;
    this.#settings = settings;
    this.name = `${bareHost(origin.host)}:${origin.port}`;
    this.hostLine = `host: ${hostOf(origin)}\r\n`;
  }

  get idleConnectionMs(): number {
    return this.#settings.idleConnectionMs;
  }

  /** Nothing open, opening or waiting. */
  get empty(): boolean {
    return this.#open.size === 0 && this.#dials.length === 0 && this.#waiting.length === 0;
  }

  nowMs(): number {
    return this.#settings.nowMs();
  }

  dispatch(exchange: Exchange, nowMs: number): void {
    const connection = this.#idle.pop();
    if (connection === undefined) {
      exchange.holder = this;
      this.#waiting.push(exchange);
      this.#dialIfNeeded();
    } else connection.take(exchange, nowMs);
  }

  tick(nowMs: number): void {
    for (const connection of this.#open) connection.tick(nowMs);
    const { connectTimeoutMs } = this.#settings;
    // A dialling that takes as long fails by itself, with a better message; this is for those who only stood in line.
    while (this.#waiting.length > this.#dials.length) {
      if (nowMs - this.#waiting[0]!.waitingSinceMs < connectTimeoutMs) return;
      this.#waiting.shift()!.fail(this.#noneFree());
    }
  }

  close(): void {
    this.#closed = true;
    for (const dialling of this.#dials.splice(0)) dialling.abort();
    for (const connection of [...this.#open]) connection.giveUp();
    for (const exchange of this.#waiting.splice(0)) exchange.fail(stopping());
  }

  // ── What connections tell ────────────────────────────────────────────────

  release(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else connection.take(next, this.nowMs());
  }

  remove(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#dialIfNeeded();
  }

  requeue(exchange: Exchange): void {
    if (this.#closed) {
      exchange.fail(stopping());
      return;
    }
    exchange.requestSent = false;
    exchange.holder = this;
    exchange.waitingSinceMs = this.nowMs();
    this.#waiting.unshift(exchange);
    this.#dialIfNeeded();
  }

  // ── What the exchange asks while it waits ────────────────────────────────

  abandon(exchange: Exchange): void {
    const at = this.#waiting.indexOf(exchange);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (this.#dials.length > this.#waiting.length) this.#dials.pop()!.abort();
  }

  /** There is nothing to read yet; the connection looks at `paused` when it begins. */
  setReading(): void {}

  // ── Dialling ─────────────────────────────────────────────────────────────

  #dialIfNeeded(): void {
    const { connectionsMax } = this.#settings;
    while (
      !this.#closed &&
      this.#dials.length < this.#waiting.length &&
      this.#open.size + this.#dials.length < connectionsMax
    ) {
      this.#dial();
    }
  }

  #dial(): void {
    const dialling = new AbortController();
    this.#dials.push(dialling);
    const { resolve, certificateAuthorities, connectTimeoutMs } = this.#settings;
    const line = dial(
      {
        origin: this.#origin,
        resolve,
        certificateAuthorities,
        connectTimeoutMs,
        session: this.#session,
        onSession: (session) => {
          this.#session = session;
        },
      },
      dialling,
    );
    line.then(
      (opened) => {
        if (!this.#finishDial(dialling)) {
          opened.socket.destroy();
          return;
        }
        const connection = new Connection(this, opened);
        this.#open.add(connection);
        this.release(connection);
      },
      (thrown: unknown) => {
        if (!this.#finishDial(dialling)) return;
        // Every other dialling still under way may serve one of those who wait.
        if (this.#waiting.length > this.#dials.length)
          this.#waiting.shift()!.fail(SignalboxError.from(thrown));
        this.#dialIfNeeded();
      },
    );
  }

  /** False when it had been called off. */
  #finishDial(dialling: AbortController): boolean {
    const at = this.#dials.indexOf(dialling);
    if (at >= 0) this.#dials.splice(at, 1);
    return at >= 0;
  }

  #noneFree(): SignalboxError {
    const { connectionsMax, connectTimeoutMs } = this.#settings;
    return new SignalboxError(
      'upstream_timeout',
      `All ${connectionsMax} connections to ${this.name} have been in use for ${connectTimeoutMs} ms. Send less, or add deployments.`,
    );
  }
}

export function stopping(): SignalboxError {
  return new SignalboxError('upstream_unreachable', 'No provider can be called: this instance is stopping.');
}
