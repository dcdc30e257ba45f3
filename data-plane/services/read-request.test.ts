import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { withModel } from './own-form.ts';
import { detailsOf, eitherReader, formReader, jsonReader } from './read-request.ts';
import type { ServiceRequest } from './service.ts';

const type = 'multipart/form-data; boundary=b';
const unsupported = () => {};

function form(...fields: (readonly [name: string, value: string, file?: string])[]): Buffer {
  const parts = fields.map(([name, value, file]) => {
    const filename = file === undefined ? '' : `; filename="${file}"`;
    return `--b\r\nContent-Disposition: form-data; name="${name}"${filename}\r\n\r\n${value}\r\n`;
  });
  return Buffer.from(`${parts.join('')}--b--\r\n`);
}

function sent(request: ServiceRequest, model: string): string {
  return Buffer.concat([...withModel(request, { model, unsupported }).body]).toString();
}

function refusal(read: () => unknown): SignalboxError {
  try {
    read();
  } catch (thrown) {
    return thrown as SignalboxError;
  }
  throw new Error('it was accepted');
}

describe('a JSON request', () => {
  const read = jsonReader('input', 'n');

  test('is sent as it came with the model changed, whatever the order and the spaces', () => {
    const body = '{ "input":["ä"],\n "unknown" : {"b":1, "a":2}, "model" :"a\\u0062", "n": 2 }';
    const request = read(Buffer.from(body), 'application/json; charset=utf-8');
    expect(request).toMatchObject({ model: 'ab', stream: false, gateway: undefined });
    expect(detailsOf(request).fields).toEqual({ input: undefined, n: '2' });
    expect(sent(request, 'other "one"')).toBe(body.replace('"a\\u0062"', '"other \\"one\\""'));
  });

  test('loses what is meant for the gateway, and nothing else', () => {
    const request = read(Buffer.from('{"model":"a","x-gateway":{"tags":["t"]},"input":"x"}'), '');
    expect(request.gateway).toEqual({ tags: ['t'] });
    expect(sent(request, 'm')).toBe('{"model":"m","input":"x"}');
  });

  test.each([
    ['{"input":"x"}', 'invalid_request', 'model'],
    ['{"model":null}', 'invalid_request', 'model'],
    ['{"model":""}', 'invalid_request', 'model'],
    ['{"model":"a","model":"b"}', 'invalid_request', 'model'],
    ['{"model":"a","Input":"b"}', 'invalid_request', 'input'],
    ['{"model":"a","stream":"yes"}', 'invalid_request', 'stream'],
    ['{"model":"a"', 'invalid_json', undefined],
    ['[]', 'invalid_json', undefined],
  ])('%s is refused', (body, code, param) => {
    expect(refusal(() => read(Buffer.from(body), 'application/json'))).toMatchObject({ code, param });
  });
});

describe('a form', () => {
  const read = formReader('response_format');

  test('is sent as it came with the model changed', () => {
    const body = form(
      ['file', '\0\r\n--', 'a.mp3'],
      ['model', 'ä'],
      ['response_format', 'srt'],
      ['stream', 'True'],
    );
    const request = read(body, type);
    expect(request).toMatchObject({ model: 'ä', stream: true, contentType: type });
    expect(detailsOf(request).fields).toEqual({ response_format: 'srt' });
    const expected = form(
      ['file', '\0\r\n--', 'a.mp3'],
      ['model', 'x'],
      ['response_format', 'srt'],
      ['stream', 'True'],
    );
    expect(sent(request, 'x')).toBe(expected.toString());
  });

  test.each([0, 1, 2])('loses the part that is meant for the gateway, wherever it stands (%i)', (place) => {
    const others: [string, string][] = [
      ['model', 'a'],
      ['prompt', 'p'],
    ];
    const request = read(form(...others.toSpliced(place, 0, ['x-gateway', '{"cache":true}'])), type);
    expect(request.gateway).toEqual({ cache: true });
    expect(sent(request, 'a')).toBe(form(...others).toString());
  });

  test.each([
    ['no model', form(['file', 'x', 'a']), 'model'],
    ['an empty model', form(['model', '']), 'model'],
    ['two models', form(['model', 'a'], ['model', 'b']), 'model'],
    ['a model in other letters', form(['model', 'a'], ['Model', 'b']), 'model'],
    ['a model that is a file', form(['model', 'a', 'file']), 'model'],
    ['a model with a line end in it', form(['model', 'a\nb']), 'model'],
    ['a wish for events that is none', form(['model', 'a'], ['stream', '1']), 'stream'],
  ])('with %s is refused', (_, body, param) => {
    expect(refusal(() => read(body, type))).toMatchObject({ code: 'invalid_request', param });
  });

  test('with a broken word to the gateway is refused as broken JSON', () => {
    expect(refusal(() => read(form(['model', 'a'], ['x-gateway', '{']), type)).code).toBe('invalid_json');
  });
});

test('where both are taken, the content type decides', () => {
  const read = eitherReader();
  expect(read(form(['model', 'a']), type).contentType).toBe(type);
  expect(read(Buffer.from('{"model":"a"}'), 'application/json').contentType).toBe('application/json');
});
