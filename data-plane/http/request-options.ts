// What a client says to the gateway itself, beside what it says to the model: in the member `x-gateway` of the body, or in
// headers. It is checked here, honoured wherever it means something, and never reaches a provider.
import type { IncomingHttpHeaders } from 'node:http';
import { isObject, wrongType } from '../json/values.ts';

export interface RequestOptions {
  /** Whether what a provider cannot be asked is left out instead of refused. */
  readonly dropsUnsupported: boolean;
  /** The client's own words about this request, recorded with its usage. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
}

export function readRequestOptions(gateway: unknown, headers: IncomingHttpHeaders): RequestOptions {
  if (gateway !== undefined && !isObject(gateway)) throw wrongType('x-gateway', 'an object');
  const drops = gateway?.drop_unsupported;
  if (drops !== undefined && typeof drops !== 'boolean')
    throw wrongType('x-gateway.drop_unsupported', 'true or false');
  return {
    dropsUnsupported: drops ?? headers['x-signalbox-drop-unsupported'] === 'true',
    metadata: {},
    tags: [],
  };
}
