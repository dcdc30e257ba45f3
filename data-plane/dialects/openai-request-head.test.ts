import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { choicesAsked, peek, splice } from './openai-request-head.ts';

const target = { model: 'upstream "model"' };

function spliced(text: string, to: Parameters<typeof splice>[1] = target): string {
  return Buffer.concat([...splice(peek(Buffer.from(text)), to)]).toString();
}

test('the model is replaced and every other byte stays', () => {
  expect(spliced('{ "a" : [1, {"model":"x"}],\n "model" : "gpt" , "b":"\\u0041" }')).toBe(
    '{ "a" : [1, {"model":"x"}],\n "model" : "upstream \\"model\\"" , "b":"\\u0041" }',
  );
});

test('the model’s name is read with its escapes', () => {
  expect(peek(Buffer.from('{"model":"gp\\u0074-\\"4\\""}')).model).toBe('gpt-"4"');
});

describe('usage is asked for on every stream', () => {
  test.each([
    ['without options', '{"model":"m","stream":true}'],
    ['with null for options', '{"model":"m","stream":true,"stream_options":null}'],
    ['with empty options', '{"model":"m","stream":true,"stream_options":{ }}'],
    ['with other options', '{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}'],
    ['with usage refused', '{"stream_options":{"include_usage": false ,"x":1},"model":"m","stream":true}'],
    ['with usage null', '{"stream_options":{"x":1,"include_usage":null},"model":"m","stream":true}'],
  ])('%s', (_, text) => {
    const body = JSON.parse(text) as Record<string, unknown>;
    expect(peek(Buffer.from(text)).wantsUsage).toBe(false);
    expect(JSON.parse(spliced(text))).toEqual({
      ...body,
      model: target.model,
      stream_options: { ...(body.stream_options as object | null), include_usage: true },
    });
  });

  test('and left alone where the client asked', () => {
    const text = '{"model":"m","stream":true,"stream_options":{"include_usage":true}}';
    expect(peek(Buffer.from(text)).wantsUsage).toBe(true);
    expect(spliced(text, { model: 'm' })).toBe(text);
  });

  test('but not where there is no stream', () => {
    const text = '{"model":"m","stream":false,"stream_options":{"include_usage":false}}';
    expect(peek(Buffer.from(text))).toMatchObject({ stream: false, wantsUsage: false });
    expect(spliced(text, { model: 'm' })).toBe(text);
  });

  test.each([
    ['{"stream_options":{"include_usage":true},"model":"m","stream":true}', '{"model":"n","stream":true}'],
    ['{"model":"m","stream_options":{},"stream":true}', '{"model":"n","stream":true}'],
    ['{"model":"m","stream":true , "stream_options":null }', '{"model":"n","stream":true  }'],
    ['{"model":"m","stream":true}', '{"model":"n","stream":true}'],
  ])('and never sent to an upstream that refuses the question: %s', (text, expected) => {
    expect(spliced(text, { model: 'n', usageUnasked: true })).toBe(expected);
  });
});

test('any body differs from what was sent only in the model and the question for usage', () => {
  const body = fc.record({
    stream: fc.boolean(),
    options: fc.dictionary(fc.string(), fc.jsonValue()),
    more: fc.dictionary(fc.string(), fc.jsonValue()),
  });
  const acted = ['model', 'stream', 'stream_options', 'n', 'include_usage'];
  const harmless = (fields: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(fields).filter(([key]) => !acted.includes(key.toLowerCase())));
  fc.assert(
    fc.property(body, fc.constantFrom(undefined, 1, '\t'), ({ stream, options, more }, indent) => {
      const fields = JSON.parse(JSON.stringify({ options: harmless(options), more: harmless(more) }));
      const sent = { ...fields.more, stream, stream_options: fields.options, model: 'm' };
      const expected = stream
        ? { ...sent, stream_options: { ...sent.stream_options, include_usage: true } }
        : sent;
      expect(JSON.parse(spliced(JSON.stringify(sent, null, indent)))).toEqual({
        ...expected,
        model: target.model,
      });
    }),
  );
});

describe('a body that cannot be acted upon is refused, naming the field', () => {
  test.each([
    ['{}', 'model'],
    ['{"model":1}', 'model'],
    ['{"model":""}', 'model'],
    ['{"model":null}', 'model'],
    ['{"model":"m","stream":"true"}', 'stream'],
    ['{"model":"m","stream":1}', 'stream'],
    ['{"model":"m","stream":true,"stream_options":[]}', 'stream_options'],
    ['{"model":"m","stream":true,"stream_options":{"include_usage":"yes"}}', 'stream_options.include_usage'],
    ['{"model":"a","x":1,"model":"b"}', 'model'],
    ['{"model":"a","mod\\u0065l":"b"}', 'model'],
    ['{"model":"a","Model":"b"}', 'model'],
    ['{"model":"a","stream":true,"stream":false}', 'stream'],
    ['{"model":"a","n":1,"n":2}', 'n'],
    [
      '{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
      'include_usage',
    ],
  ])('%s', (text, param) => {
    expect(() => peek(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'invalid_request', param }),
    );
  });

  test('and what is no JSON at all with the place', () => {
    expect(() => peek(Buffer.from('{"model":"m"'))).toThrow(
      expect.objectContaining({ code: 'invalid_json' }),
    );
  });
});

test('how many choices were asked for', () => {
  expect(choicesAsked(peek(Buffer.from('{"model":"m","n":3}')))).toBe(3);
  expect(choicesAsked(peek(Buffer.from('{"model":"m","n":null}')))).toBe(1);
  expect(choicesAsked(peek(Buffer.from('{"model":"m"}')))).toBe(1);
});
