// What an origin is called in a request: the header `host`, and in signatures over it. The port is named where it is not the usual one.
import type { Origin } from './contract.ts';

export function hostOf({ host, port, secure }: Origin): string {
  const name = bareHost(host);
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`;
}

/** An IPv6 address in its brackets, and a name without the dot that makes it absolute. */
export function bareHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host.replace(/\.$/, '');
}
