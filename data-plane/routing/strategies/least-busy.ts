// To whoever answers the fewest requests now, for its weight. Who has just recovered counts as busier than it is, except for its first
// request: somebody has to find out.
import { orderBy } from './order-by.ts';
import type { Strategy } from './strategy.ts';

export const leastBusy: Strategy = {
  name: 'least-busy',
  order: (members, input) =>
    orderBy(members, input, ({ weight, vitals: { inFlight, warmth } }) => ({
      score: (inFlight + 1) / (weight * (inFlight === 0 ? 1 : warmth)),
      why: `${inFlight} in flight, weight ${weight}`,
    })),
};
