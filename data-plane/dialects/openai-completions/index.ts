// OpenAI's text completions, as older applications and those that complete code still use them.
import { sse } from '../../framing/sse.ts';
import type { ClientDialect } from '../dialect.ts';
import { renderError, renderStreamError } from '../openai-errors.ts';
import { peek, splice } from '../openai-request-head.ts';
import { readError } from '../read-error.ts';
import { render, writer } from './render.ts';
import { decode, encode, fieldNames } from './request.ts';
import { reader, unfold } from './response.ts';
import { inspect, tap } from './tap.ts';
import { untranslatable } from './untranslatable.ts';

export const openaiCompletions: ClientDialect = Object.freeze<ClientDialect>({
  name: 'openai-completions',
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
