import { describe, expect, test } from 'vitest';
import { readSchema, writeSchema } from './schema.ts';

function subset(schema: object): unknown {
  const written = writeSchema(schema as Record<string, unknown>);
  expect(written?.form).toBe('schema');
  return written!.schema;
}

function full(schema: object): unknown {
  const written = writeSchema(schema as Record<string, unknown>);
  expect(written?.form).toBe('jsonSchema');
  return written!.schema;
}

const properties = (schema: object) => ({ type: 'object', properties: schema });

describe('a schema that Google’s older form can say', () => {
  test('is said in it, without the remarks that would be refused', () => {
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      $id: 'weather',
      type: 'object',
      description: 'Where',
      properties: {
        city: { type: 'string', examples: ['Paris'], readOnly: true, minLength: 1 },
        days: { type: 'integer', minimum: 1, exclusiveMaximum: 8 },
        units: { type: 'array', items: { type: 'string', enum: ['C', 'F'] } },
      },
      required: ['city', 'nowhere'],
      additionalProperties: false,
    };
    expect(subset(schema)).toEqual({
      type: 'object',
      description: 'Where',
      properties: {
        city: { type: 'string', minLength: 1 },
        days: { type: 'integer', minimum: 1, maximum: 7 },
        units: { type: 'array', items: { type: 'string', enum: ['C', 'F'] } },
      },
      required: ['city'],
    });
  });

  test('keeps properties that are called like words of the language', () => {
    const names = [
      'default',
      'readOnly',
      '$schema',
      'const',
      '$ref',
      'examples',
      'type',
      'nullable',
      '__proto__',
    ];
    const schema = properties(Object.fromEntries(names.map((name) => [name, { type: 'string' }])));
    expect(Object.keys((subset(schema) as { properties: object }).properties)).toEqual(names);
  });

  test('says a constant as a choice of one, and null as a mark', () => {
    const schema = properties({
      kind: { const: 'city' },
      name: { type: ['string', 'null'] },
      old: { type: 'string', nullable: true },
      either: { anyOf: [{ type: 'integer' }, { type: 'null' }], description: 'or none' },
      maybe: { type: 'string', enum: ['a', null] },
    });
    expect(subset(schema)).toEqual(
      properties({
        kind: { type: 'string', enum: ['city'] },
        name: { type: 'string', nullable: true },
        old: { type: 'string', nullable: true },
        either: { type: 'integer', nullable: true, description: 'or none' },
        maybe: { type: 'string', enum: ['a'], nullable: true },
      }),
    );
  });

  test('lets nothing stand beside anyOf', () => {
    const schema = properties({
      value: { description: 'a value', oneOf: [{ type: 'string' }, { type: 'number' }, { type: 'null' }] },
      list: { type: ['string', 'array'], items: { type: 'string' }, minLength: 2 },
    });
    expect(subset(schema)).toEqual(
      properties({
        value: {
          anyOf: [
            { type: 'string', description: 'a value' },
            { type: 'number', description: 'a value' },
            { type: 'null' },
          ],
        },
        list: {
          anyOf: [
            { type: 'string', minLength: 2 },
            { type: 'array', items: { type: 'string' } },
          ],
        },
      }),
    );
  });

  test('has its references written out, and its parts joined', () => {
    const schema = {
      ...properties({
        from: { $ref: '#/$defs/place', description: 'start' },
        to: { allOf: [{ $ref: '#/$defs/place' }, properties({ via: { type: 'string' } })] },
      }),
      $defs: { place: { ...properties({ city: { type: 'string' } }), required: ['city'] } },
    };
    expect(subset(schema)).toEqual(
      properties({
        from: { ...properties({ city: { type: 'string' } }), required: ['city'], description: 'start' },
        to: { ...properties({ city: { type: 'string' }, via: { type: 'string' } }), required: ['city'] },
      }),
    );
  });

  test('that leads back to itself ends as an object of any kind', () => {
    const node = properties({ name: { type: 'string' }, next: { $ref: '#/$defs/node' } });
    const schema = { ...properties({ first: { $ref: '#/$defs/node' } }), $defs: { node } };
    expect(subset(schema)).toEqual(
      properties({ first: properties({ name: { type: 'string' }, next: { type: 'object' } }) }),
    );
  });

  test.each([
    [{}],
    [{ type: 'object' }],
    [{ type: 'object', properties: {} }],
    [{ type: 'object', additionalProperties: false }],
  ])('is left out where it says nothing: %j', (schema) => {
    expect(writeSchema(schema)).toBeUndefined();
  });

  test('of an object without properties inside another is only that', () => {
    expect(subset(properties({ extra: { type: 'object', properties: {} } }))).toEqual(
      properties({ extra: { type: 'object' } }),
    );
  });
});

describe('a schema that only the newer form can say', () => {
  test.each([
    ['numbers to choose from', { type: 'integer', enum: [1, 2] }, { type: 'integer', enum: [1, 2] }],
    [
      'any names',
      { type: 'object', additionalProperties: { type: 'string' } },
      { type: 'object', additionalProperties: { type: 'string' } },
    ],
    [
      'places of a list',
      { type: 'array', prefixItems: [{ type: 'string' }] },
      { type: 'array', prefixItems: [{ type: 'string' }] },
    ],
    ['a list of anything', { type: 'array' }, { type: 'array' }],
    ['anything', { description: 'what you like' }, { description: 'what you like' }],
    ['a format', { type: 'string', format: 'uuid' }, { type: 'string', format: 'uuid' }],
    [
      'a format or null',
      { type: ['string', 'null'], format: 'uuid' },
      { type: ['string', 'null'], format: 'uuid' },
    ],
  ])('has %s', (_, schema, written) => {
    expect(full(properties({ value: schema }))).toEqual(properties({ value: written }));
  });

  test('tells the model what the server would not understand', () => {
    const value = { type: 'array', uniqueItems: true, description: 'Names.', items: { type: 'string' } };
    const flag = { const: true };
    expect(full(properties({ value, flag }))).toEqual(
      properties({
        value: {
          type: 'array',
          items: { type: 'string' },
          description: 'Names. Has to fit {"uniqueItems":true}.',
        },
        flag: { type: 'boolean', description: 'Has to fit {"enum":[true]}.' },
      }),
    );
  });
});

describe('hostile schemas', () => {
  test('unfold no further than the limit', () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => {
        const next = { $ref: `#/$defs/d${index + 1}` };
        return [`d${index}`, properties({ a: next, b: next })];
      }),
    );
    const written = JSON.stringify(writeSchema({ ...properties({ a: { $ref: '#/$defs/d0' } }), $defs }));
    expect(written.length).toBeLessThan(1_000_000);
  });

  test.each([
    [{ $ref: '#/$defs/missing' }],
    [{ $ref: 'https://example.com/schema' }],
    [{ $ref: '#/%zz' }],
    [{ type: 7, properties: [], required: 'all', items: 'x', anyOf: {}, enum: 'a' }],
    [{ type: 'object', properties: { a: null, b: 7, c: true } }],
  ])('break nothing: %j', (schema) => {
    expect(() => JSON.stringify(writeSchema(properties({ value: schema })))).not.toThrow();
  });
});

test('a schema in the older form is read as JSON Schema', () => {
  const schema = {
    type: 'OBJECT',
    properties: {
      city: { type: 'STRING', nullable: true, format: 'enum', enum: ['a'] },
      any_of: { any_of: [{ type: 'NUMBER' }, { type: 'STRING', min_length: '2' }] },
      list: { type: 'ARRAY', items: { type: 'INTEGER' }, maxItems: '3' },
    },
    required: ['city'],
    propertyOrdering: ['city'],
  };
  expect(readSchema(schema)).toEqual({
    type: 'object',
    properties: {
      city: { type: ['string', 'null'], enum: ['a', null] },
      any_of: { anyOf: [{ type: 'number' }, { type: 'string', minLength: 2 }] },
      list: { type: 'array', items: { type: 'integer' }, maxItems: 3 },
    },
    required: ['city'],
  });
});
