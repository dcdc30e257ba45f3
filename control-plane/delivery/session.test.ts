import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CatalogueHead } from './catalogue.ts';
import { type Claim, type Refusals, Session, type Step } from './session.ts';
import type { Transfer } from './transfer.ts';

const times = { deadMs: 15_000, ackMs: 30_000, drainMs: 5_000 };
const HISTORY = 'history-1';
const nothing: Claim = { historyId: '', revision: 0n, digest: new Uint8Array() };

function digestOf(revision: bigint, historyId = HISTORY): Uint8Array {
  return Buffer.from(`${historyId}:${revision}`);
}

function headAt(revision: bigint, historyId = HISTORY): CatalogueHead {
  return { revision, historyId, digest: digestOf(revision, historyId) };
}

function claimAt(revision: bigint, historyId = HISTORY): Claim {
  return { historyId, revision, digest: digestOf(revision, historyId) };
}

function transferTo(to: CatalogueHead, from: bigint, full: boolean): Transfer {
  const rest = { chunks: [], totalBytes: 0, sha256: Buffer.alloc(32), signature: Buffer.alloc(64) };
  return { historyId: to.historyId, from, to: to.revision, full, digest: to.digest, ...rest };
}

function newRefusals(): Refusals {
  let last = '';
  return {
    has: (historyId, revision) => last === `${historyId}/${revision}`,
    add(historyId, revision) {
      last = `${historyId}/${revision}`;
    },
    clear() {
      last = '';
    },
  };
}

function open({ nowMs = 0, ageMs = 3_600_000 } = {}): Session {
  return new Session({ times, history: { digestAt: (revision) => digestOf(revision) }, nowMs, ageMs });
}

/** What a session wants, answered at once from the given head. */
function serve(session: Session, steps: readonly Step[], head: CatalogueHead, nowMs = 0): readonly Step[] {
  const request = steps.find((step) => step.kind === 'request');
  if (request === undefined) return [];
  return session.begin(transferTo(head, request.from, request.full), nowMs);
}

function ackOf(steps: readonly Step[]) {
  const sent = steps.find((step) => step.kind === 'send');
  if (sent === undefined) throw new Error('nothing was sent');
  const { nonce, transfer } = sent;
  return { nonce, revision: transfer.to, digest: transfer.digest, applyMs: 1 };
}

function kinds(steps: readonly Step[]): string[] {
  return steps.map((step) => step.kind);
}

describe('what a node has decides what it is sent', () => {
  const full = [{ kind: 'request', full: true, from: 0n }];
  test.each([
    { having: 'nothing', claim: nothing, sent: full },
    { having: 'the head', claim: claimAt(7n), sent: [] },
    { having: 'an older revision', claim: claimAt(3n), sent: [{ kind: 'request', full: false, from: 3n }] },
    { having: 'the head with another digest', claim: { ...claimAt(7n), digest: digestOf(6n) }, sent: full },
    {
      having: 'an older revision with another digest',
      claim: { ...claimAt(3n), digest: digestOf(9n) },
      sent: full,
    },
    { having: 'a revision from the future', claim: claimAt(8n), sent: full },
    { having: 'a revision of an unknown history', claim: claimAt(7n, 'history-0'), sent: full },
  ])('a node with $having', ({ claim, sent }) => {
    expect(open().hello(claim, headAt(7n), newRefusals())).toEqual(sent);
  });

  test('a node from a future that never came is not believed when the present gets there', () => {
    const session = open();
    const sent = serve(session, session.hello(claimAt(8n), headAt(7n), newRefusals()), headAt(7n));
    session.nack({ nonce: ackOf(sent).nonce, revision: 7n, runningRevision: 8n, errors: [] });
    expect(session.offer(headAt(8n))).toEqual(full);
  });

  test('an empty database has nothing to say', () => {
    expect(open().hello(nothing, headAt(0n), newRefusals())).toEqual([]);
  });

  test('a new history begins with everything, after the transfer under way', () => {
    const session = open();
    const sent = serve(session, session.hello(nothing, headAt(7n), newRefusals()), headAt(7n));
    expect(session.offer(headAt(2n, 'history-2'))).toEqual([]);
    expect(session.ack(ackOf(sent))).toContainEqual({ kind: 'request', full: true, from: 0n });
  });
});

describe('one transfer at a time', () => {
  test('heads that arrive meanwhile become one transfer to the newest', () => {
    const session = open();
    const sent = serve(session, session.hello(claimAt(1n), headAt(2n), newRefusals()), headAt(2n));
    for (const revision of [3n, 4n, 5n]) expect(session.offer(headAt(revision))).toEqual([]);
    const next = session.ack(ackOf(sent));
    expect(next).toContainEqual({ kind: 'request', full: false, from: 2n });
    expect(serve(session, next, headAt(5n))).toMatchObject([
      { kind: 'send', transfer: { from: 2n, to: 5n } },
    ]);
  });

  test('answers with a nonce that is not outstanding are ignored', () => {
    const session = open();
    const sent = serve(session, session.hello(nothing, headAt(1n), newRefusals()), headAt(1n));
    const ack = ackOf(sent);
    expect(session.ack({ ...ack, nonce: ack.nonce + 1n })).toEqual([]);
    expect(session.nack({ nonce: 0n, revision: 1n, runningRevision: 0n, errors: [] })).toEqual([]);
    expect(kinds(session.ack(ack))).toEqual(['settled', 'applied']);
    expect(session.ack(ack)).toEqual([]);
  });

  test('one noisy tenant resets a global debounce: a head that moves all the time delays nobody', () => {
    const session = open();
    session.hello(claimAt(1n), headAt(1n), newRefusals());
    let steps = session.offer(headAt(2n));
    expect(kinds(steps)).toEqual(['request']);
    for (let revision = 2n; revision < 50n; revision++) {
      const sent = serve(session, steps, headAt(revision));
      session.offer(headAt(revision + 1n));
      steps = session.ack(ackOf(sent));
      expect(kinds(steps)).toEqual(['settled', 'applied', 'request']);
    }
  });

  test('push timer started before its slot was granted: waiting in line is not held against the node', () => {
    const session = open();
    const steps = session.hello(nothing, headAt(1n), newRefusals());
    session.heard(100_000);
    expect(session.tick(100_000)).toEqual([]);
    serve(session, steps, headAt(1n), 100_000);
    session.heard(130_000);
    expect(session.tick(130_000)).toEqual([]);
    session.heard(130_001);
    expect(session.tick(130_001)).toEqual([{ kind: 'end', reason: 'ack-overdue' }]);
  });

  test('a large transfer may take long as long as it moves', () => {
    const session = open();
    serve(session, session.hello(nothing, headAt(1n), newRefusals()), headAt(1n));
    for (let nowMs = 20_000; nowMs < 200_000; nowMs += 20_000) {
      session.heard(nowMs);
      session.progressed(nowMs);
      expect(session.tick(nowMs)).toEqual([]);
    }
  });

  test('a transfer packed for a place the node has left is not sent', () => {
    const session = open();
    session.hello(claimAt(1n), headAt(2n), newRefusals());
    expect(session.begin(transferTo(headAt(2n), 0n, false), 0)).toEqual([
      { kind: 'settled' },
      { kind: 'request', full: false, from: 1n },
    ]);
  });
});

describe('refusals', () => {
  const errors = [{ type: 3, name: 'a', field: 'target', code: 'unknown_target', message: 'no such model' }];

  test('a refused revision is recorded and not sent again; the next one is', () => {
    const session = open();
    const sent = serve(session, session.hello(claimAt(1n), headAt(2n), newRefusals()), headAt(2n));
    const { nonce } = ackOf(sent);
    expect(session.nack({ nonce, revision: 2n, runningRevision: 1n, errors })).toEqual([
      { kind: 'settled' },
      { kind: 'refused', refusal: { revision: 2n, runningRevision: 1n, errors } },
    ]);
    expect(session.offer(headAt(2n))).toEqual([]);
    expect(session.offer(headAt(3n))).toEqual([{ kind: 'request', full: false, from: 1n }]);
  });

  test('a refusal outlives the stream, unless the node has nothing to keep', () => {
    const refusals = newRefusals();
    refusals.add(HISTORY, 2n);
    expect(open().hello(claimAt(1n), headAt(2n), refusals)).toEqual([]);
    expect(kinds(open().hello(nothing, headAt(2n), refusals))).toEqual(['request']);
  });

  test('a digest that does not agree after a delta brings everything', () => {
    const session = open();
    const sent = serve(session, session.hello(claimAt(1n), headAt(2n), newRefusals()), headAt(2n));
    expect(session.ack({ ...ackOf(sent), digest: digestOf(9n) })).toEqual([
      { kind: 'settled' },
      { kind: 'request', full: true, from: 0n },
    ]);
  });

  test('a digest that does not agree after everything was sent counts as a refusal', () => {
    const session = open();
    const sent = serve(session, session.hello(nothing, headAt(2n), newRefusals()), headAt(2n));
    const steps = session.ack({ ...ackOf(sent), digest: digestOf(9n) });
    expect(steps).toMatchObject([
      { kind: 'settled' },
      { kind: 'refused', refusal: { errors: [{ code: 'digest_mismatch' }] } },
    ]);
  });

  test('a node that runs something else than was thought gets everything', () => {
    const session = open();
    const sent = serve(session, session.hello(claimAt(3n), headAt(4n), newRefusals()), headAt(4n));
    const { nonce } = ackOf(sent);
    expect(session.nack({ nonce, revision: 4n, runningRevision: 2n, errors })).toEqual([
      { kind: 'settled' },
      { kind: 'request', full: true, from: 0n },
    ]);
  });

  test('a heartbeat that shows another digest brings everything', () => {
    const session = open();
    session.hello(claimAt(4n), headAt(4n), newRefusals());
    expect(session.heartbeat({ revision: 4n, digest: digestOf(4n) })).toEqual([]);
    expect(session.heartbeat({ revision: 4n, digest: digestOf(5n) })).toEqual([
      { kind: 'request', full: true, from: 0n },
    ]);
  });
});

describe('time', () => {
  test('silence ends the stream, also before the hello', () => {
    expect(open().tick(15_001)).toEqual([{ kind: 'end', reason: 'silent' }]);
  });

  test('a stream of age is asked to move on once, and ended when it does not', () => {
    const session = open({ ageMs: 1_000 });
    session.hello(claimAt(1n), headAt(1n), newRefusals());
    expect(session.tick(1_001)).toEqual([{ kind: 'drain', withinMs: 5_000 }]);
    session.heard(10_000);
    expect(session.tick(10_000)).toEqual([]);
    session.heard(21_002);
    expect(session.tick(21_002)).toEqual([{ kind: 'end', reason: 'drained' }]);
  });
});

describe('whatever happens in whatever order', () => {
  type Event =
    | { readonly kind: 'commit' | 'ready' | 'answer-badly' | 'refuse' | 'stale' | 'reconnect' | 'forget' }
    | { readonly kind: 'answer' };
  const event: fc.Arbitrary<Event> = fc.record({
    kind: fc.constantFrom(
      'commit',
      'ready',
      'answer',
      'answer-badly',
      'refuse',
      'stale',
      'reconnect',
      'forget',
    ),
  });

  test('at most one transfer is outstanding, none is repeated needlessly, and the node ends up at the head', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const world = new World();
        for (const { kind } of events) world[kind]();
        world.settleDown();
        expect(world.node).toEqual(claimAt(world.revision));
      }),
      { numRuns: 500 },
    );
  });

  /** A node that behaves, a network that may not, and an administrator. */
  class World {
    revision = 1n;
    node: Claim = nothing;
    #refusals = newRefusals();
    #session = open();
    #requested: Extract<Step, { kind: 'request' }> | undefined;
    #outstanding: Extract<Step, { kind: 'send' }> | undefined;
    #lastNonce = 0n;

    constructor() {
      this.reconnect();
    }

    commit(): void {
      this.revision++;
      this.#take(this.#session.offer(headAt(this.revision)));
    }

    ready(): void {
      const request = this.#requested;
      if (request === undefined) return;
      this.#requested = undefined;
      this.#take(this.#session.begin(transferTo(headAt(this.revision), request.from, request.full), 0));
    }

    answer(): void {
      const sent = this.#outstanding;
      if (sent === undefined) return;
      this.#outstanding = undefined;
      const { to, from, full, digest } = sent.transfer;
      // A delta must fit what the node has, or it would now hold a mixture.
      expect(full || from === this.node.revision).toBe(true);
      this.node = claimAt(to);
      this.#take(this.#session.ack({ nonce: sent.nonce, revision: to, digest, applyMs: 1 }));
    }

    'answer-badly'(): void {
      const sent = this.#outstanding;
      if (sent === undefined) return;
      this.#outstanding = undefined;
      this.#take(
        this.#session.ack({
          nonce: sent.nonce,
          revision: sent.transfer.to,
          digest: Buffer.from('x'),
          applyMs: 1,
        }),
      );
    }

    refuse(): void {
      const sent = this.#outstanding;
      if (sent === undefined) return;
      this.#outstanding = undefined;
      const { nonce, transfer } = sent;
      const errors = [{ type: 1, name: '', field: '', code: 'invalid', message: '' }];
      this.#take(
        this.#session.nack({ nonce, revision: transfer.to, runningRevision: this.node.revision, errors }),
      );
    }

    stale(): void {
      const before = this.#outstanding;
      this.#take(
        this.#session.ack({ nonce: this.#lastNonce + 7n, revision: 1n, digest: digestOf(1n), applyMs: 1 }),
      );
      expect(this.#outstanding).toBe(before);
    }

    reconnect(): void {
      this.#session.close();
      this.#requested = undefined;
      this.#outstanding = undefined;
      this.#lastNonce = 0n;
      this.#session = open();
      this.#take(this.#session.hello(this.node, headAt(this.revision), this.#refusals));
    }

    forget(): void {
      this.node = nothing;
      this.reconnect();
    }

    /** A last change, and everything answered. */
    settleDown(): void {
      this.commit();
      for (let round = 0; round < 5; round++) {
        this.ready();
        this.answer();
      }
    }

    #take(steps: readonly Step[]): void {
      for (const step of steps) {
        if (step.kind === 'request') {
          expect(this.#requested).toBeUndefined();
          expect(this.#outstanding).toBeUndefined();
          this.#requested = step;
        }
        if (step.kind === 'send') {
          expect(this.#outstanding).toBeUndefined();
          expect(step.nonce).toBeGreaterThan(this.#lastNonce);
          expect(step.transfer.full || step.transfer.to > this.node.revision).toBe(true);
          this.#lastNonce = step.nonce;
          this.#outstanding = step;
        }
      }
    }
  }
});
