import { expect, test } from 'vitest';
import { deploymentOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import { findAtProvider } from './at-provider.ts';

const here = providerOf('here', { claims: (model) => model.startsWith('claimed-') });
const there = providerOf('there');
const snapshot = snapshotOf({
  deployments: [
    deploymentOf('both', there),
    deploymentOf('both', here, { upstreamModel: 'second', priority: 2 }),
    deploymentOf('both', here, { upstreamModel: 'first', priority: 1 }),
    deploymentOf('away', there),
  ],
  aliases: { nick: 'both' },
  routes: [
    routeOf('chain', ['away'], ['loop']),
    routeOf('loop', ['chain'], ['both']),
    routeOf('nowhere', ['away'], ['nowhere']),
  ],
});

function upstreamModelOf(name: string): string {
  const found = findAtProvider(snapshot, name, ({ provider }) => provider === here);
  return found.kind === 'found' ? found.deployment.upstreamModel : found.kind;
}

test.each([
  ['a model: its first deployment there', 'both', 'first'],
  ['an alias', 'nick', 'first'],
  ['the provider’s own name', 'here/anything', 'anything'],
  ['a name that the provider claims', 'claimed-x', 'claimed-x'],
  ['a route, through its fallbacks, even where it leads back to itself', 'chain', 'first'],
  ['a model of another provider', 'away', 'elsewhere'],
  ['a route that never gets there', 'nowhere', 'elsewhere'],
  ['nothing', 'no-such-model', 'unknown'],
])('%s', (_what, name, expected) => {
  expect(upstreamModelOf(name)).toBe(expected);
});
