import { describe, expect, test } from 'vitest';
import { peek, readStoreWords, splice, withEdits } from './request-head.ts';

const peekText = (text: string) => peek(Buffer.from(text));
const spliced = (text: string, target = { model: 'other' }) =>
  Buffer.concat([...splice(peekText(text), target)]).toString();

describe('the head of a request', () => {
  test('says what admission and the store need', () => {
    const head = peekText(
      '{"input":[{"id":"a"}],"model":"m","stream":true,"store":false,"previous_response_id":"resp_1"}',
    );
    expect(head).toMatchObject({ model: 'm', stream: true, wantsUsage: true, gateway: undefined });
    expect(readStoreWords(head)).toEqual({
      input: [{ id: 'a' }],
      store: false,
      previousResponseId: 'resp_1',
      conversation: undefined,
      background: undefined,
    });
  });

  test('is read without what was meant for the gateway', () => {
    const head = peekText('{"model":"m","x-gateway":{"tags":["a"]},"input":"Hi"}');
    expect(head.gateway).toEqual({ tags: ['a'] });
    expect(head.body.toString()).toBe('{"model":"m","input":"Hi"}');
  });

  test.each(['input', 'store', 'previous_response_id', 'conversation', 'background', 'stream', 'model'])(
    'with "%s" twice is ambiguous',
    (name) => {
      const text = `{"model":"m","input":"Hi","${name}":null,"${name}":null}`;
      expect(() => peekText(text)).toThrow(expect.objectContaining({ code: 'invalid_request', param: name }));
    },
  );

  test('without a model is refused', () => {
    expect(() => peekText('{"input":"Hi"}')).toThrow(expect.objectContaining({ param: 'model' }));
  });
});

describe('for an upstream of the same dialect', () => {
  test('only the model changes; order, spaces and unknown fields stay', () => {
    const text = '{ "x":1,\n "model" : "m", "input" :"Hi", "stream":true }';
    expect(spliced(text)).toBe('{ "x":1,\n "model" : "other", "input" :"Hi", "stream":true }');
  });

  test('the shape that a host wants is put on', () => {
    const target = { model: 'other', omitsModel: true, adds: { v: 1 } };
    expect(JSON.parse(spliced('{"model":"m","input":"Hi"}', target))).toEqual({ v: 1, input: 'Hi' });
  });
});

describe('edits', () => {
  const edit = (text: string, edits: Parameters<typeof withEdits>[1]) =>
    withEdits(peekText(text), edits).body.toString();

  test('change nothing where there is nothing to change', () => {
    const head = peekText('{"model":"m","input":"Hi"}');
    expect(withEdits(head, {})).toBe(head);
    expect(withEdits(head, { store: false, keepsPrevious: false })).toBe(head);
  });

  test.each([
    ['in its place', '{"model":"m","input":"Hi","x":1}', '{"model":"m","input":[{"a":1}],"x":1}'],
    ['in place of null', '{"input":null,"model":"m"}', '{"input":[{"a":1}],"model":"m"}'],
    ['where there was none', '{"model":"m"}', '{"input":[{"a":1}],"model":"m"}'],
  ])('put input %s', (_, text, expected) => {
    expect(edit(text, { input: [{ a: 1 }] })).toBe(expected);
  });

  test.each([
    '{"previous_response_id":"resp_1","model":"m","input":"Hi"}',
    '{"model":"m","previous_response_id":"resp_1","input":"Hi"}',
    '{"model":"m","input":"Hi","previous_response_id":"resp_1"}',
    '{"previous_response_id":"resp_1","model":"m"}',
  ])('leave out what it went on from: %s', (text) => {
    const changed = edit(text, { input: [1], keepsPrevious: false });
    expect(JSON.parse(changed)).toEqual({ model: 'm', input: [1] });
  });

  test('say what is to be kept, and pass on what was said to the gateway', () => {
    const head = peekText('{"model":"m","store":true,"x-gateway":{"tags":["a"]}}');
    const changed = withEdits(head, { store: false });
    expect(JSON.parse(changed.body.toString())).toEqual({ model: 'm', store: false });
    expect(changed.gateway).toEqual({ tags: ['a'] });
  });
});
