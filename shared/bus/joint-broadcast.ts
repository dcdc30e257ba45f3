// News over several buses at once, so that it arrives while any of them does. Whoever listens hears it once from each and has to know it
// again by itself.
import type { Broadcast } from './bus.ts';

export function joinBroadcasts(broadcasts: readonly Broadcast[]): Broadcast {
  return {
    announce(subject, data) {
      // All of them, whatever the first one says.
      const taken = broadcasts.filter((broadcast) => broadcast.announce(subject, data));
      return taken.length > 0;
    },
    listen(subject, handle) {
      const listenings = broadcasts.map((broadcast) => broadcast.listen(subject, handle));
      return {
        stop() {
          for (const listening of listenings) listening.stop();
        },
      };
    },
  };
}
