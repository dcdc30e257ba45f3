// What may be said of providers, keys, deployments and routes about how much they take at once.
import { z } from 'zod';
import { limits } from '../limits.ts';
import { durationMs } from './duration.ts';
import { shortDuration } from './names.ts';

const requestsAtOnce = z.int().min(0).max(limits.requestsInFlightMax);

export const concurrencySpec = z
  .union([
    requestsAtOnce,
    z.strictObject({
      max: requestsAtOnce.describe('Requests at once; 0 means any number.'),
      queue: z
        .int()
        .min(0)
        .max(limits.queueLengthMax)
        .default(limits.queueLengthDefault)
        .describe('How many more may wait. The others are turned away with 503 and told when to come back.'),
      wait: shortDuration
        .default(`${limits.queueWaitMsDefault}ms`)
        .describe('How long each may wait.')
        .meta({ examples: ['10s'] }),
    }),
  ])
  .describe('How many requests may be under way at once: a number, or a mapping. The default is any number.');

export interface Concurrency {
  readonly max: number;
  readonly waitingMax: number;
  readonly waitMsMax: number;
}

/** Undefined where nothing is limited. */
export function concurrencyOf(
  written: z.output<typeof concurrencySpec> | undefined,
): Concurrency | undefined {
  if (written === undefined || written === 0) return undefined;
  const { max, queue, wait } =
    typeof written === 'number'
      ? { max: written, queue: limits.queueLengthDefault, wait: `${limits.queueWaitMsDefault}ms` }
      : written;
  return max === 0 ? undefined : { max, waitingMax: queue, waitMsMax: durationMs(wait) };
}
