import { describe, expect, test } from 'vitest';
import { type ProviderType, providerTypes } from '#shared/provider-types.ts';
import { adaptBody, mendCallIds } from './quirks.ts';

const ignore = { unsupported: () => {}, leftOut: () => {} };
const call = (id: string) => ({ id, type: 'function', function: { name: 'now', arguments: '{}' } });
const withCalls = (...ids: string[]) => ({
  model: 'm',
  messages: [
    { role: 'user', content: 'What time is it?' },
    { role: 'assistant', content: null, tool_calls: ids.map(call) },
    ...ids.map((id) => ({ role: 'tool', tool_call_id: id, content: 'noon' })),
  ],
});
type Messages = { readonly messages: readonly Record<string, unknown>[] };

describe('ids of tool calls', () => {
  const quirks = { toolCallIds: 'nine-alphanumerics' } as const;
  const idsIn = (body: unknown) =>
    (body as Messages).messages.flatMap(({ tool_calls: calls, tool_call_id: id }) => [
      ...((calls as { id: string }[] | undefined) ?? []).map((one) => one.id),
      ...(id === undefined ? [] : [id as string]),
    ]);

  test('are exchanged for what the host takes, the same one for call and result', () => {
    const body = adaptBody(withCalls('call_abc-123', 'toolu_01XYZ', 'good12345'), quirks, ignore);
    const ids = idsIn(body);
    expect(ids.every((id) => /^[a-zA-Z0-9]{9}$/.test(id))).toBe(true);
    expect(ids.slice(0, 3)).toEqual(ids.slice(3));
    expect(new Set(ids).size).toBe(3);
    expect(ids[2]).toBe('good12345');
  });

  test('are the same from request to request, as nobody remembers them', () => {
    const once = idsIn(adaptBody(withCalls('call_1', 'call_2'), quirks, ignore));
    expect(idsIn(adaptBody(withCalls('call_1', 'call_2'), quirks, ignore))).toEqual(once);
  });

  test('do not collide', () => {
    const ids = Array.from({ length: 5000 }, (_, index) => `call_${index}`);
    const exchanged = idsIn(adaptBody(withCalls(...ids), quirks, ignore));
    expect(new Set(exchanged).size).toBe(5000);
  });

  test('of a body that passes are mended where another model made them, and only there', () => {
    const bytes = (value: object) => Buffer.from(JSON.stringify(value));
    expect(mendCallIds(bytes(withCalls('good12345')), quirks)).toBeUndefined();
    expect(mendCallIds(bytes({ model: 'm', messages: [] }), quirks)).toBeUndefined();
    expect(mendCallIds(bytes(withCalls('call_1')), {})).toBeUndefined();
    const mended = JSON.parse(mendCallIds(bytes({ ...withCalls('call_1'), more: [1] }), quirks)!.toString());
    expect(mended).toMatchObject({ model: 'm', more: [1] });
    expect(idsIn(mended)[0]).toMatch(/^[a-zA-Z0-9]{9}$/);
    expect(idsIn(mended)[0]).toBe(idsIn(mended)[1]);
  });

  test('are no reason to fail over a body that is not what it should be', () => {
    for (const odd of [[1, '"tool_call_id"'], { messages: [null, { tool_call_id: 5, tool_calls: ['x'] }] }]) {
      expect(mendCallIds(Buffer.from(JSON.stringify(odd)), quirks)).toBeUndefined();
    }
  });
});

test('reasoning of earlier turns goes back where the host takes it, under its name', () => {
  const body = { messages: [{ role: 'assistant', content: 'Yes', reasoning_content: 'Hm.' }] };
  const first = (quirks: Parameters<typeof adaptBody>[1]) =>
    (adaptBody(body, quirks, ignore) as Messages).messages[0];
  expect(first({})).toEqual({ role: 'assistant', content: 'Yes' });
  expect(first({ reasoningField: 'reasoning' })).toEqual({
    role: 'assistant',
    content: 'Yes',
    reasoning: 'Hm.',
  });
  expect(first({ reasoningField: 'reasoning_content' })).toEqual(body.messages[0]);
});

test('signatures of tool calls go back only where the host takes them', () => {
  const signed = { ...call('c'), extra_content: { google: { thought_signature: 's' } } };
  const body = { messages: [{ role: 'assistant', tool_calls: [signed] }] };
  expect(adaptBody(body, {}, ignore)).toEqual({ messages: [{ role: 'assistant', tool_calls: [call('c')] }] });
  expect(adaptBody(body, { callSignatures: true }, ignore)).toEqual(body);
});

test('developers are operators where the host knows no developers', () => {
  const body = { messages: [{ role: 'developer', content: 'Be brief' }] };
  expect(adaptBody(body, {}, ignore)).toEqual({ messages: [{ role: 'system', content: 'Be brief' }] });
  expect(adaptBody(body, { developerRole: true }, ignore)).toEqual(body);
});

test('fields have the host’s names, and those it lacks are refused or, where they are hints, left out', () => {
  const body = { messages: [], seed: 7, user: 'u', logprobs: true, top_logprobs: 2, temperature: 1 };
  const heard: string[] = [];
  const adapted = adaptBody(
    body,
    { renames: { seed: 'random_seed' }, lacks: ['user', 'logprobs', 'top_logprobs', 'verbosity'] },
    {
      unsupported: (field) => heard.push(`refused ${field}`),
      leftOut: (field) => heard.push(`left ${field}`),
    },
  );
  expect(adapted).toEqual({ messages: [], random_seed: 7, temperature: 1 });
  expect(heard).toEqual(['left endUser', 'refused logprobs', 'refused logprobs']);
});

describe('the table of vendors', () => {
  const rows = Object.entries<ProviderType>(providerTypes);

  test('names no model pattern and no variable twice', () => {
    const patterns = rows.flatMap(([, { modelPatterns }]) => modelPatterns);
    const variables = rows.flatMap(([, { environmentKey = [] }]) => environmentKey);
    expect(patterns).toEqual([...new Set(patterns)]);
    expect(variables).toEqual([...new Set(variables)]);
  });

  test.each(rows)('%s has an address that can be called', (_, { baseUrl }) => {
    if (baseUrl === undefined) return;
    const { protocol, hostname, search, hash } = new URL(baseUrl);
    expect([search, hash, baseUrl.endsWith('/')]).toEqual(['', '', false]);
    if (hostname !== '127.0.0.1') expect(protocol).toBe('https:');
  });
});
