// Converse, the API in which AWS Bedrock asks the models of all makers. Only upstreams speak it here.
import { awsEventStream } from '../../framing/aws-event-stream.ts';
import type { Dialect } from '../dialect.ts';
import { readError } from './errors.ts';
import { encode } from './request.ts';
import { reader, unfold } from './response.ts';

export const bedrockConverse: Dialect = Object.freeze<Dialect>({
  name: 'bedrock-converse',
  framing: awsEventStream,
  encode,
  reader,
  unfold,
  readError,
});
