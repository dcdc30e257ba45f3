// Where a control plane is reached. Plain HTTP/2 is for loopback alone: there, whoever can listen can also read this
// process's memory. Everywhere else the connection is mutual TLS under one private authority, whose control planes all
// have the same name, so that an address may change without a certificate changing.
import { SignalboxError } from '#shared/errors.ts';

export interface Endpoint {
  /** scheme://host:port, without a path. */
  readonly url: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
}

/** The name in every control plane's certificate. */
export const controlPlaneName = 'control-plane.signalbox.internal';

const remedy = 'Give it as https://host:port, or as http://127.0.0.1:port for one on this machine.';

export function parseEndpoint(text: string): Endpoint {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new SignalboxError(
      'invalid_configuration',
      `The control plane URL "${text}" is not valid. ${remedy}`,
    );
  }
  if (
    url.pathname !== '/' ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new SignalboxError(
      'invalid_configuration',
      `The control plane URL "${text}" holds more than a scheme, a host and a port. ${remedy}`,
    );
  }
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!secure && !isLoopback(host)) {
    throw new SignalboxError(
      'invalid_configuration',
      `The control plane URL "${text}" is plain HTTP to another machine, where keys could be read on the way. ${remedy}`,
    );
  }
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  return { url: url.origin, secure, host, port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
