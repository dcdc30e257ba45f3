// By the operator's own order: lower numbers first, equals by nearness and weight.
import { orderBy } from './order-by.ts';
import type { Strategy } from './strategy.ts';

export const priority: Strategy = {
  name: 'priority',
  order: (members, input) =>
    orderBy(members, input, ({ priority: score }) => ({ score, why: `priority ${score}` })),
};
