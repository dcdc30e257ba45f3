// GET /v1/models and /v1/models/{id}: what this key may ask for by name, routes and aliases included. Names that are
// only addressed (`provider/model`) or claimed by a pattern are not listed: there is no list of them. OpenAI, Anthropic and Google
// have different lists, and may be asked for them at the same path; which one a client reads is told by headers that only the
// clients of one send. At /v1beta/models there is Google's alone.
import type { IncomingHttpHeaders } from 'node:http';
import { SignalboxError } from '#shared/errors.ts';
import type { ClientDialectName } from '../dialects/dialect.ts';
import type { Principal, Snapshot } from '../snapshot/snapshot.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { queryOf } from './headers.ts';
import type { PathParameters } from './router.ts';

interface ListedModel {
  readonly id: string;
  readonly owner: string;
}

/** Clients want a time here; when a vendor made a model is not known, and a changing one would defeat caches. */
const CREATED_MS = Date.UTC(2025, 0, 1);
const OURS = 'signalbox';

const PAGE_MODELS_DEFAULT = 20;
const PAGE_MODELS_MAX = 1000;

const lists = new WeakMap<Snapshot, readonly ListedModel[]>();

/** Anthropic's clients name the version of its API in every request; those in a browser, or of a beta, name that too. */
export function modelsDialect(headers: IncomingHttpHeaders): ClientDialectName {
  const isAnthropic =
    headers['anthropic-version'] !== undefined ||
    (headers['x-api-key'] !== undefined &&
      Object.keys(headers).some((header) => header.startsWith('anthropic-')));
  if (isAnthropic) return 'anthropic-messages';
  return headers['x-goog-api-key'] === undefined ? 'openai-chat' : 'gemini';
}

export function listModels(
  _context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
): void {
  const models = allModels(snapshot).filter(({ id }) => principal.mayUse(id));
  if (exchange.dialect === 'anthropic-messages') {
    exchange.answerJson(200, anthropicPage(models, queryOf(exchange.request.url ?? '')));
  } else if (exchange.dialect === 'gemini') exchange.answerJson(200, { models: models.map(asGemini) });
  else exchange.answerJson(200, { object: 'list', data: models.map(asOpenai) });
}

export function showModel(
  _context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
  parameters: PathParameters,
): void {
  const model = findModel(snapshot, principal, decode(parameters.id!));
  exchange.answerJson(200, (shapes[exchange.dialect] ?? asOpenai)(model));
}

function findModel(snapshot: Snapshot, principal: Principal, id: string): ListedModel {
  const found = allModels(snapshot).find((model) => model.id === id);
  if (found && principal.mayUse(found.id)) return found;
  throw new SignalboxError(
    'model_not_found',
    `The model "${id}" does not exist here, or this key may not use it. GET /v1/models lists those it may use.`,
    { param: 'model' },
  );
}

function asOpenai({ id, owner }: ListedModel) {
  return { id, object: 'model', created: CREATED_MS / 1000, owned_by: owner };
}

function asAnthropic({ id }: ListedModel) {
  return { type: 'model', id, display_name: id, created_at: new Date(CREATED_MS).toISOString() };
}

/** How long prompts and answers may be is not known here, so nothing is said of it. */
function asGemini({ id }: ListedModel) {
  return {
    name: `models/${id}`,
    version: '1',
    displayName: id,
    description: '',
    supportedGenerationMethods: ['generateContent', 'streamGenerateContent', 'countTokens'],
  };
}

const shapes: Readonly<Partial<Record<ClientDialectName, (model: ListedModel) => object>>> = {
  'anthropic-messages': asAnthropic,
  gemini: asGemini,
};

/** The models behind `after_id`, or those before `before_id`, as many as asked for. */
function anthropicPage(models: readonly ListedModel[], query: URLSearchParams): object {
  const limit = readLimit(query.get('limit'));
  const [after, before] = [query.get('after_id'), query.get('before_id')];
  if (after !== null && before !== null) {
    throw refused('before_id', 'left out where "after_id" is given');
  }
  const end = before === null ? models.length : indexOf(models, before, 'before_id');
  const start = after === null ? 0 : indexOf(models, after, 'after_id') + 1;
  const page =
    before === null ? models.slice(start, start + limit) : models.slice(Math.max(end - limit, 0), end);
  return {
    data: page.map(asAnthropic),
    has_more: before === null ? start + page.length < models.length : end > page.length,
    first_id: page.at(0)?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  };
}

function readLimit(text: string | null): number {
  if (text === null) return PAGE_MODELS_DEFAULT;
  const limit = Number(text);
  if (/^\d{1,4}$/.test(text) && limit >= 1 && limit <= PAGE_MODELS_MAX) return limit;
  throw refused('limit', `a whole number from 1 to ${PAGE_MODELS_MAX}`);
}

function indexOf(models: readonly ListedModel[], id: string, param: string): number {
  const index = models.findIndex((model) => model.id === id);
  if (index >= 0) return index;
  throw refused(param, 'the id of a model in this list');
}

function refused(param: string, expected: string): SignalboxError {
  return new SignalboxError('invalid_request', `"${param}" in the query has to be ${expected}.`, { param });
}

/** Sorted by name, so that the order never depends on how the configuration arrived. */
function allModels(snapshot: Snapshot): readonly ListedModel[] {
  const known = lists.get(snapshot);
  if (known) return known;
  const owners = new Map<string, string>();
  for (const [name, deployments] of snapshot.models) owners.set(name, deployments[0]?.provider.name ?? OURS);
  for (const name of snapshot.routes.keys()) owners.set(name, OURS);
  for (const name of snapshot.aliases.keys()) owners.set(name, OURS);
  const list = [...owners]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([id, owner]): ListedModel => ({ id, owner }));
  lists.set(snapshot, list);
  return list;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new SignalboxError(
      'invalid_request',
      `The model in the path is not valid percent-encoding: "${segment}".`,
    );
  }
}
