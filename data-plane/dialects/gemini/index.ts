// Google's Gemini API: the format of Gemini, at Google's own API and on Vertex.
import { sse } from '../../framing/sse.ts';
import type { ClientDialect } from '../dialect.ts';
import { readError } from '../read-error.ts';
import { renderError, renderStreamError } from './errors.ts';
import { inList } from './list-stream.ts';
import { render, writer } from './render.ts';
import { decode, encode, fieldNames } from './request.ts';
import { peek, splice } from './request-head.ts';
import { reader, unfold } from './response.ts';
import { inspect, tap } from './tap.ts';
import { untranslatable } from './untranslatable.ts';

export const gemini: ClientDialect = Object.freeze<ClientDialect>({
  name: 'gemini',
  framing: sse,
  fieldNames,
  peek,
  splice,
  decode,
  untranslatable,
  encode,
  reader,
  unfold,
  writer,
  render,
  tap,
  inspect,
  readError,
  renderError,
  renderStreamError,
});

/** For clients that do not ask for events: a stream is one long list, as the API has it by default. */
export const geminiList: ClientDialect = Object.freeze<ClientDialect>({ ...gemini, ...inList(gemini) });
