// What is read from and written to HTTP heads, byte for byte safe.
import type { IncomingHttpHeaders } from 'node:http';
import { limits } from '#shared/limits.ts';

const AUTHORITY = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i;
const PATH_END = /[?#]/;
const VISIBLE = /^[\x21-\x7e]+$/;
const PRINTABLE = /^[\x20-\x7e]*$/;
/** Can stand between commas without being taken for something else. */
const LISTABLE = /^[\x21-\x24\x26-\x2a\x2d-\x7e][\x21-\x24\x26-\x2b\x2d-\x7e]*$/;

/** The path of a request target, in origin form or, as proxies send it, in absolute form; without the query. `*` has none. */
export function pathOf(target: string): string {
  const local = target.startsWith('/') ? target : target.replace(AUTHORITY, '');
  const end = local.search(PATH_END);
  const path = end < 0 ? local : local.slice(0, end);
  return path.startsWith('/') ? path : '/';
}

/** What stands behind the path. */
export function queryOf(target: string): URLSearchParams {
  const start = target.indexOf('?');
  return new URLSearchParams(start < 0 ? '' : target.slice(start + 1));
}

/** Undefined where there is none. One that came more than once is one text, as node joins them. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A client's request id, when it is short and visible; anything else is treated as if none had come. */
export function saneRequestId(value: string | string[] | undefined): string | undefined {
  if (typeof value !== 'string' || value.length > limits.clientRequestIdLengthMax) return undefined;
  return VISIBLE.test(value) ? value : undefined;
}

/** Names chosen by people may hold any character; headers may not. */
export function headerText(text: string): string {
  return PRINTABLE.test(text) ? text : encodeURIComponent(text.toWellFormed());
}

/** Names in a row, as many as anybody will read; `+3` at the end stands for three more. */
export function headerList(names: readonly string[]): string {
  const shown: string[] = [];
  let length = 0;
  for (const name of names) {
    const short = name.slice(0, limits.droppedNameLengthMax);
    const text = LISTABLE.test(short) ? short : encodeURIComponent(short.toWellFormed());
    length += text.length + 2;
    if (length > limits.droppedHeaderBytesMax)
      return [...shown, `+${names.length - shown.length}`].join(', ');
    shown.push(text);
  }
  return shown.join(', ');
}
