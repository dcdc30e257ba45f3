// OpenAI's Responses API: what their newer clients and coding agents speak, and some compatible hosts take.
import { sse } from '../../framing/sse.ts';
import type { ClientDialect } from '../dialect.ts';
import { readError } from '../read-error.ts';
import { renderError, renderStreamError } from './errors.ts';
import { render, writer } from './render.ts';
import { decode, encode, fieldNames } from './request.ts';
import { peek, splice } from './request-head.ts';
import { reader, unfold } from './response.ts';
import { inspect, tap } from './tap.ts';
import { untranslatable } from './untranslatable.ts';

export const openaiResponses: ClientDialect = Object.freeze<ClientDialect>({
  name: 'openai-responses',
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
  render: (events, request) => render(events, request),
  tap,
  inspect,
  readError,
  renderError,
  renderStreamError: (error) => renderStreamError(error),
});
