// A request that is about an account at a provider instead of a model: a file, a batch. There is no route to follow and nothing to
// fail over to, since an object is where it is; all the rest is as for every other attempt: credentials, time-outs, back
// pressure, the client's leaving, and the journal for whatever changes something. What the provider answers is
// understood and told again, because its ids are not the client's.
import { SignalboxError } from '#shared/errors.ts';
import { runAttempt } from '../../attempt/attempt.ts';
import type { AttemptResult, AttemptServices, Target } from '../../attempt/attempt-record.ts';
import type { ClientAnswer } from '../../attempt/relay.ts';
import type { BodyReport, StreamTap } from '../../dialects/dialect.ts';
import { readError } from '../../dialects/read-error.ts';
import type { ObjectKind } from '../../files/objects.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, textOf } from '../../json/values.ts';
import type { UpstreamPassage } from '../../passage/task.ts';
import { chooseKey } from '../../routing/choose-key.ts';
import { isAboutKey } from '../../routing/failures.ts';
import { keysExhausted } from '../../routing/targets.ts';
import type { Deployment, ProviderEntry, ProviderKey } from '../../snapshot/snapshot.ts';
import { usualDeployment } from '../../snapshot/usual-deployment.ts';
import { noUsage } from '../../turn/usage.ts';
import type { GatewayContext } from '../context.ts';

export interface AccountCall {
  readonly operation: ObjectKind;
  readonly provider: ProviderEntry;
  /** The key under which the object lives; undefined for one that has none yet, which any key may make. */
  readonly providerKey: string | undefined;
  readonly method: UpstreamPassage['method'];
  /** `/files/…` or `/batches/…`. */
  readonly path: string;
  readonly contentType: string;
  readonly body: readonly Buffer[];
  /** The provider's words in the client's. Undefined for content, which passes as it is. */
  readonly retell: ((answer: JsonObject, providerKey: string) => JsonObject) | undefined;
  /** For content. */
  readonly tap?: () => StreamTap;
  /** What it means that the provider does not know the object. */
  readonly missing: SignalboxError;
  readonly identity: {
    readonly requestId: string;
    readonly keyId: string;
    readonly models: readonly string[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly tags: readonly string[];
  };
}

/** Makes the call and gives the client what comes of it. */
export async function answerCall(
  context: GatewayContext,
  client: ClientAnswer & { attempts: number },
  call: AccountCall,
): Promise<AttemptResult> {
  const services = servicesFor(context.attempts, call);
  const tried = new Set<ProviderKey>();
  for (;;) {
    const key = keyFor(context, call, tried);
    client.attempts += 1;
    const target: Target = {
      deployment: accountOf(call.provider),
      key,
      attemptNumber: client.attempts,
    };
    const passage = passageFor(call, key?.id ?? '');
    const task = {
      ...call.identity,
      requestedModel: call.identity.models.join(' '),
      route: '',
      operation: call.operation,
      isStreamed: false,
      passageTo: () => passage,
      streamError: () => undefined,
    };
    const result = await runAttempt(services, task, target, passage, client);
    const another =
      result.kind === 'failed' && key && call.providerKey === undefined && isAboutKey(result.error);
    if (!another || tried.size + 1 >= call.provider.keys.length) return result;
    tried.add(key);
  }
}

/** Looking changes nothing and costs nothing, and clients look often: only what does something is journaled. */
function servicesFor(services: AttemptServices, { method }: AccountCall): AttemptServices {
  if (method !== 'GET') return services;
  return { ...services, ledger: { open: () => ({ settle: () => undefined }) } };
}

function keyFor(
  context: GatewayContext,
  { provider, providerKey, missing }: AccountCall,
  tried: ReadonlySet<ProviderKey>,
): ProviderKey | undefined {
  if (providerKey !== undefined) {
    const bound = provider.keys.find(({ id }) => id === providerKey);
    if (bound || (providerKey === '' && provider.keys.length === 0)) return bound;
    throw missing;
  }
  const choice = chooseKey(provider, {
    state: context.attempts.routing,
    usage: context.attempts.keyUsage,
    nowMs: context.attempts.clock.monotonicMs(),
    random: context.random,
    exclude: tried,
  });
  if (choice.kind === 'key') return choice.key;
  if (choice.kind === 'none-needed') return undefined;
  throw keysExhausted(provider, choice.retryAfterMs);
}

/** The account itself, where attempts expect one of its models. */
function accountOf(provider: ProviderEntry): Deployment {
  return { ...usualDeployment, id: '', model: '', provider, upstreamModel: '' };
}

function passageFor(call: AccountCall, providerKey: string): UpstreamPassage {
  const { provider, method, path, contentType, body, tap, retell } = call;
  const fullPath = provider.kind.files!(path, provider.settings);
  return {
    kind: 'upstream',
    dropped: [],
    isTranslated: true,
    method,
    path: fullPath,
    contentType,
    accept: tap ? '*/*' : 'application/json',
    forwardedHeaders: {},
    body,
    stream: tap && { expects: '', contentType: '', tap },
    convert(answer) {
      const said = read(answer);
      const told = said && retell ? retell(said, providerKey) : undefined;
      const bytes = told === undefined ? answer : Buffer.from(JSON.stringify(told));
      return { report: reportOf(said), body: bytes, contentType: 'application/json' };
    },
    inspect: (answer) => reportOf(read(answer)),
    readError: (status, headers, answer) =>
      status === 404 ? call.missing : readError(status, headers, answer),
  };
}

function read(answer: Buffer): JsonObject | undefined {
  try {
    const said = parseJson(answer);
    return isObject(said) && textOf(said.id) !== '' ? said : undefined;
  } catch {
    return undefined;
  }
}

function reportOf(said: JsonObject | undefined): BodyReport {
  const error = said
    ? undefined
    : new SignalboxError(
        'upstream_invalid',
        'The provider answered with something else than the object asked for.',
      );
  return { id: textOf(said?.id), usage: noUsage, rawUsage: '', error };
}
