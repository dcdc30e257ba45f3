// Some hosts take a dialect's body with something changed at its top: the model stands in the path and must not be in the body, or a
// version has to be in it. Here as changes of the original bytes, so that everything else stays as the client wrote it.
import { scanObject, wantedKeys } from '../json/scan.ts';
import type { Replacement } from '../json/splice.ts';
import type { SpliceTarget } from './dialect.ts';
import { ambiguousKey, wholeMember } from './head-fields.ts';

/** What to change of a body that names its model. The place is looked for again: few upstreams need more than the model. */
export function shapeEdits(body: Buffer, { model, omitsModel, adds = {} }: SpliceTarget): Replacement[] {
  const names = Object.keys(adds);
  const { open, members, ambiguous } = scanObject(body, wantedKeys('model', ...names));
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const place = members.model!;
  const isThere = (name: string): boolean => members[name] !== undefined;
  const replaced = names.filter(isThere).map((name): Replacement => {
    const { start, end } = members[name]!;
    return { start, end, text: JSON.stringify(adds[name]) };
  });
  const added = names
    .filter((name) => !isThere(name))
    .map((name) => `${JSON.stringify(name)}:${JSON.stringify(adds[name])}`)
    .join(',');
  if (omitsModel !== true) {
    const edits = [{ start: place.start, end: place.end, text: JSON.stringify(model) }, ...replaced];
    return added === '' ? edits : [{ start: open, end: open, text: `${added},` }, ...edits];
  }
  // What is added takes the model's place, so that the commas around it fit.
  if (added !== '') return [{ start: place.keyStart, end: place.end, text: added }, ...replaced];
  return [{ ...wholeMember(body, place), text: '' }, ...replaced];
}
