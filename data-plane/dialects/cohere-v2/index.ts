// Cohere's chat, version 2. No clients speak it to us, so there is only the half that speaks to an upstream.
import { sse } from '../../framing/sse.ts';
import type { Dialect } from '../dialect.ts';
import { readError } from '../read-error.ts';
import { encode } from './request.ts';
import { reader, unfold } from './response.ts';

export const cohereV2: Dialect = Object.freeze<Dialect>({
  name: 'cohere-v2',
  framing: sse,
  encode,
  reader,
  unfold,
  readError,
});
