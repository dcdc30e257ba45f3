// What is read from and written to HTTP heads, byte for byte safe.
import { limits } from '#shared/limits.ts';

const VISIBLE = /^[\x21-\x7e]+$/;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** The path of a request target, in origin form or, as proxies send it, in absolute form; without the query. */
export function pathOf(target: string): string {
  const start = target.startsWith('/') ? 0 : target.indexOf('/', target.indexOf('://') + 3);
  if (start < 0) return '/';
  const query = target.indexOf('?', start);
  return query < 0 ? target.slice(start) : target.slice(start, query);
}

/** A client's request id, when it is short and visible; anything else is treated as if none had come. */
export function saneRequestId(value: string | string[] | undefined): string | undefined {
  if (typeof value !== 'string' || value.length > limits.clientRequestIdLengthMax) return undefined;
  return VISIBLE.test(value) ? value : undefined;
}

/** Names chosen by people may hold any character; headers may not. */
export function headerText(text: string): string {
  return PRINTABLE.test(text) ? text : encodeURIComponent(text);
}
