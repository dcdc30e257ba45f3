// Answers what a person wants to know about a provider: which models it has, and whether it works; and, by what it is given for that,
// what would become of a request. Asked here and not on the control
// plane, because keys are opened here, only from here may providers be called, and it is from here that it has to work. Whatever
// happens is an answer, never an exception; nothing of a key is in it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type AnswerErrorSchema,
  type AnswerSchema,
  type Ask,
  type ExplainedRequest,
  type ExplanationSchema,
  type KeyFindingSchema,
  Probe,
  Question,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { build } from '#shared/build.ts';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { readError } from '../dialects/read-error.ts';
import type { Credential } from '../providers/credential.ts';
import { endpointPath, type ModelList } from '../providers/provider.ts';
import type { Origin, UpstreamClient } from '../upstream/client.ts';
import { fetchText } from '../upstream/fetch-text.ts';
import type { ProviderEntry, Snapshot } from './snapshot.ts';

export type AnswerContent = MessageInitShape<typeof AnswerSchema>;
type KeyFinding = MessageInitShape<typeof KeyFindingSchema>;

/** Says what would become of a request; throws what its client would be told at once. */
export type Explain = (request: ExplainedRequest) => MessageInitShape<typeof ExplanationSchema>;

export interface AskTools {
  readonly upstream: UpstreamClient;
  readonly clock: Clock;
  readonly explain?: Explain | undefined;
}

interface Asked extends AskTools {
  readonly provider: ProviderEntry;
  readonly origin: Origin;
  readonly endsAtMs: number;
}

/** A key is given at least this long, however long fetching its token has taken. */
const ANSWER_MS_MIN = 1_000;

export async function answerAsk(
  ask: Ask,
  snapshot: Snapshot | undefined,
  tools: AskTools,
): Promise<AnswerContent> {
  const startedMs = tools.clock.monotonicMs();
  const found = await findOut(ask, snapshot, tools).catch((thrown: unknown) => ({ error: shown(thrown) }));
  return { id: ask.id, durationMs: tools.clock.monotonicMs() - startedMs, ...found };
}

async function findOut(
  { provider: name, question, timeoutMs, request }: Ask,
  snapshot: Snapshot | undefined,
  tools: AskTools,
): Promise<Omit<AnswerContent, '$typeName'>> {
  if (question === Question.EXPLAIN && request !== undefined && tools.explain !== undefined) {
    return { explanation: tools.explain(request) };
  }
  const provider = snapshot?.providers.get(name);
  if (provider === undefined) {
    throw new SignalboxError(
      'not_found',
      `This data plane runs a configuration without a provider "${name}".`,
    );
  }
  const { origin, kind } = provider;
  if (origin === undefined) return { probe: Probe.LOCAL };
  const withinMs = Math.min(timeoutMs || limits.askMs, limits.askMs);
  const asked: Asked = { ...tools, provider, origin, endsAtMs: tools.clock.monotonicMs() + withinMs };
  if (kind.modelList === undefined) {
    const finding = await timed('', tools.clock, () => tools.upstream.reach(origin));
    return { probe: Probe.CONNECTION, keys: [finding] };
  }
  const listed =
    question === Question.CHECK
      ? await askAll(asked, kind.modelList)
      : await askUntilOne(asked, kind.modelList);
  return { probe: Probe.MODEL_LIST, ...listed };
}

interface Key {
  readonly id: string;
  readonly credential: Credential;
}

interface Listed {
  readonly models: string[];
  readonly moreModels: boolean;
  readonly keys: KeyFinding[];
}

async function askAll(asked: Asked, list: ModelList): Promise<Listed> {
  const models: string[] = [];
  const ask = (key: Key) =>
    timed(key.id, asked.clock, async () => {
      const found = await listModels(asked, list, key.credential);
      if (models.length === 0) models.push(...found);
    });
  const keys = await Promise.all(keysOf(asked.provider).map(ask));
  return { ...bounded(models), keys };
}

async function askUntilOne(asked: Asked, list: ModelList): Promise<Listed> {
  const keys: KeyFinding[] = [];
  for (const { id, credential } of keysOf(asked.provider)) {
    let models: readonly string[] = [];
    const finding = await timed(id, asked.clock, async () => {
      models = await listModels(asked, list, credential);
    });
    keys.push(finding);
    if (finding.error === undefined) return { ...bounded(models), keys };
    if (asked.clock.monotonicMs() > asked.endsAtMs) break;
  }
  return { ...bounded([]), keys };
}

function keysOf({ keys, ambient }: ProviderEntry): readonly Key[] {
  return keys.length === 0 ? [{ id: '', credential: ambient }] : keys.slice(0, limits.askKeysMax);
}

async function listModels(
  { upstream, clock, provider, origin, endsAtMs }: Asked,
  list: ModelList,
  credential: Credential,
): Promise<readonly string[]> {
  const { name, kind, basePath, settings } = provider;
  const path = basePath + endpointPath(list.path, { model: '', stream: false, settings });
  const headers = {
    ...kind.fixedHeaders,
    accept: 'application/json',
    'user-agent': build,
    ...credential.headers,
  };
  const { host, port, secure } = origin;
  const authority = port === (secure ? 443 : 80) ? host : `${host}:${port}`;
  const signed = await credential.authorise?.({ method: 'GET', host: authority, path, headers, body: [] });
  const {
    status,
    headers: answered,
    body,
  } = await fetchText(upstream, {
    origin,
    method: 'GET',
    path,
    headers: { ...headers, ...signed },
    timeoutMs: Math.max(endsAtMs - clock.monotonicMs(), ANSWER_MS_MIN),
    bytesMax: limits.modelListBytesMax,
  });
  if (status >= 200 && status <= 299) return list.read(body);
  if (status === 404 || status === 405) {
    throw new SignalboxError(
      'upstream_invalid',
      `The provider "${name}" answered ${status} where its list of models should be (${path}). Check its base_url.`,
    );
  }
  throw readError(status, answered, body);
}

async function timed(keyId: string, clock: Clock, work: () => Promise<void>): Promise<KeyFinding> {
  const startedMs = clock.monotonicMs();
  const error = await work().then(() => undefined, shown);
  return {
    keyId,
    durationMs: clock.monotonicMs() - startedMs,
    ...(error === undefined ? {} : { error }),
  };
}

/** What fits into one message, each name once. */
function bounded(models: readonly string[]): { models: string[]; moreModels: boolean } {
  const names = [...new Set(models)].filter(
    (name) => Buffer.byteLength(name) <= limits.modelListNameLengthMax,
  );
  const kept = names.slice(0, limits.modelListNamesMax);
  return { models: kept, moreModels: kept.length < names.length };
}

function shown(thrown: unknown): MessageInitShape<typeof AnswerErrorSchema> {
  const { code, message } = SignalboxError.from(thrown);
  return { code, message };
}
