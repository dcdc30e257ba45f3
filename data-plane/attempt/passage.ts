// How one turn goes out to an upstream and how the answer comes back. Where client and upstream speak the same dialect the
// bytes pass: out with the model changed, back as they came. Where they do not, the request is translated once and the
// answer event by event. Whoever carries the bytes cannot tell the two apart.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { BodyReport, Dialect, StreamTap } from '../dialects/dialect.ts';
import { dialectNamed } from '../dialects/registry.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { TurnEvent } from '../turn/events.ts';
import { foldTurn } from '../turn/fold.ts';
import { type TurnRequest, withoutExtras } from '../turn/request.ts';
import type { Turn } from './attempt-record.ts';
import { TranslatingTap } from './translating-tap.ts';

export interface Passage {
  /** What the upstream speaks. */
  readonly dialect: Dialect;
  readonly isTranslated: boolean;
  readonly body: readonly Buffer[];
  tap(): StreamTap;
  /** A whole answer for the client, unless the report has an error. */
  convert(body: Buffer): { readonly report: BodyReport; readonly body: Buffer };
}

/** Throws `unsupported_field` when the upstream of this deployment cannot be asked for what the client wants. */
export function passageFor(turn: Turn, deployment: Deployment, clock: Clock): Passage {
  const { kind } = deployment.provider;
  const isSame = kind.dialect === undefined || kind.dialect === turn.dialect.name;
  return isSame ? direct(turn, deployment) : translated(turn, deployment, clock);
}

function direct({ dialect, head }: Turn, { provider, upstreamModel }: Deployment): Passage {
  const { usageUnasked = false } = provider.kind;
  return {
    dialect,
    isTranslated: false,
    body: dialect.splice(head, { model: upstreamModel, usageUnasked }),
    tap: () => dialect.tap(head),
    convert: (body) => ({ report: dialect.inspect(body), body }),
  };
}

function translated(turn: Turn, deployment: Deployment, clock: Clock): Passage {
  const { dialect: client, head } = turn;
  const { kind } = deployment.provider;
  const upstream = dialectNamed(kind.dialect!);
  const request = { ...translatable(turn), model: deployment.upstreamModel };
  const { usageUnasked = false, outputLimitField = 'max_tokens' } = kind;
  const wire = upstream.encode(request, { usageUnasked, outputLimitField });
  return {
    dialect: upstream,
    isTranslated: true,
    body: [Buffer.from(JSON.stringify(wire))],
    tap: () => new TranslatingTap({ upstream, client, wantsUsage: head.wantsUsage, clock }),
    convert: (body) => translateBody(upstream, client, body, clock),
  };
}

function translatable({ dialect, head }: Turn): TurnRequest {
  const request = dialect.decode(head.body);
  const [field] = dialect.untranslatable(request);
  if (field === undefined) return withoutExtras(request);
  throw new SignalboxError(
    'unsupported_field',
    `The upstream of this model speaks another dialect, in which the field "${field}" has no meaning. Leave it out, or ask a model whose provider knows it.`,
    { param: field },
  );
}

function translateBody(
  upstream: Dialect,
  client: Dialect,
  body: Buffer,
  clock: Clock,
): { report: BodyReport; body: Buffer } {
  const events = upstream.unfold(body).map((event) => dated(event, clock));
  const { id, usage, rawUsage, error } = foldTurn(events);
  const report = { id, usage, rawUsage, error };
  return { report, body: error ? body : Buffer.from(JSON.stringify(client.render(events))) };
}

/** Not every dialect says when an answer was made, but some have to say it. */
function dated(event: TurnEvent, clock: Clock): TurnEvent {
  const isUndated = event.type === 'turn-start' && event.createdAtMs === undefined;
  return isUndated ? { ...event, createdAtMs: clock.wallMs() } : event;
}
