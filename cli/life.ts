// What every long-running command shares: stopping in order when asked to, and not outliving whoever started it. A killed
// npm or launcher cannot pass anything on, so its disappearance is noticed here.
import { setTimeout as wait } from 'node:timers/promises';
import { onStopSignal, type Shutdown } from '#shared/shutdown.ts';

const PARENT_POLL_MS = 500;
/** A request to stop that arrives during the start waits for it this long; what has started is then stopped. */
const START_MS_MAX = 15_000;

export interface Life {
  /** Starts the parts; each registers with `shutdown` how it stops. */
  readonly start: () => Promise<void>;
  readonly shutdown: Shutdown;
  readonly onStopping: (why: string) => void;
}

/** Returns when everything was asked to stop and has; throws when it could not start. */
export async function live({ start, shutdown, onStopping }: Life): Promise<void> {
  const asked = untilAsked(onStopping);
  const starting = start();
  try {
    await Promise.race([starting, asked]);
    await asked;
    const late = wait(START_MS_MAX, undefined, { ref: false });
    await Promise.race([starting, late]);
  } finally {
    await shutdown.run();
  }
}

function untilAsked(onStopping: (why: string) => void): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const stop = (why: string) => {
      if (isAsked) return;
      isAsked = true;
      onStopping(why);
      resolve();
    };
    onStopSignal(stop);
    onParentGone(() => stop('the process that started this one is gone'));
  });
}

/** Only where the parent is one that exists for our sake: npm, or the launcher, which keeps a channel open. */
function onParentGone(callback: () => void): void {
  if (process.channel !== undefined) {
    process.on('disconnect', callback);
    process.channel.unref();
  }
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, PARENT_POLL_MS);
  timer.unref();
}
