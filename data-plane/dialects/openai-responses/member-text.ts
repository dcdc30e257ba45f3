// The bytes of one member of a JSON object, for what has to be kept or reported exactly as it was sent.
import { scanObject, wantedKeys } from '../../json/scan.ts';

const noBytes = Buffer.alloc(0);

/** Empty where there is none. A view of what was given. */
export function memberText(json: Buffer, name: string): Buffer {
  const place = scanObject(json, wantedKeys(name)).members[name];
  return place === undefined ? noBytes : json.subarray(place.start, place.end);
}
