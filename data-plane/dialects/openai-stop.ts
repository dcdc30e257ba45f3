// Stop sequences in OpenAI's chat and completions: one may stand by itself, and is written as it stood.
import { wrongType } from '../json/values.ts';

export function decodeStop(stop: unknown): readonly string[] | undefined {
  if (stop == null) return undefined;
  if (typeof stop === 'string') return [stop];
  if (Array.isArray(stop) && stop.every((text) => typeof text === 'string')) return stop;
  throw wrongType('stop', 'a string or a list of strings');
}

export function encodeStop(stop: readonly string[], written: unknown): string | readonly string[] {
  return typeof written === 'string' && stop.length === 1 ? stop[0]! : stop;
}
