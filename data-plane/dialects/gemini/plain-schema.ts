// A JSON Schema with one way to say each thing, which is what Google's two forms of schemas are then written from: references are
// written out, one that leads back to itself becomes any object, a constant becomes a choice of one, and `null` becomes a mark.
// Names of properties are never taken for words of the language, whatever they are.
import { limits } from '#shared/limits.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../../json/values.ts';

export interface PlainSchema {
  /** Undefined where anything may stand, and where `anyOf` says it. */
  readonly type?: string;
  readonly isNullable: boolean;
  readonly properties?: Readonly<Record<string, PlainSchema>>;
  readonly required?: readonly string[];
  /** True for anything. False is the same as nothing said: models write no more than they were told of. */
  readonly additional?: PlainSchema | true;
  readonly items?: PlainSchema;
  readonly places?: readonly PlainSchema[];
  readonly anyOf?: readonly PlainSchema[];
  readonly choices?: readonly unknown[];
  /** Everything else that narrows or explains, by its own name. */
  readonly words: JsonObject;
}

interface Walk {
  readonly root: JsonObject;
  /** References that are being written out, the outermost first. */
  readonly open: readonly string[];
  readonly nodes: { left: number };
}

export function plainSchema(schema: JsonObject): PlainSchema {
  return simplify(schema, { root: schema, open: [], nodes: { left: limits.schemaNodesMax } });
}

const anything: PlainSchema = Object.freeze({ isNullable: false, words: {} });

function simplify(value: unknown, walk: Walk): PlainSchema {
  if (!isObject(value)) return anything;
  walk.nodes.left -= 1;
  if (typeof value.$ref !== 'string') return simplifyAll(value, walk);
  const { $ref, ...beside } = value;
  const isEndless = walk.open.length >= limits.jsonDepthMax || walk.nodes.left <= 0;
  const isOpen = isEndless || walk.open.includes($ref);
  const target = isOpen ? undefined : resolve(walk.root, $ref);
  const own = simplifyAll(beside, walk);
  if (target === undefined) return { ...own, type: 'object' };
  return merge(simplify(target, { ...walk, open: [...walk.open, $ref] }), own);
}

function resolve(root: JsonObject, pointer: string): unknown {
  if (!pointer.startsWith('#')) return undefined;
  const steps = pointer.slice(1).split('/').slice(1);
  return steps.reduce((at: unknown, step) => {
    const name = decode(step).replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(at)) return at[Number(name)] as unknown;
    return isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  }, root);
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

function simplifyAll(value: JsonObject, walk: Walk): PlainSchema {
  const own = simplifyOne(value, walk);
  const all = objectsIn(value.allOf).map((member) => simplify(member, walk));
  return all.reduce(merge, own);
}

/** Said about the schema and not about what it describes. */
const remarks = ['$schema', '$id', '$anchor', '$comment', '$defs', 'definitions', 'examples', 'example'];
const notes = ['readOnly', 'writeOnly', 'deprecated', 'nullable', 'strict'];
const understood = [
  ...['type', 'properties', 'required', 'additionalProperties', 'items', 'prefixItems', 'anyOf', 'oneOf'],
  ...['allOf', 'enum', 'const', 'exclusiveMinimum', 'exclusiveMaximum'],
];
const left: ReadonlySet<string> = new Set([...remarks, ...notes, ...understood]);

function simplifyOne(value: JsonObject, walk: Walk): PlainSchema {
  const words = Object.fromEntries(
    Object.entries(value).filter(([key, word]) => !left.has(key) && word != null),
  );
  const given = Object.hasOwn(value, 'const') ? [value.const] : value.enum;
  const choices = Array.isArray(given) ? given.filter((choice) => choice !== null) : undefined;
  const types = typesOf(value, choices);
  const mayBeNull =
    types.includes('null') || value.nullable === true || (Array.isArray(given) && given.includes(null));
  const [type, ...others] = types.filter((name) => name !== 'null');
  const branches = alternatives(value, walk);
  const isNullable = mayBeNull && type !== undefined;
  const schema: PlainSchema = {
    isNullable: isNullable || branches.some(({ type: name }) => name === 'null'),
    words: { ...words, ...bounds(value, type) },
    ...inner(value, walk),
    ...(type === undefined ? (mayBeNull ? { type: 'null' } : {}) : { type }),
    ...(choices === undefined || choices.length === 0 ? {} : { choices }),
  };
  if (others.length > 0) return alternativesOf(schema, [type!, ...others]);
  const real = branches.filter(({ type: name }) => name !== 'null');
  if (real.length === 0) return schema;
  // Being null or one thing is being that thing, or null.
  if (real.length === 1)
    return merge(schema, { ...real[0]!, isNullable: schema.isNullable || real[0]!.isNullable });
  return { ...schema, anyOf: real };
}

function alternatives({ anyOf, oneOf }: JsonObject, walk: Walk): readonly PlainSchema[] {
  return [...objectsIn(anyOf), ...objectsIn(oneOf)].map((branch) => simplify(branch, walk));
}

function typesOf(
  { type, properties, items }: JsonObject,
  choices: readonly unknown[] | undefined,
): readonly string[] {
  if (Array.isArray(type))
    return type.filter((name) => typeof name === 'string').map((name) => name.toLowerCase());
  if (typeof type === 'string') return [type.toLowerCase()];
  if (isObject(properties)) return ['object'];
  if (isObject(items)) return ['array'];
  if (choices === undefined || choices.length === 0) return [];
  const [kind, ...kinds] = new Set(choices.map((choice) => typeof choice));
  return kinds.length === 0 && (kind === 'string' || kind === 'number' || kind === 'boolean') ? [kind] : [];
}

function inner(value: JsonObject, walk: Walk): Partial<PlainSchema> {
  const { properties, required, additionalProperties: additional, items, prefixItems } = value;
  const places = Array.isArray(items) ? items : prefixItems;
  const names = isObject(properties) ? Object.keys(properties) : [];
  const demanded = Array.isArray(required) ? required.filter((name) => names.includes(textOf(name))) : [];
  return {
    ...(isObject(properties)
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, property]) => [name, simplify(property, walk)]),
          ),
        }
      : {}),
    ...(demanded.length === 0 ? {} : { required: demanded as string[] }),
    ...(additional === true ? { additional } : {}),
    ...(isObject(additional) ? { additional: simplify(additional, walk) } : {}),
    ...(isObject(items) ? { items: simplify(items, walk) } : {}),
    ...(Array.isArray(places) ? { places: places.map((place) => simplify(place, walk)) } : {}),
  };
}

/** What lies outside a whole number is the next one; between other numbers there is no next one. */
function bounds(
  { exclusiveMinimum: above, exclusiveMaximum: below }: JsonObject,
  type: string | undefined,
): JsonObject {
  const isWhole = type === 'integer';
  return {
    ...(typeof above === 'number' ? (isWhole ? { minimum: above + 1 } : { exclusiveMinimum: above }) : {}),
    ...(typeof below === 'number' ? (isWhole ? { maximum: below - 1 } : { exclusiveMaximum: below }) : {}),
  };
}

/** What only some types have; what is in no list, all of them may. */
const belongings: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additional', 'minProperties', 'maxProperties'],
  array: ['items', 'places', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

function alternativesOf(schema: PlainSchema, types: readonly string[]): PlainSchema {
  const { description, title, ...words } = schema.words;
  const anyOf = types.map((type): PlainSchema => {
    const foreign = Object.entries(belongings)
      .filter(([name]) => name !== (type === 'integer' ? 'number' : type))
      .flatMap(([, names]) => names);
    const kept = (members: object): [string, unknown][] =>
      Object.entries(members).filter(([name]) => !foreign.includes(name));
    return {
      ...Object.fromEntries(kept(schema)),
      type,
      isNullable: false,
      words: Object.fromEntries(kept(words)),
    };
  });
  const said = Object.entries({ title, description }).filter(([, text]) => text !== undefined);
  return { isNullable: schema.isNullable, anyOf, words: Object.fromEntries(said) };
}

function merge(one: PlainSchema, other: PlainSchema): PlainSchema {
  const required = [...new Set([...(one.required ?? []), ...(other.required ?? [])])];
  return {
    ...one,
    ...other,
    isNullable: one.isNullable || other.isNullable,
    words: { ...one.words, ...other.words },
    ...(one.properties && other.properties ? { properties: { ...one.properties, ...other.properties } } : {}),
    ...(required.length === 0 ? {} : { required }),
  };
}
