import { describe, expect, test } from 'vitest';
import type { UpstreamRequest } from './contract.ts';
import { writeHead } from './request-head.ts';

const request = (change: Partial<UpstreamRequest>): UpstreamRequest => ({
  origin: { secure: true, host: 'api.example.com', port: 443, allowPrivateNetwork: false },
  method: 'POST',
  path: '/v1/chat/completions',
  headers: {},
  body: [],
  headTimeoutMs: 1,
  idleTimeoutMs: 1,
  ...change,
});
const hostLine = 'host: api.example.com\r\n';

test('a head has its host first and its length last', () => {
  expect(writeHead(request({ headers: { authorization: 'Bearer x', accept: '*/*' } }), hostLine, 12)).toBe(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer x\r\naccept: */*\r\ncontent-length: 12\r\n\r\n',
  );
});

test('a POST without a body says so, a GET does not', () => {
  expect(writeHead(request({}), hostLine, 0)).toContain('content-length: 0');
  expect(writeHead(request({ method: 'GET' }), hostLine, 0)).not.toContain('content-length');
});

describe('nothing can be smuggled into a head', () => {
  test.each(['a\r\nx-evil: 1', 'a\nb', 'a\rb', 'a\0b', 'snow ☃'])('the value %j is refused', (value) =>
    expect(() => writeHead(request({ headers: { 'x-a': value } }), hostLine, 0)).toThrow(/"x-a"/),
  );
  test.each(['x y', 'x:', 'x\r\n', '', 'ü'])('the name %j is refused', (name) =>
    expect(() => writeHead(request({ headers: { [name]: '1' } }), hostLine, 0)).toThrow(/header/),
  );
  test.each(['/a b', '/a\r\nx: y', '/a\0', 'http://other/', '', '/ü'])('the path %j is refused', (path) =>
    expect(() => writeHead(request({ path }), hostLine, 0)).toThrow(/path/),
  );
  test.each(['Host', 'content-length', 'Transfer-Encoding', 'connection'])(
    '%s belongs to the client',
    (name) =>
      expect(() => writeHead(request({ headers: { [name]: '1' } }), hostLine, 0)).toThrow(
        /set by the client/,
      ),
  );
});
