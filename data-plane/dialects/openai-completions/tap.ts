// Meters streams and bodies of text completions that pass as bytes. Several prompts make several choices, as `n` does.
import { scanObject, wantedKeys } from '../../json/scan.ts';
import type { BodyReport, RequestHead, StreamTap } from '../dialect.ts';
import { choicesAsked } from '../openai-request-head.ts';
import { inspectBody, tapChunks } from '../openai-tap.ts';
import { promptsIn } from './prompt.ts';
import { unreadable } from './wire.ts';

export function tap(head: RequestHead): StreamTap {
  const choices = choicesAsked(head) * promptsAsked(head.body);
  return tapChunks({ hidesUsage: !head.wantsUsage, choicesAsked: choices, unreadable });
}

export function inspect(body: Buffer): BodyReport {
  return inspectBody(body, unreadable);
}

const keys = wantedKeys('prompt');

function promptsAsked(body: Buffer): number {
  const place = scanObject(body, keys).members.prompt;
  return place === undefined ? 1 : promptsIn(JSON.parse(body.toString('utf8', place.start, place.end)));
}
