// A request for a response as a task. To a provider that kept the answers it refers to it goes as it is; to every other the conversation
// goes in their place. On its way back the answer is kept before its last byte leaves, so that whoever has read it can go on
// from it.
import { limits } from '#shared/limits.ts';
import type { ClientDialect, RequestHead } from '../dialects/dialect.ts';
import { type Progress, renderStreamError } from '../dialects/openai-responses/errors.ts';
import { openaiResponses } from '../dialects/openai-responses/index.ts';
import { forStrangers, keptItems, withoutForeignReasoning } from '../dialects/openai-responses/kept-items.ts';
import { ResponseWriter, render } from '../dialects/openai-responses/render.ts';
import { type InputEdits, unkept, withEdits } from '../dialects/openai-responses/request-head.ts';
import { inspect, ResponseTap } from '../dialects/openai-responses/tap.ts';
import { isObject, objectsIn, textOf } from '../json/values.ts';
import type { Task } from '../passage/task.ts';
import { type TurnAsked, turnPassage } from '../passage/turn-passage.ts';
import { type TaskIdentity, turnTask } from '../passage/turn-task.ts';
import type { TurnEndpoint } from '../providers/provider.ts';
import { writeRecord } from '../responses/record.ts';
import type { ResponseStore } from '../responses/store.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import { type ResponsesRequest, readResponsesRequest, wholeConversation } from './responses-request.ts';

/** Throws `previous_response_not_found`, `response_store_unavailable`, or `invalid_request` for what cannot be kept or found. */
export async function responsesTask(
  store: ResponseStore,
  identity: TaskIdentity,
  asked: TurnAsked,
): Promise<Task> {
  const request = await readResponsesRequest(store, identity.keyId, asked.head);
  return taskFor(store, identity, asked, request);
}

function taskFor(
  store: ResponseStore,
  identity: TaskIdentity,
  asked: TurnAsked,
  request: ResponsesRequest,
): Task {
  const session = new ResponsesSession(store, identity.keyId, asked, request);
  return {
    ...turnTask(identity, asked),
    passageTo: (deployment) => turnPassage(session.askedAt(deployment), deployment),
    streamError: (error) => openaiResponses.framing.write(renderStreamError(error, session.progress)),
    copy: () => {
      const copied = { ...asked, head: unkept(asked.head), dropsUnsupported: true };
      return { ...taskFor(store, identity, copied, { ...request, isKept: false }), isShadow: true };
    },
  };
}

class ResponsesSession {
  readonly #store: ResponseStore;
  readonly #keyId: string;
  readonly #asked: TurnAsked;
  readonly #request: ResponsesRequest;
  /** Whatever makes or watches the answer that is under way. */
  #source: { readonly progress: Progress } | undefined;

  constructor(store: ResponseStore, keyId: string, asked: TurnAsked, request: ResponsesRequest) {
    this.#store = store;
    this.#keyId = keyId;
    this.#asked = asked;
    this.#request = request;
  }

  get progress(): Progress | undefined {
    return this.#source?.progress;
  }

  askedAt(deployment: Deployment): TurnAsked {
    const { provider, upstreamModel } = deployment;
    const endpoint = provider.kind
      .turns(upstreamModel)
      .find(({ dialect }) => dialect === openaiResponses.name);
    const head = endpoint ? this.#headFor(deployment, endpoint) : this.#translatedHead();
    const keptBy = endpoint?.keepsAnswers === true ? provider.name : '';
    return { ...this.#asked, head, dialect: this.#dialect(head, keptBy) };
  }

  /** For a provider of the same dialect: untouched wherever it knows what is meant. */
  #headFor({ provider }: Deployment, endpoint: TurnEndpoint): RequestHead {
    const { head } = this.#asked;
    const { conversation, referred, written, isKept } = this.#request;
    // With several keys the next call may be made for another account.
    const isSameAccount = provider.keys.length <= 1;
    const keptHere = (keptBy: string): boolean =>
      endpoint.keepsAnswers === true && isSameAccount && keptBy === provider.name;
    const last = conversation.at(-1);
    const isKnown =
      (last === undefined || keptHere(last.keptBy)) && referred.every((record) => keptHere(record.keptBy));
    const own = withoutForeignReasoning(written);
    const edits: InputEdits = {
      ...(isKnown
        ? own === written
          ? {}
          : { input: own }
        : { input: this.#forStranger(provider.name), keepsPrevious: false }),
      // A provider that keeps nothing may refuse to be asked to.
      ...(isKept && endpoint.keepsAnswers !== true ? { store: false } : {}),
    };
    return withEdits(head, edits);
  }

  #forStranger(providerName: string): readonly unknown[] {
    const { conversation, referred, items } = this.#request;
    const isOwn = [...conversation, ...referred].every(({ keptBy }) => keptBy === providerName);
    const earlier = wholeConversation({ ...this.#request, items: [] });
    return [
      ...forStrangers(earlier, isOwn),
      ...withoutForeignReasoning(referred.length === 0 ? items : forStrangers(items, isOwn)),
    ];
  }

  #translatedHead(): RequestHead {
    const { conversation, referred } = this.#request;
    const isSelfContained = conversation.length === 0 && referred.length === 0;
    return isSelfContained
      ? this.#asked.head
      : withEdits(this.#asked.head, { input: wholeConversation(this.#request) });
  }

  /** The dialect as it is, with an ear for the answer. */
  #dialect(head: RequestHead, keptBy: string): ClientDialect {
    const { clock } = this.#asked;
    const keep = (response: string): void => this.#keep(response, keptBy);
    return {
      ...openaiResponses,
      // What it went on from stands in the input.
      untranslatable: (request) =>
        openaiResponses.untranslatable(request).filter((field) => field !== 'previous_response_id'),
      writer: (options) => {
        const writer = new ResponseWriter({
          ...options,
          clock,
          onFinal: (final) => keep(JSON.stringify(final)),
        });
        this.#source = writer;
        return writer;
      },
      render: (events, request) => {
        const response = render(events, request);
        keep(JSON.stringify(response));
        return response;
      },
      tap: () => {
        const tap = new ResponseTap(keep);
        this.#source = tap;
        return tap;
      },
      inspect: (body) => {
        const report = inspect(body);
        // A whole answer to a request for a stream is not passed on.
        if (report.error === undefined && !head.stream) keep(body.toString());
        return report;
      },
    };
  }

  #keep(text: string, keptBy: string): void {
    if (!this.#request.isKept) return;
    const response: unknown = JSON.parse(text);
    const id = isObject(response) ? textOf(response.id) : '';
    if (!isObject(response) || id === '') return;
    const { conversation, items } = this.#request;
    const isLong = conversation.length >= limits.responseChainMax;
    const input = keptItems(isLong ? wholeConversation(this.#request) : items);
    const last = conversation.at(-1);
    const head = {
      id,
      keptBy,
      ancestors: isLong ? [] : conversation.map((record) => record.id),
      earlierBytes: isLong ? 0 : (last?.conversationBytes ?? 0),
    };
    const itemIds = [...input, ...objectsIn(response.output)].flatMap((item) => textOf(item.id) || []);
    this.#store.put(this.#keyId, { id, itemIds, document: writeRecord(head, JSON.stringify(input), text) });
  }
}
