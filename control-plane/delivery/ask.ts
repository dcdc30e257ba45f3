// Questions of people that data planes answer. Each goes to one node, over the stream that is open anyway; the answer is matched by the
// question's number, and whoever waits is told when the stream ends or nothing comes. Few at a time per node, so that nobody can make a
// node busy with them.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Answer, type ExplainedRequestSchema, Question } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Connection } from './connection.ts';

export interface Asked {
  readonly question: Question;
  /** What it is about: a provider, or a request. */
  readonly provider?: string;
  readonly request?: MessageInitShape<typeof ExplainedRequestSchema>;
}

export interface NodeQuestion extends Asked {
  /** What the node has to run for its answer to be about the configuration as it is now. */
  readonly revision: bigint;
  /** Any that is connected when undefined. */
  readonly nodeId?: string | undefined;
}

export interface NodeAnswer {
  readonly node: { readonly id: string; readonly region: string };
  readonly answer: Answer;
}

/** The way there and back, and fetching a token, on top of what the node may take. */
const GRACE_MS = 12_000;
/** A change takes a few milliseconds to reach a node; one that is refused never does. */
const CATCH_UP_MS_MAX = 5_000;
const CATCH_UP_LOOK_MS = 25;

/** The questions that one node has not answered yet. */
export class PendingQuestions {
  readonly #waiting = new Map<bigint, PromiseWithResolvers<Answer>>();
  #lastId = 0n;

  get size(): number {
    return this.#waiting.size;
  }

  /** The number to ask under, and the answer to it. */
  add(): { readonly id: bigint; readonly answer: Promise<Answer> } {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting.set(id, waiting);
    const late = setTimeout(() => this.#fail(id, 'did not answer in time'), limits.askMs + GRACE_MS);
    const answer = waiting.promise.finally(() => {
      clearTimeout(late);
      this.#waiting.delete(id);
    });
    return { id, answer };
  }

  /** An answer to nothing that was asked, or that nobody waits for any more, is dropped. */
  settle(answer: Answer): void {
    this.#waiting.get(answer.id)?.resolve(answer);
  }

  /** The stream is gone. */
  abandon(): void {
    for (const id of this.#waiting.keys()) this.#fail(id, 'was disconnected before it answered');
  }

  #fail(id: bigint, what: string): void {
    this.#waiting
      .get(id)
      ?.reject(new SignalboxError('no_data_plane', `The data plane that was asked ${what}. Try again.`));
  }
}

/** What has to be known of a node's stream to ask it. */
export type AskedNode = Pick<Connection, 'nodeId' | 'hello' | 'appliedRevision' | 'questionCount' | 'ask'>;

/** Asks the node with the least to do. `connections`: those of now, each time it is called. */
export async function askNode(
  connections: () => Iterable<AskedNode>,
  question: NodeQuestion,
): Promise<NodeAnswer> {
  const connection = await findNode(connections, question);
  const { nodeId: id, hello } = connection;
  const answer = await connection.ask(question);
  return { node: { id, region: hello?.region ?? '' }, answer };
}

async function findNode(
  connections: () => Iterable<AskedNode>,
  { question, revision, nodeId }: NodeQuestion,
): Promise<AskedNode> {
  for (let waitedMs = 0; ; waitedMs += CATCH_UP_LOOK_MS) {
    const able = [...connections()].filter(
      (one) => answers(one, question) && (nodeId === undefined || one.nodeId === nodeId),
    );
    const current = able.filter((one) => one.appliedRevision >= revision);
    const [first] = current.toSorted((one, other) => one.questionCount - other.questionCount);
    if (first !== undefined) return notBusy(first);
    if (able.length === 0) throw noneConnected(nodeId);
    if (waitedMs >= CATCH_UP_MS_MAX) throw noneCurrent(revision);
    await new Promise((resolve) => setTimeout(resolve, CATCH_UP_LOOK_MS));
  }
}

/** A node of an older build does not know every question. */
function answers({ hello }: AskedNode, question: Question): boolean {
  return (question === Question.EXPLAIN ? hello?.explainsRequests : hello?.answersQuestions) === true;
}

function notBusy(connection: AskedNode): AskedNode {
  if (connection.questionCount < limits.asksPerNodeMax) return connection;
  throw new SignalboxError(
    'overloaded',
    `Every data plane is busy with ${limits.asksPerNodeMax} questions already. Try again in a moment.`,
  );
}

function noneConnected(nodeId: string | undefined): SignalboxError {
  const who = nodeId === undefined ? 'No data plane' : `The data plane "${nodeId}"`;
  return new SignalboxError(
    'no_data_plane',
    `${who} ${nodeId === undefined ? 'is' : 'is not'} connected to this control plane, and only a data plane can find this out. GET /api/v1/nodes shows which are connected, and to which replica.`,
  );
}

function noneCurrent(revision: bigint): SignalboxError {
  return new SignalboxError(
    'no_data_plane',
    `No connected data plane runs revision ${revision}, the newest that this is about. GET /api/v1/nodes shows why.`,
  );
}
