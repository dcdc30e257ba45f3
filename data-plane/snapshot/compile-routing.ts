// What is said of routing, message by message: deployments and routes as requests find them, with everything that was left unsaid filled
// in. A name that this build does not know is reported, so that a configuration is refused as a whole instead of being followed in part.
import type {
  Concurrency,
  Deployment as DeploymentMessage,
  Hedge as HedgeMessage,
  Price as PriceMessage,
  Route as RouteMessage,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { limits } from '#shared/limits.ts';
import { isStrategyName, type StrategyName, usualStrategy } from '#shared/routing-strategies.ts';
import { compileAbilities } from '../rules/capabilities.ts';
import { compileRouteRules } from '../rules/compile.ts';
import type { Capacity, Deployment, HedgeSettings, Price, ProviderEntry, Route } from './snapshot.ts';

/** Gives nothing, so that a function can return it. */
export type Report = (field: string, code: string, message: string) => undefined;

export function compileDeployment(message: DeploymentMessage, provider: ProviderEntry): Deployment {
  const { id, model, upstreamModel, weight, priority, timeoutMs, region, tags, rpm, tpm } = message;
  return Object.freeze({
    id,
    model,
    provider,
    upstreamModel: upstreamModel === '' ? model : upstreamModel,
    weight,
    priority,
    timeoutMs: timeoutMs === 0 ? limits.upstreamTimeoutMs : timeoutMs,
    idleTimeoutMs: message.idleTimeoutMs === 0 ? undefined : message.idleTimeoutMs,
    region,
    tags: Object.freeze([...tags]),
    rpm,
    tpm: Number(tpm),
    ...capacityOf(message.concurrency),
    price: priceOf(message.price),
    abilities: compileAbilities(message),
  });
}

export function compileRoute(message: RouteMessage, report: Report): Route | undefined {
  const { slug, timeoutMs, failoverTimeoutMultiple: multiple } = message;
  const strategy = strategyIn(message.strategy, usualStrategy, 'strategy', report);
  const streamRecovery = recoveryIn(message.streamRecovery, report);
  const rules = compileRouteRules(message, report);
  if (strategy === undefined || streamRecovery === undefined || rules === undefined) return undefined;
  const members = message.members.map(({ model, weight, priority }) =>
    Object.freeze({ model, weight, priority }),
  );
  return Object.freeze({
    slug,
    strategy,
    members: Object.freeze(members),
    fallbacks: Object.freeze([...message.fallbacks]),
    contextWindowFallbacks: Object.freeze([...message.contextWindowFallbacks]),
    contentPolicyFallbacks: Object.freeze([...message.contentPolicyFallbacks]),
    timeoutMs,
    failoverTimeoutMultiple: multiple > 0 && multiple < 1 ? multiple : 1,
    streamRecovery,
    rules,
    hedge: hedgeOf(message.hedge),
    ...capacityOf(message.concurrency),
  });
}

/** Nothing said means the usual one. */
export function strategyIn(
  name: string,
  usual: StrategyName,
  field: string,
  report: Report,
): StrategyName | undefined {
  if (name === '') return usual;
  if (isStrategyName(name)) return name;
  return report(field, 'unknown_strategy', `This build does not know the strategy "${name}".`);
}

export function capacityOf(concurrency: Concurrency | undefined): Capacity {
  const { max = 0, waitingMax = 0, waitMsMax = 0 } = concurrency ?? {};
  return { concurrencyMax: max, waitingMax, waitMsMax };
}

function priceOf(price: PriceMessage | undefined): Price | undefined {
  if (price === undefined) return undefined;
  const { input, cachedInput, output } = price;
  return Object.freeze({ input, inputCacheRead: cachedInput, output });
}

const PERCENT = 100;

function hedgeOf(hedge: HedgeMessage | undefined): HedgeSettings | undefined {
  if (hedge === undefined) return undefined;
  const { delayMs, requestPercent, spendPercent } = hedge;
  return Object.freeze({
    delayMs: delayMs === 0 ? undefined : delayMs,
    requestShareMax: requestPercent / PERCENT,
    spendShareMax: spendPercent / PERCENT,
  });
}

function recoveryIn(written: string, report: Report): Route['streamRecovery'] | undefined {
  if (written === '' || written === 'error') return 'error';
  if (written === 'continue') return 'continue';
  const message = `This build does not know the stream_recovery "${written}".`;
  return report('stream_recovery', 'unknown_stream_recovery', message);
}
