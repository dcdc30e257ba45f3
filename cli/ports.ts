// Whether an address is free, asked before anything else is started; and how an address is written in a URL.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { listenFailure } from './exit.ts';

/** Throws when a server could not listen there. */
export async function checkAddress(host: string, port: number): Promise<void> {
  const server = createServer().listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw listenFailure(error as Error) ?? error;
  }
  server.close();
  await once(server, 'close');
}

/** A URL at which this machine reaches a server that listens on `host`. */
export function localUrl({ host, port }: { host: string; port: number }): string {
  const reachable =
    { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[host] ?? (host.includes(':') ? `[${host}]` : host);
  return `http://${reachable}:${port}`;
}
