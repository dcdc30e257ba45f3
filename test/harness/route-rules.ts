// Rules as people write them, taken the whole way to what a data plane asks of a request, and requests to ask it of.

import { mirrorMessages, ruleMessages } from '#control-plane/domain/route-rules.ts';
import type { RoutedRequest } from '#data-plane/routing/plan.ts';
import { compileRouteRules, type RouteRules } from '#data-plane/rules/compile.ts';
import type { RequestFacts } from '#data-plane/rules/facts.ts';
import { mirrorsSpec, routeRulesSpec } from '#shared/configuration/route-rules.ts';

/** As they would stand in a file. */
export interface WrittenRules {
  readonly slug?: string;
  readonly rules?: readonly object[];
  readonly mirrors?: readonly object[];
}

export function rulesOf({ slug = 'smart', rules = [], mirrors = [] }: WrittenRules): RouteRules {
  const messages = {
    slug,
    rules: ruleMessages(routeRulesSpec.parse(rules)),
    mirrors: mirrorMessages(mirrorsSpec.parse(mirrors)),
  };
  const compiled = compileRouteRules(messages, (field, code, message) => {
    throw new RangeError(`${field} ${code}: ${message}`);
  });
  return compiled!;
}

/** A request as routing sees it. */
export function routedOf(sketch: Partial<RoutedRequest> = {}): RoutedRequest {
  return { ...factsOf(sketch), outputTokensExpected: 500, affinity: () => '', ...sketch };
}

export function factsOf(sketch: Partial<RequestFacts> = {}): RequestFacts {
  return {
    requestId: 'request_1',
    keyId: 'key_1',
    keyName: 'a key',
    keyMetadata: {},
    user: '',
    metadata: {},
    tags: [],
    header: () => undefined,
    model: 'smart',
    isStream: false,
    inputTokens: 1000,
    needs: new Set(),
    region: '',
    wallMs: 0,
    ...sketch,
  };
}
