import { describe, expect, test } from 'vitest';
import { sampleOf } from './demo-sample.ts';

describe('a sample is what its schema accepts', () => {
  test.each<[string, unknown, unknown]>([
    ['a string', { type: 'string' }, 'demo'],
    ['a long string', { type: 'string', minLength: 6 }, 'demo..'],
    ['a short string', { type: 'string', maxLength: 2 }, 'de'],
    ['a date', { type: 'string', format: 'date' }, '2025-01-01'],
    ['an enumeration', { enum: ['b', 'a'] }, 'b'],
    ['a constant', { const: null }, null],
    ['a default', { type: 'string', default: 'x' }, 'x'],
    ['an example', { type: 'string', examples: ['y'] }, 'y'],
    ['an integer', { type: 'integer' }, 1],
    ['an integer above', { type: 'integer', exclusiveMinimum: 5 }, 6],
    ['an integer below', { type: 'integer', maximum: -3 }, -3],
    ['a multiple', { type: 'integer', minimum: 5, multipleOf: 4 }, 8],
    ['a number between', { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 }, 0.5],
    ['a boolean', { type: 'boolean' }, true],
    ['null', { type: 'null' }, null],
    ['several types', { type: ['null', 'integer'] }, 1],
    ['a list', { type: 'array', items: { type: 'integer' } }, []],
    ['a list of at least two', { type: 'array', items: { type: 'integer' }, minItems: 2 }, [1, 1]],
    ['a tuple', { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }] }, [1, 'demo']],
    [
      'what is required of an object',
      { type: 'object', properties: { a: { type: 'integer' }, b: {} }, required: ['a'] },
      { a: 1 },
    ],
    ['an object without a type', { properties: { a: { type: 'integer' } }, required: ['a'] }, { a: 1 }],
    ['the first alternative', { anyOf: [{ type: 'integer' }, { type: 'string' }] }, 1],
    [
      'all parts',
      {
        allOf: [
          { properties: { a: { type: 'integer' } }, required: ['a'] },
          { properties: { b: { type: 'null' } }, required: ['b'] },
        ],
      },
      { a: 1, b: null },
    ],
    [
      'a reference',
      {
        $defs: { n: { type: 'integer' } },
        type: 'object',
        properties: { a: { $ref: '#/$defs/n' } },
        required: ['a'],
      },
      { a: 1 },
    ],
    ['anything', true, 'demo'],
    ['nothing at all', undefined, 'demo'],
  ])('%s', (_, schema, expected) => {
    expect(sampleOf(schema)).toEqual(expected);
  });

  test('even when it refers to itself', () => {
    const node = { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] };
    expect(JSON.stringify(sampleOf(node))).toMatch(/^\{"next":\{/);
    expect(sampleOf({ $ref: '#' })).toBe('demo');
  });

  test('even when it refers to itself a hundred times over', () => {
    const names = Array.from({ length: 100 }, (_, index) => `p${index}`);
    const properties = Object.fromEntries(names.map((name) => [name, { $ref: '#' }]));
    expect(JSON.stringify(sampleOf({ type: 'object', properties, required: names })).length).toBeLessThan(
      100_000,
    );
  });
});
