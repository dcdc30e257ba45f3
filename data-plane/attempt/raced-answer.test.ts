import { expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import type { LaneName } from '../routing/hedging/hedge-race.ts';
import { RacedAnswer } from './raced-answer.ts';
import type { AnswerHead, AnswerListener, ClientAnswer } from './relay.ts';

const head: AnswerHead = {
  status: 200,
  contentType: 'text/plain',
  bodyBytes: undefined,
  served: { model: 'm', provider: 'p', route: '' },
};

/** A client that reads slowly and remembers everything. */
class Client implements ClientAnswer {
  listener: AnswerListener | undefined;
  begun = false;
  readonly heard: string[] = [];

  upstreamCalled(): void {
    this.heard.push('called');
  }

  begin(): void {
    this.begun = true;
    this.heard.push('begin');
  }

  write(bytes: Buffer): boolean {
    this.heard.push(bytes.toString());
    return false;
  }

  end(bytes: Buffer): void {
    this.heard.push(`${bytes.toString()}.`);
  }

  breakOff(): void {
    this.heard.push('break');
  }
}

function race(winner: LaneName | undefined) {
  const client = new Client();
  const told: string[] = [];
  const answer = new RacedAnswer(client, {
    mayBegin: (lane) => lane === winner,
    onStop: ({ code }) => void told.push(`race ${code}`),
  });
  for (const name of ['first', 'second'] as const) {
    answer.lane(name).listener = {
      onDrain: () => void told.push(`${name} drain`),
      onStop: ({ code }) => void told.push(`${name} ${code}`),
    };
  }
  return { client, told, answer };
}

test.each<[LaneName, LaneName]>([
  ['first', 'second'],
  ['second', 'first'],
])('what the %s writes reaches the client once it has won, and the %s is heard by nobody', (one, other) => {
  const { client, told, answer } = race(one);
  const [winner, loser] = [answer.lane(one), answer.lane(other)];
  loser.begin(head);
  expect([loser.begun, loser.write(Buffer.from('lost'))]).toEqual([false, true]);
  winner.begin(head);
  expect([winner.begun, loser.begun, winner.write(Buffer.from('won'))]).toEqual([true, false, false]);
  loser.end(Buffer.from('lost'));
  loser.breakOff();
  client.listener?.onDrain?.();
  winner.end(Buffer.from('over'));
  expect(client.heard).toEqual(['begin', 'won', 'over.']);
  expect(told).toEqual([`${one} drain`]);
});

test('that the client leaves is the race’s to tell them', () => {
  const { client, told, answer } = race(undefined);
  client.listener?.onStop(new SignalboxError('client_closed', 'It left.'));
  expect(told).toEqual(['race client_closed']);
  const reason = new SignalboxError('hedge_lost', 'Another was faster.');
  expect(answer.stop('second', reason)).toBe(true);
  answer.lane('first').listener = undefined;
  expect(answer.stop('first', reason)).toBe(false);
  expect(told).toEqual(['race client_closed', 'second hedge_lost']);
  answer.close();
  expect(client.listener).toBeUndefined();
});
