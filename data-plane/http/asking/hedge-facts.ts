// What has to be known of a request before it may be sent twice. Turns are read for it, which only happens where a route hedges; of the
// other services those are sent twice from which nothing but an answer comes, and that cost little.
import type { HedgeFacts } from '../../routing/hedging/hedge-plan.ts';
import type { Part, TurnRequest } from '../../turn/request.ts';

/** Fields of one dialect that make more of a request than a question and its answer. */
const privateFields: Readonly<
  Record<string, Pick<Partial<HedgeFacts>, 'isKept' | 'hasEffects' | 'isBound'>>
> = {
  store: { isKept: true },
  mcp_servers: { hasEffects: true },
  web_search_options: { hasEffects: true },
  container: { isBound: true },
  cachedContent: { isBound: true },
};

/** Undefined for what cannot be read here: then nobody knows what sending it twice would do. */
export function hedgeFactsOf(request: TurnRequest | undefined, isStream: boolean): HedgeFacts | undefined {
  if (request === undefined) return undefined;
  const { choices = 1, tools, messages, extras } = request;
  const said = Object.keys(privateFields).filter((field) => isSaid(extras[field]));
  const does = (fact: 'isKept' | 'hasEffects' | 'isBound'): boolean =>
    said.some((field) => privateFields[field]?.[fact] === true);
  return {
    isStream,
    choices,
    isKept: does('isKept'),
    // A tool of the vendor's own is run by the vendor.
    hasEffects: does('hasEffects') || tools.some(({ isPrivate }) => isPrivate === true),
    isBound: does('isBound') || messages.some(({ parts }) => parts.some(refersToProvider)),
  };
}

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

/** An upload, or something that only its own dialect knows and that may stand for anything kept there. */
function refersToProvider(part: Part): boolean {
  if (part.kind === 'tool-result') return part.parts.some(refersToProvider);
  return part.kind === 'private' || (part.kind === 'file' && part.fileId !== undefined);
}

/** Operations other than turns that may be asked twice, by their names. */
const repeatable: ReadonlySet<string> = new Set([
  'embeddings',
  'embed_content',
  'batch_embed_contents',
  'moderations',
  'rerank',
]);

const wholeAnswer: HedgeFacts = Object.freeze({
  isStream: false,
  choices: 1,
  isKept: false,
  hasEffects: false,
  isBound: false,
});

export function hedgeFactsOfService(operation: string): HedgeFacts | undefined {
  return repeatable.has(operation) ? wholeAnswer : undefined;
}
