// Schemas as Google takes them. There are two forms: the old one knows a part of OpenAPI's schemas and refuses a request for a single
// word outside it, all tools with it; the newer one is JSON Schema, of which it knows some more. What the old form can say is said in
// it, because every model knows it; everything else in the newer one. A word that neither knows is told to the model in the
// description, so that it is lost to the server's checks only.
import { isObject, type JsonObject, objectOf, objectsIn, textOf } from '../../json/values.ts';
import { type PlainSchema, plainSchema } from './plain-schema.ts';
import { named } from './wire.ts';

/** Undefined for a schema that says nothing: Google refuses an object without properties. */
export type WrittenSchema =
  | { readonly form: 'schema'; readonly schema: JsonObject }
  | { readonly form: 'jsonSchema'; readonly schema: JsonObject }
  | undefined;

export function writeSchema(schema: JsonObject): WrittenSchema {
  const plain = plainSchema(schema);
  if (isEmptyObject(plain)) return undefined;
  const subset = inSubset(plain);
  return subset === undefined
    ? { form: 'jsonSchema', schema: inFull(plain) }
    : { form: 'schema', schema: subset };
}

function isEmptyObject({ type, properties, additional, anyOf, choices }: PlainSchema): boolean {
  const saysNothing = additional === undefined && anyOf === undefined && choices === undefined;
  return (
    (type === 'object' || type === undefined) && saysNothing && Object.keys(properties ?? {}).length === 0
  );
}

const subsetWords: readonly string[] = [
  ...['title', 'description', 'format', 'pattern', 'default', 'minimum', 'maximum', 'propertyOrdering'],
  ...['minItems', 'maxItems', 'minLength', 'maxLength', 'minProperties', 'maxProperties'],
];
const subsetTypes: readonly string[] = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'];
const textFormats: readonly unknown[] = [undefined, 'date-time', 'enum'];
const numberFormats: readonly unknown[] = [undefined, 'float', 'double', 'int32', 'int64'];

/** Undefined when the old form has no words for it. */
function inSubset(schema: PlainSchema): JsonObject | undefined {
  const { type, choices, words } = schema;
  if (schema.anyOf !== undefined) return anyOfInSubset(schema, schema.anyOf);
  if (type === undefined || !subsetTypes.includes(type)) return undefined;
  if (schema.additional !== undefined || schema.places !== undefined) return undefined;
  if (choices !== undefined && (type !== 'string' || !choices.every((choice) => typeof choice === 'string')))
    return undefined;
  if (!(type === 'string' ? textFormats : numberFormats).includes(words.format)) return undefined;
  if (!Object.keys(words).every((word) => subsetWords.includes(word))) return undefined;
  // An array has to say of what.
  const items = type === 'array' ? (schema.items === undefined ? undefined : inSubset(schema.items)) : null;
  const properties = propertiesBy(schema, inSubset);
  if (items === undefined || properties === undefined) return undefined;
  return {
    type,
    ...words,
    ...(choices === undefined ? {} : { enum: choices }),
    ...(items === null ? {} : { items }),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(schema.required === undefined ? {} : { required: schema.required }),
    ...(schema.isNullable ? { nullable: true } : {}),
  };
}

/** Beside `anyOf` nothing else may stand, so what is said of all branches is said of each. */
function anyOfInSubset(
  { words, isNullable, type }: PlainSchema,
  anyOf: readonly PlainSchema[],
): JsonObject | undefined {
  const branches = anyOf.map((branch) =>
    inSubset({ ...branch, ...(type === undefined ? {} : { type }), words: { ...words, ...branch.words } }),
  );
  if (branches.includes(undefined)) return undefined;
  return { anyOf: [...branches, ...(isNullable ? [{ type: 'null' }] : [])] };
}

function propertiesBy(
  { properties = {} }: PlainSchema,
  write: (schema: PlainSchema) => JsonObject | undefined,
): Readonly<Record<string, JsonObject>> | undefined {
  const written = Object.entries(properties).map(([name, schema]) => [name, write(schema)] as const);
  return written.some(([, schema]) => schema === undefined)
    ? undefined
    : (Object.fromEntries(written) as Record<string, JsonObject>);
}

const fullWords: readonly string[] = [
  ...['title', 'description', 'format', 'minimum', 'maximum', 'minItems', 'maxItems', 'propertyOrdering'],
];

function inFull(schema: PlainSchema): JsonObject {
  const { type, choices, isNullable, words, additional } = schema;
  const known = Object.entries(words).filter(([word]) => fullWords.includes(word));
  const isListable =
    choices?.every((choice) => typeof choice === 'string' || typeof choice === 'number') ?? true;
  const told = {
    ...Object.fromEntries(Object.entries(words).filter(([word]) => !fullWords.includes(word))),
    ...(isListable ? {} : { enum: choices }),
  };
  const properties = propertiesBy(schema, inFull)!;
  const whole = {
    ...(type === undefined ? {} : { type }),
    ...withHint(Object.fromEntries(known), told),
    ...(choices === undefined || !isListable ? {} : { enum: choices }),
    ...(schema.items === undefined ? {} : { items: inFull(schema.items) }),
    ...(schema.places === undefined ? {} : { prefixItems: schema.places.map(inFull) }),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(schema.required === undefined ? {} : { required: schema.required }),
    ...(additional === undefined
      ? {}
      : { additionalProperties: additional === true ? true : inFull(additional) }),
    ...(schema.anyOf === undefined ? {} : { anyOf: schema.anyOf.map(inFull) }),
  };
  return isNullable ? orNull(whole) : whole;
}

function orNull(schema: JsonObject): JsonObject {
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: [...schema.anyOf, { type: 'null' }] };
  if (schema.enum !== undefined) return { anyOf: [schema, { type: 'null' }] };
  return { ...schema, type: [schema.type, 'null'] };
}

/** What the server would not understand, the model will. */
function withHint(words: JsonObject, told: JsonObject): JsonObject {
  if (Object.keys(told).length === 0) return words;
  const hint = `Has to fit ${JSON.stringify(told)}.`;
  const description = textOf(words.description);
  return { ...words, description: description === '' ? hint : `${description} ${hint}` };
}

/** A schema in the old form as JSON Schema. */
export function readSchema(wire: unknown): JsonObject {
  const { type, nullable, example, properties, items, anyOf, format, ...rest } = named(wire);
  const { enum: choices, propertyOrdering: _, ...words } = rest;
  const name = typeof type === 'string' && type !== 'TYPE_UNSPECIFIED' ? type.toLowerCase() : undefined;
  const branches = objectsIn(anyOf).map(readSchema);
  const isNullable = nullable === true;
  return {
    ...(name === undefined ? {} : { type: isNullable ? [name, 'null'] : name }),
    ...Object.fromEntries(Object.entries(words).map(([word, value]) => [word, numberOf(word, value)])),
    ...(format === undefined || format === 'enum' ? {} : { format }),
    ...(Array.isArray(choices) ? { enum: isNullable ? [...choices, null] : choices } : {}),
    ...(example === undefined ? {} : { examples: [example] }),
    ...(isObject(properties)
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([property, schema]) => [property, readSchema(schema)]),
          ),
        }
      : {}),
    ...(items === undefined ? {} : { items: readSchema(objectOf(items)) }),
    ...(branches.length === 0 ? {} : { anyOf: isNullable ? [...branches, { type: 'null' }] : branches }),
  };
}

/** Whole numbers of 64 bits are texts in Google's JSON. */
function numberOf(word: string, value: unknown): unknown {
  return /^(min|max)[A-Z]/.test(word) && typeof value === 'string' && /^\d+$/.test(value)
    ? Number(value)
    : value;
}
