// Which model a path asks for, in the API whose paths say it. Names may have slashes of their own, written as they are or
// percent-encoded; what stands before the name of a model of Google's in some clients' paths is left out.
import { SignalboxError } from '#shared/errors.ts';
import type { Address } from '../dialects/dialect.ts';
import type { PathParameters } from './router.ts';

const PLACE = /^(?:publishers\/google\/)?models\//;

/** Throws `invalid_request`. */
function modelInPath(written: string): string {
  try {
    return decodeURIComponent(written).replace(PLACE, '');
  } catch {
    throw new SignalboxError(
      'invalid_request',
      `The model in the path is not valid percent-encoding: "${written}".`,
      { param: 'model' },
    );
  }
}

export function wholeAnswer({ model = '' }: PathParameters): Address {
  return { model: modelInPath(model), stream: false };
}

export function streamedAnswer({ model = '' }: PathParameters): Address {
  return { model: modelInPath(model), stream: true };
}
