import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FilePlace, type IdOwner, openBatch, openFile, sealBatch, sealFile } from './sealed-id.ts';

const owner: IdOwner = { sealingKey: randomBytes(32), keyId: 'key_a' };
const text = fc.string({ minLength: 1, maxLength: 40 });
const models = fc.array(text, { minLength: 1, maxLength: 3 });
const places: fc.Arbitrary<FilePlace> = fc
  .record({ provider: text, providerKey: fc.string({ maxLength: 20 }), id: text })
  .chain((place) => {
    const output = fc.record({ id: text, models, createdAt: fc.nat() }).map((batch) => ({
      kind: 'output' as const,
      batch: { provider: place.provider, providerKey: place.providerKey, ...batch },
    }));
    const input = models.map((names) => ({ kind: 'input' as const, models: names }));
    return fc.oneof(output, input, fc.constant(undefined)).map((role) => ({ ...place, role }));
  });

test('what was sealed opens as it was, and always under the same id', () => {
  fc.assert(
    fc.property(places, (place) => {
      const id = sealFile(owner, place);
      expect(openFile(owner, id)).toEqual(place);
      expect(sealFile(owner, structuredClone(place))).toBe(id);
      expect(id).toMatch(/^file-sb[\w-]+$/);
    }),
  );
});

test('no other key opens it, nor any other kind, nor a changed letter', () => {
  fc.assert(
    fc.property(places, fc.nat(), (place, at) => {
      const id = sealFile(owner, place);
      expect(openFile({ ...owner, keyId: 'key_b' }, id)).toBeUndefined();
      expect(openFile({ ...owner, sealingKey: randomBytes(32) }, id)).toBeUndefined();
      expect(openBatch(owner, id)).toBeUndefined();
      expect(openBatch(owner, id.replace('file-sb', 'batch_sb'))).toBeUndefined();
      // The last letter of base64url may hold bits that mean nothing.
      const letter = 'file-sb'.length + (at % (id.length - 'file-sb'.length - 1));
      const changed = id.slice(0, letter) + (id[letter] === 'A' ? 'B' : 'A') + id.slice(letter + 1);
      expect(openFile(owner, changed)).toBeUndefined();
    }),
  );
});

test('an id does not show what is inside', () => {
  const place = { provider: 'vendor', providerKey: 'k', id: 'batch_upstream_1', models: ['m'], createdAt: 1 };
  const id = sealBatch(owner, place);
  expect(Buffer.from(id.slice('batch_sb'.length), 'base64url').toString('latin1')).not.toMatch(
    /vendor|upstream/,
  );
  expect(openBatch(owner, id)).toEqual(place);
});

test('whatever is sent for an id opens to nothing', () => {
  fc.assert(
    fc.property(fc.string(), (anything) => {
      expect(openFile(owner, anything)).toBeUndefined();
      expect(openFile(owner, `file-sb${anything}`)).toBeUndefined();
      expect(openBatch(owner, `batch_sb${anything}`)).toBeUndefined();
    }),
  );
});
