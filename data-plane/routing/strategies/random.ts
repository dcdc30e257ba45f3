// By lot: each request by itself, in proportion to the weights.
import { orderBy } from './order-by.ts';
import type { Strategy } from './strategy.ts';

export const random: Strategy = {
  name: 'random',
  order: (members, input) =>
    orderBy(members, input, ({ weight }) => ({ score: 0, why: `drawn with weight ${weight}` })),
};
