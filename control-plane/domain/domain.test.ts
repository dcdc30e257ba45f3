// The pure rules: what a patch does, who may change what, what is sent when something changes, what a precondition means.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { Secret } from '#shared/secret.ts';
import { kinds } from './kinds.ts';
import { mergePatch } from './merge-patch.ts';
import { checkPrecondition } from './precondition.ts';
import { takeKeys } from './provider-keys.ts';
import { brokenReferences } from './references.ts';
import { differenceOf } from './resources.ts';
import { mayChange, type Source } from './sources.ts';

describe('a merge patch', () => {
  // The table of RFC 7396, appendix A.
  test.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j with %j gives %j', (target, patch, expected) => {
    expect(mergePatch(target, patch)).toEqual(expected);
  });

  test('applied twice is the same as once, and never touches its input or a prototype', () => {
    const values = fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), fc.jsonValue());
    fc.assert(
      fc.property(values, values, (target, patch) => {
        const before = JSON.stringify(target);
        const once = mergePatch(target, patch);
        expect(mergePatch(once, patch)).toEqual(once);
        expect(JSON.stringify(target)).toBe(before);
        expect(Object.getPrototypeOf(once)).toBe(Object.prototype);
      }),
    );
  });
});

describe('sources', () => {
  const verdict = (by: Source, owner: Source | undefined, takeOver = false) => {
    try {
      return mayChange({ by, owner, takeOver, what: 'Provider p' });
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test.each<[Source, Source | undefined, boolean | string]>([
    ['api', undefined, true],
    ['api', 'api', true],
    ['api', 'built-in', true],
    ['api', 'file', 'managed_elsewhere'],
    ['api', 'environment', 'managed_elsewhere'],
    ['file', 'file', true],
    ['file', 'environment', true],
    ['file', 'built-in', true],
    ['file', 'api', 'managed_elsewhere'],
    ['environment', 'environment', true],
    ['environment', 'api', false],
    ['environment', 'file', false],
    ['built-in', 'api', false],
  ])('%s on an object of %s: %s', (by, owner, expected) => {
    expect(verdict(by, owner)).toBe(expected);
  });

  test('taking over turns a refusal into a change, and nothing else', () => {
    const all: Source[] = ['api', 'file', 'environment', 'built-in'];
    for (const by of all) {
      for (const owner of all) {
        const without = verdict(by, owner);
        expect(verdict(by, owner, true)).toBe(without === 'managed_elsewhere' ? true : without);
      }
    }
  });
});

describe('a precondition', () => {
  test.each([
    ['none', undefined, undefined],
    ['none', 3n, undefined],
    ['must-be-new', undefined, undefined],
    ['must-be-new', 3n, 'precondition_required'],
    ['must-exist', undefined, 'precondition_failed'],
    ['must-exist', 3n, undefined],
    [[2n, 3n], 3n, undefined],
    [[2n], 3n, 'precondition_failed'],
    [[2n], undefined, 'precondition_failed'],
  ] as const)('%s on revision %s: %s', (demand, revision, code) => {
    const precondition = typeof demand === 'string' ? demand : { revisions: demand };
    const check = () => checkPrecondition(precondition, 'Provider p', revision);
    if (code === undefined) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code }));
  });
});

test('whoever applies a difference has what is wanted, and equal resources are not sent', () => {
  const resources = fc
    .uniqueArray(
      fc.record({
        name: fc.constantFrom<string[]>('a', 'b', 'c', 'd'),
        payload: fc.uint8Array({ maxLength: 2 }),
      }),
      {
        selector: (resource) => resource.name,
      },
    )
    .map((list) => list.map((resource) => ({ type: ResourceType.ROUTE, ...resource })));
  fc.assert(
    fc.property(resources, resources, (before, after) => {
      const held = new Map<string, Uint8Array>(before.map(({ name, payload }) => [name, payload]));
      const { put, remove } = differenceOf(before, after);
      for (const { name } of remove) held.delete(name);
      for (const { name, payload } of put) {
        expect(held.get(name)).not.toEqual(payload);
        held.set(name, payload);
      }
      expect(held).toEqual(new Map(after.map(({ name, payload }) => [name, payload])));
    }),
  );
});

describe('keys of a provider', () => {
  let made = 0;
  const maker = {
    fingerprint: (secret: Secret) => Buffer.from(secret.reveal()),
    seal: (secret: Secret) => ({
      id: `new-${++made}`,
      hint: '…',
      fingerprint: Buffer.from(secret.reveal()),
    }),
  };
  const known = ['a', 'b', 'c'].map((text) => ({
    id: `old-${text}`,
    hint: '…',
    fingerprint: Buffer.from(text),
  }));
  const written = (secret: Secret | { id: string }) => ({ secret, weight: 1, rpm: 0, tpm: 0 });

  test('given again keep their ids in any order; the rest are new or gone', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e')), fc.boolean(), (texts, byId) => {
        const keys = texts.map((text) =>
          written(byId && text <= 'c' ? { id: `old-${text}` } : new Secret(text)),
        );
        const { entries, added, gone } = takeKeys(keys, known, maker);
        const stays = texts.filter((text) => text <= 'c').map((text) => `old-${text}`);
        expect(entries.map((entry) => entry.id).filter((id) => id.startsWith('old'))).toEqual(stays);
        expect(added).toHaveLength(texts.length - stays.length);
        expect(gone).toEqual(known.map(({ id }) => id).filter((id) => !stays.includes(id)));
      }),
    );
  });

  test('twice the same, or an id of nowhere, is refused at its place', () => {
    expect(() => takeKeys([written(new Secret('a')), written({ id: 'old-a' })], known, maker)).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ path: 'api_keys[1]' })] }),
    );
    expect(() => takeKeys([written({ id: 'old-z' })], known, maker)).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ path: 'api_keys[0].id' })] }),
    );
  });
});

test('broken references are reported under the names of objects', () => {
  const { spec } = kinds.model.write({
    id: 'the-model',
    name: 'm',
    provider: 'gone',
    weight: 1,
    priority: 1,
    region: '',
    tags: [],
  });
  const alias = { kind: 'alias' as const, name: 'a', spec: { name: 'a', target: 'nowhere' } };
  const paths = brokenReferences([{ kind: 'model', name: 'the-model', spec }, alias]).map(
    (problem) => problem.path,
  );
  expect(paths).toEqual(['models/the-model.provider', 'aliases/a']);
});
