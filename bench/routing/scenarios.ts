// What goes wrong, and when. It always begins with the member that everybody would like best: the first by priority. Each scenario has
// a calm time before, in which everyone is measured, and a calm time after, in which whoever was ill should get its share again.
import type { Fault } from './server.ts';

export interface Phases {
  readonly faultFromMs: number;
  readonly faultUntilMs: number;
  readonly untilMs: number;
}

export interface FaultChange {
  readonly atMs: number;
  readonly server: number;
  readonly fault: Fault;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Some members are ill and others well: here routing can make a difference, and `adaptive` has to. */
  readonly isPartialFailure: boolean;
  changes(phases: Phases, servers: number): readonly FaultChange[];
}

const FLAP_MS = 4000;
const well: Fault = {};

/** From the beginning of the fault to its end. */
function during({ faultFromMs, faultUntilMs }: Phases, servers: number, fault: Fault): FaultChange[] {
  return Array.from({ length: servers }, (_, server) => [
    { atMs: faultFromMs, server, fault },
    { atMs: faultUntilMs, server, fault: well },
  ]).flat();
}

export const scenarios: readonly Scenario[] = [
  { name: 'steady', about: 'nothing is wrong', isPartialFailure: false, changes: () => [] },
  {
    name: 'slow',
    about: 'one member is ten times as slow',
    isPartialFailure: true,
    changes: (phases) => during(phases, 1, { slowness: 10 }),
  },
  {
    name: 'flapping',
    about: 'one member goes down and comes up again every 4 s; going down breaks off what is under way',
    isPartialFailure: true,
    changes: ({ faultFromMs, faultUntilMs }) => {
      const changes: FaultChange[] = [];
      for (let atMs = faultFromMs; atMs < faultUntilMs; atMs += 2 * FLAP_MS) {
        changes.push({ atMs, server: 0, fault: { isDown: true } });
        changes.push({ atMs: Math.min(atMs + FLAP_MS, faultUntilMs), server: 0, fault: well });
      }
      return changes;
    },
  },
  {
    name: 'limited',
    about: 'one member answers 429 with Retry-After beyond 40 requests a minute and key',
    isPartialFailure: false,
    changes: (phases) => during(phases, 1, { requestsPerMinuteMax: 40 }),
  },
  {
    name: 'blackhole',
    about: 'one member takes requests and never answers',
    isPartialFailure: true,
    changes: (phases) => during(phases, 1, { isSilent: true }),
  },
  {
    name: 'half down',
    about: 'half of the members refuse connections',
    isPartialFailure: true,
    changes: (phases, servers) => during(phases, Math.floor(servers / 2), { isDown: true }),
  },
  {
    name: 'all down',
    about: 'everyone answers with errors, and then recovers',
    isPartialFailure: false,
    changes: (phases, servers) => during(phases, servers, { isBroken: true }),
  },
];
