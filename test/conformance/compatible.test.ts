// Hosts that speak OpenAI's API, each as its row has it: that one row is all a new one needs, and that what real ones were sent
// passes through theirs unchanged. The recordings are not part of this project: point RECORDINGS_DIR at a folder with
// `<provider>/chat_completions[-stream]/*.json` to run the second half.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openaiChat } from '#data-plane/dialects/openai-chat/index.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { foldTurn } from '#data-plane/turn/fold.ts';
import { checkTurn } from '#data-plane/turn/grammar.ts';
import { inputTotal, outputTotal } from '#data-plane/turn/usage.ts';
import { type ProviderType, type ProviderTypeName, providerTypes } from '#shared/provider-types.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { answers, areMissing, load } from './recordings.ts';

/** A host that nobody has heard of: everything it needs is in these lines. */
const newHost: ProviderType = {
  family: 'openai',
  needsKey: false,
  modelPatterns: [],
  baseUrl: 'https://api.example.com/v1',
  usageUnasked: true,
  toolCallIds: 'nine-alphanumerics',
  renames: { seed: 'random_seed' },
};

describe('a host that is one row', () => {
  let fake: FakeProvider;
  let gateway: TestGateway;

  beforeAll(async () => {
    fake = await startFakeProvider({ behaviour: 'usage-on-finish' });
    const provider = providerOf('new', { kind: compatible('new-host', newHost), baseUrl: fake.baseUrl });
    gateway = await startGateway({
      snapshot: snapshotOf({
        deployments: [deploymentOf('ok', provider), deploymentOf('tool-call', provider)],
        keys: { [goodKey]: principalOf('key') },
      }),
    });
  });

  afterAll(async () => {
    await gateway?.stop();
    await fake?.stop();
  });

  const sent = () => JSON.parse(fake.requests().at(-1)!.body.toString());

  test('answers clients of chat completions, streamed and not', async () => {
    const client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'Hi' }];
    const whole = await client.chat.completions.create({ model: 'ok', messages });
    expect(whole.choices[0]!.message.content).toBe('word1 word2 word3 word4 word5 ');
    const stream = client.chat.completions.stream({ model: 'ok', messages });
    expect((await stream.finalChatCompletion()).choices[0]!.finish_reason).toBe('stop');
    expect(sent()).not.toHaveProperty('stream_options');
    expect(gateway.ledger.entries.at(-1)!.settlements[0]!.usage).toMatchObject({ output: 5 });
  });

  test('answers clients of messages, in its own words', async () => {
    const client = new Anthropic({ apiKey: goodKey, baseURL: gateway.url, maxRetries: 0 });
    const answer = await client.messages.create({
      model: 'ok',
      max_tokens: 9,
      messages: [
        { role: 'user', content: 'What time is it?' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_01', name: 'now', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_01', content: 'noon' }] },
      ],
    });
    expect(answer.content[0]).toMatchObject({ type: 'text' });
    const [, { tool_calls: calls }, { tool_call_id: id }] = sent().messages;
    expect(id).toMatch(/^[a-zA-Z0-9]{9}$/);
    expect(calls[0].id).toBe(id);
    expect(sent().max_tokens).toBe(9);
  });

  test('gets ids it takes from clients of its own API too, and nothing else changed', async () => {
    const client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const call = { id: 'call_1', type: 'function' as const, function: { name: 'now', arguments: '{}' } };
    const messages = [
      { role: 'user' as const, content: 'What time is it?' },
      { role: 'assistant' as const, tool_calls: [call] },
      { role: 'tool' as const, tool_call_id: 'call_1', content: 'noon' },
    ];
    await client.chat.completions.create({ model: 'ok', messages, seed: 7 });
    const id = sent().messages[2].tool_call_id;
    expect(id).toMatch(/^[a-zA-Z0-9]{9}$/);
    expect(sent()).toEqual({
      model: 'ok',
      messages: [
        messages[0],
        { ...messages[1], tool_calls: [{ ...call, id }] },
        { ...messages[2], tool_call_id: id },
      ],
      seed: 7,
    });
  });
});

const hosts = [
  'openai',
  'groq',
  'mistral',
  'deepseek',
  'openrouter',
  'xai',
] as const satisfies ProviderTypeName[];

const recorded = (api: string) =>
  hosts.flatMap((host) => load(`${host}/${api}`).map((recording) => ({ host, ...recording })));
const whole = recorded('chat_completions');
const streams = recorded('chat_completions-stream');

describe.skipIf(areMissing)('recorded exchanges', () => {
  test('are there', () => {
    expect(new Set([...whole, ...streams].map(({ host }) => host)).size).toBe(hosts.length);
  });

  test.each([...whole, ...streams])('$name is sent as it was', ({ host, request }) => {
    const row: ProviderType = providerTypes[host];
    const [endpoint] = compatible(host, row).turns(String(request.model));
    const body = Buffer.from(JSON.stringify(request));
    expect(endpoint!.mend?.(body)).toBeUndefined();
    const target = { ...endpoint!, model: String(request.model) };
    const spliced = Buffer.concat([...openaiChat.splice(openaiChat.peek(body), target)]);
    const { stream_options: asked, ...others } = request;
    const isAsked = request.stream === true && row.usageUnasked !== true;
    const options = isAsked ? { ...(asked as object | undefined), include_usage: true } : undefined;
    expect(JSON.parse(spliced.toString())).toEqual(
      options === undefined ? others : { ...others, stream_options: options },
    );
  });

  // What a client of another API would have had to say to ask the same.
  test.each([...whole, ...streams])('$name can be asked for from elsewhere', ({ host, request }) => {
    const row: ProviderType = providerTypes[host];
    const [endpoint] = compatible(host, row).turns(String(request.model));
    const heard = { unsupported: () => {}, leftOut: () => {} };
    const decoded = openaiChat.decode(openaiChat.peek(Buffer.from(JSON.stringify(request))));
    const encoded = openaiChat.encode(decoded, { ...endpoint!, ...heard });
    const adapted = JSON.parse(JSON.stringify(endpoint!.adapt!(encoded, heard)));
    const roles = (body: Record<string, unknown>) =>
      (body.messages as { role: string }[]).map(({ role }) => role);
    const expected = roles(request).map((role) =>
      row.developerRole ? role : role.replace('developer', 'system'),
    );
    expect(roles(adapted)).toEqual(expected);
    expect(adapted.model).toBe(request.model);
  });

  test.each(answers(whole))('$name adds up', ({ bytes }) => {
    const { usage, rawUsage, error } = foldTurn(checkTurn(openaiChat.unfold(bytes)));
    if (error !== undefined) return;
    const counted = JSON.parse(rawUsage) as { total_tokens: number };
    expect(inputTotal(usage!) + outputTotal(usage!)).toBe(counted.total_tokens);
  });
});
