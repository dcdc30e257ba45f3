// The few shapes in which vendors list their models. Each reader takes what has a name and leaves out the rest; an answer in which no
// list can be found is no such answer.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, objectsIn } from '../json/values.ts';

/** `{"data":[{"id":…}]}`, or the bare list that some compatible hosts send. */
export function readModelIds(body: Buffer): readonly string[] {
  const parsed = parse(body);
  return namesIn(isObject(parsed) ? parsed.data : parsed, 'id');
}

/** A list of resources below `member`, whose names end in the model's: `{"models":[{"name":"models/gemini-…"}]}`. */
export function readModelNames(member: string): (body: Buffer) => readonly string[] {
  return (body) => {
    const parsed = parse(body);
    const names = namesIn(isObject(parsed) ? parsed[member] : undefined, 'name');
    return names.map((name) => name.slice(name.lastIndexOf('/') + 1));
  };
}

function namesIn(list: unknown, member: string): string[] {
  if (!Array.isArray(list)) throw noList();
  return objectsIn(list)
    .map((item) => item[member])
    .filter((name) => typeof name === 'string' && name !== '') as string[];
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw noList();
  }
}

function noList(): SignalboxError {
  return new SignalboxError(
    'upstream_invalid',
    'The provider answered, but not with a list of models. Check its base_url.',
  );
}
