// Nodes that tell each other how everyone is doing: the real reports, digests and judgement of them, with a wire that takes a while instead
// of a bus.
import { HeardNodes } from '#data-plane/routing/health/other-nodes.ts';
import { DigestBook } from '#shared/health/digest-book.ts';
import { limits } from '#shared/limits.ts';
import type { SimulatedClock } from './clock.ts';
import type { Node } from './node.ts';

export interface SharingOptions {
  readonly newsMs: number;
  readonly untilMs: number;
}

export function shareHealth(
  clock: SimulatedClock,
  nodes: readonly Node[],
  { newsMs, untilMs }: SharingOptions,
): void {
  const listeners = nodes.map(({ state }, index) => {
    const digests = new DigestBook();
    const others = new HeardNodes(digests, '');
    let sequence = 0n;
    const tell = () => {
      sequence += 1n;
      const subjects = state.health.report(clock.nowMs);
      const digest = { nodeId: `node-${index}`, region: '', boot: 1n, sequence, subjects };
      clock.after(newsMs, () => {
        for (const listener of listeners) if (listener.others !== others) listener.hear(digest);
      });
    };
    state.health.share({ others, onTrouble: tell });
    const hear = (digest: Parameters<DigestBook['take']>[0]) => {
      if (digests.take(digest, clock.nowMs)) others.refresh();
    };
    return { others, tell, hear };
  });
  for (let atMs = 0; atMs < untilMs; atMs += limits.healthDigestMs) {
    clock.after(atMs, () => {
      for (const { tell } of listeners) tell();
    });
  }
}
