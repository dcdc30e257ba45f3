// What a client of text completions may ask for that no model of another dialect can be asked: it is refused by name before
// anything is sent. Left out are only fields that say what their absence says.
import { isObject, rowFor } from '../../json/values.ts';
import type { TurnRequest } from '../../turn/request.ts';
import { promptText } from './prompt.ts';

const spellings = ['stream', 'stream_options', 'stop', 'metadata'];

/** What is said by default, so that saying it asks for nothing. */
const defaults: Readonly<Record<string, (value: unknown, request: TurnRequest) => boolean>> = {
  prompt: (value) => promptText(value) !== undefined,
  echo: (value) => value === false,
  suffix: (value) => value === '',
  // The best of as many as are wanted are all of them.
  best_of: (value, { choices = 1 }) => value === choices,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
};

export function untranslatable(request: TurnRequest): readonly string[] {
  const { extras, messages } = request;
  const asked = Object.entries(extras)
    .filter(([field, value]) => value !== null && !spellings.includes(field))
    .filter(([field, value]) => rowFor(defaults, field)?.(value, request) !== true)
    .map(([field]) => field);
  return messages.length === 0 && !asked.includes('prompt') ? ['prompt', ...asked] : asked;
}
