// Meters streams and bodies of chat completions that pass as bytes.
import type { BodyReport, RequestHead, StreamTap } from '../dialect.ts';
import { choicesAsked } from '../openai-request-head.ts';
import { inspectBody, tapChunks } from '../openai-tap.ts';
import { unreadable } from './wire.ts';

export function tap(head: RequestHead): StreamTap {
  return tapChunks({ hidesUsage: !head.wantsUsage, choicesAsked: choicesAsked(head), unreadable });
}

export function inspect(body: Buffer): BodyReport {
  return inspectBody(body, unreadable);
}
