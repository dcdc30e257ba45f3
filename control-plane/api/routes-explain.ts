// Where a request would go, and why, without sending it: asked through the admin API, found out by a data plane.
import { z } from 'zod';
import type {
  AnswerError,
  ExplainedCandidate,
  ExplainedKey,
  ExplainedVitals,
  SecondAttempt,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { limits } from '#shared/limits.ts';
import type { DescribedRequest, ExplainedAt, FeatureName, RequestExplainer } from '../services/explain.ts';
import { errorOf, rounded } from '../services/provider-check.ts';
import type { ApiPlugin } from './plugin.ts';

const NAME_LENGTH_MAX = 1024;
const API_LENGTH_MAX = 64;
/** More than any model takes. */
const INPUT_TOKENS_MAX = 1_000_000_000;
const HEADER_NAME = /^[A-Za-z0-9-]{1,128}$/;
const HEADER_LENGTH_MAX = 1024;
const HEADERS_MAX = 32;
const featureNames: readonly FeatureName[] = ['tools', 'vision', 'json'];

const query = z.strictObject({
  node: z
    .string()
    .min(1)
    .max(limits.nameLengthMax)
    .optional()
    .describe('Id of the data plane that shall answer; any that is connected when left out.'),
});

const requestSchema = z
  .strictObject({
    model: z.string().min(1).max(NAME_LENGTH_MAX).describe('As a client would write it.'),
    api: z
      .string()
      .min(1)
      .max(API_LENGTH_MAX)
      .optional()
      .describe(
        'An operation (`chat`, `messages`, `embeddings`, …) or a dialect (`anthropic-messages`, …); `chat` when left out.',
      ),
    key_id: z
      .string()
      .min(1)
      .max(limits.nameLengthMax)
      .optional()
      .describe('Whose request it is; somebody who may use everything when left out.'),
    stream: z.boolean().optional(),
    body: z
      .record(z.string(), z.unknown())
      .optional()
      .describe(
        `The request as a client would send it, of at most ${limits.explainBodyBytesMax} bytes. Its model is the one above. Left out, one is made up from what follows.`,
      ),
    input_tokens: z
      .int()
      .min(1)
      .max(INPUT_TOKENS_MAX)
      .optional()
      .describe('How long the prompt is; estimated from the body when left out.'),
    tools: z.boolean().optional().describe('Whether the model shall call tools.'),
    vision: z.boolean().optional().describe('Whether there is a picture in the prompt.'),
    json: z.boolean().optional().describe('Whether the answer shall be JSON.'),
    metadata: z
      .record(
        z.string().min(1).max(limits.requestMetadataNameLengthMax),
        z.string().max(limits.metadataValueLengthMax),
      )
      .optional(),
    tags: z.array(z.string().min(1).max(limits.requestTagLengthMax)).max(limits.requestTagsMax).optional(),
    headers: z
      .record(z.string().regex(HEADER_NAME, 'must be a header name'), z.string().max(HEADER_LENGTH_MAX))
      .refine(
        (headers) => Object.keys(headers).length <= HEADERS_MAX,
        `must be at most ${HEADERS_MAX} headers`,
      )
      .optional()
      .describe('Headers of the request, for rules that look at them.'),
  })
  .superRefine((request, issues) => {
    if (request.body === undefined) return;
    for (const name of featureNames.filter((feature) => request[feature] !== undefined)) {
      issues.addIssue({ code: 'custom', path: [name], message: 'says the body itself; leave it out' });
    }
  });

const failureSchema = z.object({
  code: z.string().describe('One of the error codes.'),
  message: z.string(),
});
const share = z.number().min(0).max(1);
const milliseconds = z.number();
const vitalsSchema = z
  .object({
    seen: z.number().describe('How much was seen lately; 0 when nothing is known.'),
    success_share: share,
    latency_ms: milliseconds.nullable(),
    first_byte_ms: milliseconds.nullable(),
    in_flight: z.int(),
    breaker: z.string().describe('`closed`, `open` or `half-open`.'),
    resting_ms: milliseconds.describe('For how long it is left alone.'),
    headroom: share.nullable().describe('What is left of its limits, as the provider says.'),
  })
  .describe('As the data plane that answers sees it.');
const keySchema = z.object({
  id: z.string(),
  state: z.string().describe('`free`, `resting` or `at_limit`.'),
  wait_ms: milliseconds.describe('Until it is free.'),
  chosen: z.boolean().describe('Whether it is the one that would be used.'),
  success_share: share,
  in_flight: z.int(),
  headroom: share.nullable(),
});
const candidateSchema = z.object({
  deployment: z.string(),
  provider: z.string(),
  model: z.string().describe('As the provider calls it.'),
  via: z.string().describe('The member or fallback that led here.'),
  strategy: z.string(),
  score: z.number().nullable().describe('Lower is better; the unit is the strategy’s own.'),
  why: z.string().describe('The score in words.'),
  turn: z
    .int()
    .nullable()
    .describe('The place in which it would be asked if those before it failed; null when it would not be.'),
  passed_over: failureSchema
    .nullable()
    .describe('Why it would not be asked; with a turn: why it is only asked because nobody else is left.'),
  first_share: share.describe('How often it comes first where lots decide.'),
  timeout_ms: milliseconds,
  vitals: z.object({ deployment: vitalsSchema, provider: vitalsSchema }),
  keys: z.array(keySchema).describe(`No more than ${limits.explainKeysMax}.`),
  more_keys: z.boolean(),
});
const secondAttemptSchema = z
  .object({
    deployment: z.string().nullable().describe('Where to; null when none would be sent.'),
    after_ms: milliseconds.nullable(),
    why_not: z.string().nullable().describe('Why none would be sent.'),
  })
  .describe('What is sent beside the first attempt when that takes long.');
const explanationSchema = z
  .object({
    model: z.string(),
    steps: z
      .array(
        z.object({
          kind: z.string().describe('`alias`, `route`, `model`, `provider` or `pattern`.'),
          name: z.string(),
        }),
      )
      .describe('How the name was understood.'),
    route: z.string().nullable(),
    fallbacks: z.array(z.string()),
    rules: z.array(z.string()).describe('What rules of the route did, in words.'),
    left_out: z
      .array(z.object({ name: z.string(), why: z.string() }))
      .describe('Names that the rules left out; deployments are among the candidates.'),
    mirrors: z.array(z.string()).describe('Who would get a copy of the request.'),
    refusal: failureSchema
      .nullable()
      .describe('What the client would be told; null when somebody would be asked.'),
    candidates: z.array(candidateSchema).describe(`Best first; no more than ${limits.explainCandidatesMax}.`),
    more_candidates: z.boolean(),
    by_lot: z.boolean().describe('Whether lots decide who is asked first.'),
    attempts_max: z.int(),
    retries_left: z
      .number()
      .describe('How often this route may ask somebody else after a failure, as of now.'),
    deadline_ms: milliseconds.nullable().describe('For the whole request.'),
    second_attempt: secondAttemptSchema.nullable().describe('Null where the route makes none.'),
    revision: z.int().describe('The configuration that this is about.'),
    node: z.object({ id: z.string(), region: z.string() }).describe('The data plane that answered.'),
  })
  .meta({ id: 'RequestExplanation' });

export function routesExplainApi(explainer: RequestExplainer): ApiPlugin {
  return async function routesExplainRoutes(app) {
    app.post(
      '/routes/explain',
      {
        schema: {
          tags: ['Routes'],
          summary: 'Explain where a request would go',
          description:
            'Candidates, filters, scores and order for a request that is not sent. Answered by a connected data plane, from what it knows right now; nothing is asked of a provider and nothing is changed.',
          querystring: query,
          body: requestSchema,
          response: { 200: explanationSchema },
        },
      },
      async ({ body, query: { node } }) => show(body.model, await explainer(describeRequest(body), node)),
    );
  };
}

function describeRequest(body: z.output<typeof requestSchema>): DescribedRequest {
  return {
    model: body.model,
    api: body.api,
    keyId: body.key_id,
    isStream: body.stream,
    body: body.body,
    features: featureNames.filter((name) => body[name] === true),
    inputTokens: body.input_tokens,
    metadata: body.metadata ?? {},
    tags: body.tags ?? [],
    headers: body.headers ?? {},
  };
}

function show(model: string, { node, explanation }: ExplainedAt): z.input<typeof explanationSchema> {
  const { steps, route, refusal, candidates, deadlineMs } = explanation;
  return {
    model,
    steps: steps.map(({ kind, name }) => ({ kind, name })),
    route: route === '' ? null : route,
    fallbacks: explanation.fallbacks,
    rules: explanation.rules,
    left_out: explanation.leftOut.map(({ name, why }) => ({ name, why })),
    mirrors: explanation.mirrors,
    refusal: showFailure(refusal),
    candidates: candidates.slice(0, limits.explainCandidatesMax).map(showCandidate),
    more_candidates: explanation.moreCandidates,
    by_lot: explanation.byLot,
    attempts_max: explanation.attemptsMax,
    retries_left: rounded(explanation.retriesLeft),
    deadline_ms: deadlineMs > 0 ? rounded(deadlineMs) : null,
    second_attempt: explanation.secondAttempt ? showSecondAttempt(explanation.secondAttempt) : null,
    revision: Number(explanation.revision),
    node,
  };
}

function showSecondAttempt({
  deployment,
  afterMs,
  whyNot,
}: SecondAttempt): z.input<typeof secondAttemptSchema> {
  const isSent = deployment !== '';
  return {
    deployment: isSent ? deployment : null,
    after_ms: isSent ? rounded(afterMs) : null,
    why_not: isSent ? null : whyNot,
  };
}

function showCandidate(candidate: ExplainedCandidate): z.input<typeof candidateSchema> {
  const { deployment, provider, model, via, strategy, score, why, turn, keys } = candidate;
  return {
    deployment,
    provider,
    model,
    via,
    strategy,
    score: Number.isFinite(score) ? score : null,
    why,
    turn: turn === 0 ? null : turn,
    passed_over: showFailure(candidate.passedOver),
    first_share: shareOf(candidate.firstShare),
    timeout_ms: rounded(candidate.timeoutMs),
    vitals: {
      deployment: showVitals(candidate.deploymentVitals),
      provider: showVitals(candidate.providerVitals),
    },
    keys: keys.slice(0, limits.explainKeysMax).map(showKey),
    more_keys: candidate.moreKeys,
  };
}

function showVitals(vitals: ExplainedVitals | undefined): z.input<typeof vitalsSchema> {
  return {
    seen: rounded(vitals?.seen ?? 0),
    success_share: shareOf(vitals?.successShare ?? 1),
    latency_ms: nullable(vitals?.latencyMs, rounded),
    first_byte_ms: nullable(vitals?.firstByteMs, rounded),
    in_flight: vitals?.inFlight ?? 0,
    breaker: vitals?.breaker ?? 'closed',
    resting_ms: rounded(vitals?.restingMs ?? 0),
    headroom: nullable(vitals?.headroom, shareOf),
  };
}

function showKey({ id, state, waitMs, chosen, successShare, inFlight, headroom }: ExplainedKey) {
  return {
    id,
    state,
    wait_ms: rounded(waitMs),
    chosen,
    success_share: shareOf(successShare),
    in_flight: inFlight,
    headroom: nullable(headroom, shareOf),
  };
}

function showFailure(error: AnswerError | undefined): z.input<typeof failureSchema> | null {
  if (error === undefined) return null;
  const { code, message } = errorOf(error);
  return { code, message };
}

function nullable(value: number | undefined, shown: (value: number) => number): number | null {
  return value === undefined ? null : shown(value);
}

/** To a thousandth, whatever came over the network. */
function shareOf(value: number): number {
  return Number.isFinite(value) ? Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000 : 0;
}
