// Anthropic's messages: the format of Claude, and of the agents that are built on it.
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

export const anthropicMessages: ClientDialect = Object.freeze<ClientDialect>({
  name: 'anthropic-messages',
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
