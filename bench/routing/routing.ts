// `npm run bench -- routing`: what users, survivors and operators see of each strategy while some of those who answer are in trouble. All
// of it is simulated from seeds, so the figures are the same on every machine, and two revisions can be compared to the last digit.
import { type Figures, figuresOf } from './figures.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { simulate, usualWorld, type World } from './simulate.ts';

export const strategies = [
  'adaptive',
  'least-latency',
  'least-busy',
  'cache-affinity',
  'lowest-usage',
  'weighted-round-robin',
  'round-robin',
  'random',
  'lowest-cost',
  'priority',
];

const seeds = [1, 2, 3];

export interface RoutingResult {
  readonly scenario: string;
  readonly strategy: string;
  readonly figures: Figures;
}

/** More than a message takes between two machines of a region. */
const NEWS_MS = 50;
/** What the others know as well, `adaptive` knows sooner. */
const telling: World = { ...usualWorld, newsMs: NEWS_MS };

export function measureRouting(): { readonly markdown: string; readonly data: readonly RoutingResult[] } {
  const data = scenarios.flatMap((scenario) => [
    ...strategies.map((strategy) => resultOf(scenario, strategy, strategy, usualWorld)),
    resultOf(scenario, 'adaptive', 'adaptive, nodes tell each other', telling),
  ]);
  const tables = scenarios.map((scenario) => tableOf(scenario, data));
  return { markdown: [about(usualWorld), ...tables].join('\n'), data };
}

function resultOf(scenario: Scenario, strategy: string, label: string, world: World): RoutingResult {
  return {
    scenario: scenario.name,
    strategy: label,
    figures: measureStrategy(scenario, strategy, world, seeds),
  };
}

export function measureStrategy(
  scenario: Scenario,
  strategy: string,
  world: World,
  ofSeeds: readonly number[],
): Figures {
  const changes = scenario.changes(world.phases, world.servers.length);
  const ill = new Set(changes.map(({ server }) => world.servers[server]!.name));
  const runs = ofSeeds.map((seed) => simulate({ world, scenario, strategy, seed }));
  return figuresOf(runs, world, ill);
}

function about({ nodes, servers, requestsPerSecond, timeoutMs, phases }: World): string {
  const speeds = servers.map(({ firstByteMs }) => firstByteMs).join(', ');
  return `${nodes} nodes, ${servers.length} members with first bytes after ${speeds} ms (medians), ${servers[0]!.concurrencyMax} requests at once each, ${requestsPerSecond} requests a second, half of them streams, time-out ${timeoutMs / 1000} s. The trouble lasts from ${phases.faultFromMs / 1000} s to ${phases.faultUntilMs / 1000} s of ${phases.untilMs / 1000} s. Seeds ${seeds.join(', ')}, pooled. A request that failed counts as one that took for ever.\n`;
}

const columns: readonly (readonly [string, (figures: Figures) => string])[] = [
  ['failed', ({ failedShare }) => percent(failedShare)],
  ['first byte p50', ({ firstByteMsP50 }) => seconds(firstByteMsP50)],
  ['first byte p99', ({ firstByteMsP99 }) => seconds(firstByteMsP99)],
  ['whole p50', ({ wholeMsP50 }) => seconds(wholeMsP50)],
  ['whole p99', ({ wholeMsP99 }) => seconds(wholeMsP99)],
  ['attempts per request', ({ attemptsPerRequest }) => attemptsPerRequest.toFixed(3)],
  [
    'load of the others',
    ({ survivorLoad }) => (Number.isFinite(survivorLoad) ? `× ${survivorLoad.toFixed(2)}` : '–'),
  ],
  ['shifted after', ({ shiftMs }) => whole(shiftMs)],
  ['returned after', ({ returnMs }) => whole(returnMs)],
  ['failed afterwards', ({ failedShareAfter }) => percent(failedShareAfter)],
];

function tableOf({ name, about: what }: Scenario, data: readonly RoutingResult[]): string {
  const rows = data
    .filter(({ scenario }) => scenario === name)
    .map(({ strategy, figures }) => row([strategy, ...columns.map(([, show]) => show(figures))]));
  const head = row(['', ...columns.map(([title]) => title)]);
  const rule = row(['', ...columns].map(() => '---'));
  return `## ${name}: ${what}\n\n${[head, rule, ...rows].join('\n')}\n`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1000).toFixed(2)} s` : 'never';
}

function whole(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${ms / 1000} s`;
}
