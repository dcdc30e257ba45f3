// What a client may say in a realtime session. Its events go on as they came, with two exceptions: the model was chosen,
// admitted and routed when the session was opened, so an event that names another one is refused; and the model that writes
// down what was said is a model like any other, so it has to be one that the key may use.
import { SignalboxError } from '#shared/errors.ts';
import { findText, type TextPath, textPath } from '../json/find-text.ts';
import { scanObject, stringAt, wantedKeys } from '../json/scan.ts';
import { type Replacement, splice } from '../json/splice.ts';

export interface ClientEventRules {
  /** What the provider calls the session's model, for a name that means it; undefined for every other name. */
  sessionModel(name: string): string | undefined;
  /** What the provider calls a model for transcription. Throws what keeps it from being used. */
  transcriptionModel(name: string): string;
}

/** The event as it goes to the provider. Throws `invalid_json`, `invalid_request` or what a rule throws. */
export function readClientEvent(event: Buffer, rules: ClientEventRules): Buffer {
  const whole = { start: 0, end: event.length };
  if (findText(event, typePath, whole) === undefined) {
    throw new SignalboxError('invalid_request', 'An event needs a type: a text in the member "type".', {
      param: 'type',
    });
  }
  const { members, ambiguous } = scanObject(event, topKeys);
  const replacements: Replacement[] = [];
  for (const { path, nameFor } of places) {
    // Nearly all events are sound, which is large and names no model.
    if (members[path.names[0]!] === undefined && ambiguous === undefined) continue;
    const model = findText(event, path, whole);
    if (model === undefined) continue;
    replacements.push({ ...model, text: JSON.stringify(nameFor(stringAt(event, model), rules)) });
  }
  return replacements.length === 0 ? event : Buffer.concat(splice(event, replacements));
}

/** The client's own id of an event, as far as it can be read. */
export function eventIdOf(event: Buffer): string | undefined {
  try {
    const id = findText(event, idPath, { start: 0, end: event.length });
    return id && stringAt(event, id);
  } catch {
    return undefined;
  }
}

const typePath = textPath('type');
const idPath = textPath('event_id');
const topKeys = wantedKeys('session', 'response');

interface Place {
  readonly path: TextPath;
  readonly nameFor: (name: string, rules: ClientEventRules) => string;
}

const transcription = (name: string, rules: ClientEventRules): string => rules.transcriptionModel(name);

/** Where an event can name a model, in the current version of the API and the one before. */
const places: readonly Place[] = [
  { path: textPath('session', 'model'), nameFor: requireSessionModel },
  { path: textPath('response', 'model'), nameFor: requireSessionModel },
  { path: textPath('session', 'audio', 'input', 'transcription', 'model'), nameFor: transcription },
  { path: textPath('session', 'input_audio_transcription', 'model'), nameFor: transcription },
];

function requireSessionModel(name: string, rules: ClientEventRules): string {
  const upstreamModel = rules.sessionModel(name);
  if (upstreamModel !== undefined) return upstreamModel;
  throw new SignalboxError(
    'model_not_allowed',
    `The model of a session cannot change: this one was not opened for "${name}". Open another session for it.`,
    { param: 'session.model' },
  );
}
