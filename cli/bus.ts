// Which bus carries the usage: the one in this process, or NATS when its address is known.
import type { Bus } from '#shared/bus/bus.ts';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import { openJetStreamBus } from '#shared/bus/jetstream.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import type { Logger } from '#shared/log.ts';
import { required } from './required.ts';

export function openLocalBus({ natsUrl }: Settings, log: Logger): Bus {
  if (natsUrl === undefined) return createInProcessBus({ log });
  return openJetStreamBus({ url: natsUrl.reveal(), clientName: 'signalbox', log });
}

/** Planes in different processes have no other way to each other. */
export function openSharedBus({ natsUrl }: Settings, command: string, log: Logger): Bus {
  const url = required(
    natsUrl,
    'SIGNALBOX_NATS_URL',
    `${command} hands usage from plane to plane through NATS`,
  );
  return openJetStreamBus({ url: url.reveal(), clientName: `signalbox ${command}`, log });
}
