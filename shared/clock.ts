// Time as a value that is passed in. Pure code never asks the system for the time, so that tests can tell it.

export interface Clock {
  /** Milliseconds since the epoch; may jump. For records that people read. */
  wallMs(): number;
  /** Milliseconds that only go forward, with fractions. For durations and deadlines. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
