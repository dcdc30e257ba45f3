// Where a request would go, found out by a data plane, because each knows only there how those it asks are doing. Nothing is sent to any
// provider. The data plane that answers runs the newest configuration, so that a change can be looked at as soon as it is made.
import { type Explanation, Question, RequestFeature } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Delivery } from '../delivery/server.ts';
import { type Db, reachingDatabase } from '../store/database.ts';
import { listRevisions } from '../store/revisions.ts';
import { errorOf } from './provider-check.ts';

export interface DescribedRequest {
  readonly model: string;
  /** An operation or a dialect; chat completions when undefined. */
  readonly api: string | undefined;
  readonly keyId: string | undefined;
  readonly isStream: boolean | undefined;
  /** As a client would send it; made up from the features when undefined. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly features: readonly FeatureName[];
  readonly inputTokens: number | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

export type FeatureName = keyof typeof features;

export interface ExplainedAt {
  readonly node: { readonly id: string; readonly region: string };
  readonly explanation: Explanation;
}

/** Rejects with what the request's client would be told at once, or why nobody can say. */
export type RequestExplainer = (
  request: DescribedRequest,
  nodeId: string | undefined,
) => Promise<ExplainedAt>;

const features = {
  tools: RequestFeature.TOOLS,
  vision: RequestFeature.VISION,
  json: RequestFeature.JSON,
} as const;

export function requestExplainer({
  db,
  delivery,
}: {
  readonly db: Db;
  readonly delivery: Pick<Delivery, 'ask'>;
}): RequestExplainer {
  return async (described, nodeId) => {
    const request = messageOf(described);
    const [newest] = await reachingDatabase(() => listRevisions(db, { before: undefined, limit: 1 }));
    const revision = BigInt(newest?.revision ?? 0);
    const { node, answer } = await delivery.ask({ question: Question.EXPLAIN, request, revision, nodeId });
    if (answer.error !== undefined) throw errorOf(answer.error);
    if (answer.explanation !== undefined) return { node, explanation: answer.explanation };
    throw new SignalboxError(
      'no_data_plane',
      'The data plane that was asked had no answer to that. Try again.',
    );
  };
}

function messageOf({ body, isStream, ...request }: DescribedRequest) {
  const text = body === undefined ? '' : JSON.stringify(body);
  if (Buffer.byteLength(text) > limits.explainBodyBytesMax) {
    throw new SignalboxError(
      'request_too_large',
      `The field "body" is larger than ${limits.explainBodyBytesMax} bytes. Shorten its texts and say with "input_tokens" how many tokens there are.`,
      { param: 'body' },
    );
  }
  return {
    model: request.model,
    api: request.api ?? '',
    keyId: request.keyId ?? '',
    stream: isStream ?? body?.stream === true,
    body: Buffer.from(text),
    features: request.features.map((name) => features[name]),
    inputTokens: BigInt(request.inputTokens ?? 0),
    metadata: { ...request.metadata },
    tags: [...request.tags],
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
    ),
  };
}
