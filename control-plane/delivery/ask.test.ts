import { create } from '@bufbuild/protobuf';
import { expect, test, vi } from 'vitest';
import { AnswerSchema, HelloSchema, Question } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { limits } from '#shared/limits.ts';
import { type AskedNode, askNode, type NodeQuestion, PendingQuestions } from './ask.ts';

const question: NodeQuestion = { provider: 'openai', question: Question.CHECK, revision: 5n };

function node(nodeId: string, sketch: Partial<AskedNode> & { answers?: boolean } = {}): AskedNode {
  const { answers = true, ...more } = sketch;
  return {
    nodeId,
    hello: create(HelloSchema, { nodeId, region: 'eu', answersQuestions: answers }),
    appliedRevision: 5n,
    questionCount: 0,
    ask: async () => create(AnswerSchema, { models: [`asked by ${nodeId}`] }),
    ...more,
  };
}

async function whoAnswers(nodes: readonly AskedNode[], more: Partial<NodeQuestion> = {}) {
  const { node: asked, answer } = await askNode(() => nodes, { ...question, ...more });
  expect(answer.models).toEqual([`asked by ${asked.id}`]);
  return asked;
}

test('the node with the least to do is asked', async () => {
  const nodes = [
    node('a', { questionCount: 2 }),
    node('b', { questionCount: 1 }),
    node('c', { questionCount: 3 }),
  ];
  expect(await whoAnswers(nodes)).toEqual({ id: 'b', region: 'eu' });
});

test('a certain node is asked where one is named', async () => {
  const nodes = [node('a'), node('b', { questionCount: 3 })];
  expect(await whoAnswers(nodes, { nodeId: 'b' })).toMatchObject({ id: 'b' });
  await expect(whoAnswers(nodes, { nodeId: 'z' })).rejects.toMatchObject({
    code: 'no_data_plane',
    message: expect.stringContaining('"z"'),
  });
});

test('a node of an older build, which would not answer, is not asked', async () => {
  expect(await whoAnswers([node('old', { answers: false }), node('new')])).toMatchObject({ id: 'new' });
  await expect(whoAnswers([node('old', { answers: false })])).rejects.toMatchObject({
    code: 'no_data_plane',
  });
});

test('a request is explained by a node that can', async () => {
  const able = node('able', { hello: create(HelloSchema, { nodeId: 'able', explainsRequests: true }) });
  const explaining = { question: Question.EXPLAIN };
  expect(await whoAnswers([node('older'), able], explaining)).toMatchObject({ id: 'able' });
  await expect(whoAnswers([node('older')], explaining)).rejects.toMatchObject({ code: 'no_data_plane' });
});

test('without any node that is said', async () => {
  await expect(whoAnswers([])).rejects.toMatchObject({ code: 'no_data_plane' });
});

test('a node that does not run the change yet is waited for', async () => {
  const nodes = [node('a', { appliedRevision: 4n })];
  const answered = whoAnswers(nodes);
  nodes[0] = node('a');
  expect(await answered).toMatchObject({ id: 'a' });
});

test('one that never runs it is not waited for for ever', async () => {
  vi.useFakeTimers();
  try {
    const asked = expect(whoAnswers([node('a', { appliedRevision: 4n })])).rejects.toMatchObject({
      code: 'no_data_plane',
      message: expect.stringContaining('revision 5'),
    });
    await vi.advanceTimersByTimeAsync(10_000);
    await asked;
  } finally {
    vi.useRealTimers();
  }
});

test('nodes that are all busy are left in peace', async () => {
  const nodes = [node('a', { questionCount: limits.asksPerNodeMax })];
  await expect(whoAnswers(nodes)).rejects.toMatchObject({ code: 'overloaded' });
});

test('an answer reaches whoever asked under its number, whatever the order', async () => {
  const questions = new PendingQuestions();
  const [first, second] = [questions.add(), questions.add()];
  expect(questions.size).toBe(2);
  questions.settle(create(AnswerSchema, { id: second.id, models: ['second'] }));
  questions.settle(create(AnswerSchema, { id: first.id, models: ['first'] }));
  questions.settle(create(AnswerSchema, { id: 99n }));
  expect((await first.answer).models).toEqual(['first']);
  expect((await second.answer).models).toEqual(['second']);
  expect(questions.size).toBe(0);
});

test('whoever waits is told when the stream ends, and when nothing comes', async () => {
  const questions = new PendingQuestions();
  const left = questions.add();
  questions.abandon();
  await expect(left.answer).rejects.toMatchObject({ code: 'no_data_plane' });
  vi.useFakeTimers();
  try {
    const late = expect(questions.add().answer).rejects.toThrow('did not answer in time');
    await vi.advanceTimersByTimeAsync(limits.askMs * 2);
    await late;
  } finally {
    vi.useRealTimers();
  }
  expect(questions.size).toBe(0);
});
