// How many requests may be under way at once, as data planes are told.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { z } from 'zod';
import type { ConcurrencySchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { concurrencyOf, type concurrencySpec } from '#shared/configuration/capacity.ts';

/** To be spread into a message that has the field: nothing where nothing is limited. */
export function concurrencyField(written: z.output<typeof concurrencySpec> | undefined): {
  concurrency?: MessageInitShape<typeof ConcurrencySchema>;
} {
  const concurrency = concurrencyOf(written);
  return concurrency === undefined ? {} : { concurrency };
}
