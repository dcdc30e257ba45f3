// What a client says when it asks for a WebSocket: the handshake's own headers, the model in the query, and what browsers, which
// cannot set headers, put among the subprotocols.
import type { IncomingMessage } from 'node:http';
import { SignalboxError } from '#shared/errors.ts';

const KEY_PROTOCOL = 'openai-insecure-api-key.';
const BETA_PROTOCOL = 'openai-beta.';
/** The subprotocol of the API itself; the only one that is ever agreed to. */
const REALTIME = 'realtime';
/** 16 bytes in base64. */
const HANDSHAKE_KEY = /^[+/0-9A-Za-z]{22}==$/;
const HANDSHAKE_VERSIONS = ['8', '13'];

export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** Moves what stands among the subprotocols to where every other client has it, so that everything behind reads one form. */
export function normaliseProtocols({ headers }: IncomingMessage): void {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const presented = offered.find((name) => name.startsWith(KEY_PROTOCOL));
  if (presented !== undefined && headers.authorization === undefined && headers['x-api-key'] === undefined)
    headers.authorization = `Bearer ${presented.slice(KEY_PROTOCOL.length)}`;
  if (offered.some((name) => name.startsWith(BETA_PROTOCOL))) headers['openai-beta'] ??= 'realtime=v1';
  if (offered.includes(REALTIME)) headers['sec-websocket-protocol'] = REALTIME;
  else delete headers['sec-websocket-protocol'];
}

/** Throws `upgrade_required` or `invalid_request` for what could not become a WebSocket. */
export function requireHandshake({ method, headers }: IncomingMessage): void {
  const key = headers['sec-websocket-key'];
  const version = headers['sec-websocket-version'] ?? '';
  if (method !== 'GET' || key === undefined || !HANDSHAKE_KEY.test(key)) {
    throw new SignalboxError(
      'invalid_request',
      'The WebSocket handshake is not valid: it takes a GET with the header Sec-WebSocket-Key, 16 bytes in base64.',
    );
  }
  if (HANDSHAKE_VERSIONS.includes(version)) return;
  throw new SignalboxError(
    'invalid_request',
    `The WebSocket version "${version}" is not supported. Send Sec-WebSocket-Version: 13.`,
  );
}

/** Azure's clients call the model a deployment. */
export function modelInQuery({ url = '' }: IncomingMessage): string {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  const model = (url.includes('?') && (query.get('model') || query.get('deployment'))) || '';
  if (model !== '') return model;
  throw new SignalboxError(
    'invalid_request',
    'A realtime session needs a model in the query: /v1/realtime?model=<name>.',
    { param: 'model' },
  );
}
