// A value that a JSON schema accepts, always the same one: arguments for a tool call, or an answer in a demanded format. It
// knows the keywords that tools and structured outputs use; a schema that contradicts itself gets a best effort.

type Schema = Readonly<Record<string, unknown>>;

/** Schemas may refer to themselves, and to themselves twice: both the depth and the number of values have an end. */
const DEPTH_MAX = 6;
const VALUES_MAX = 2000;

const formats: Readonly<Record<string, string>> = {
  'date-time': '2025-01-01T00:00:00Z',
  date: '2025-01-01',
  time: '00:00:00Z',
  duration: 'P1D',
  email: 'demo@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

export function sampleOf(schema: unknown): unknown {
  return sample(schema, { root: schema, depth: 0, budget: { valuesLeft: VALUES_MAX } });
}

interface Place {
  readonly root: unknown;
  readonly depth: number;
  readonly budget: { valuesLeft: number };
}

function sample(value: unknown, place: Place): unknown {
  place.budget.valuesLeft -= 1;
  if (place.depth > DEPTH_MAX || place.budget.valuesLeft < 0) return null;
  if (!isSchema(value)) return 'demo';
  const schema = resolve(value, place.root);
  const deeper = { ...place, depth: place.depth + 1 };
  for (const given of ['const', 'default'] as const) if (Object.hasOwn(schema, given)) return schema[given];
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0];
  const alternatives = [schema.anyOf, schema.oneOf].find((list) => Array.isArray(list) && list.length > 0);
  if (Array.isArray(alternatives))
    return sample({ ...without(schema, ['anyOf', 'oneOf']), ...asSchema(alternatives[0]) }, deeper);
  if (Array.isArray(schema.allOf)) return sample(merged(schema, place.root), deeper);
  switch (typeOf(schema)) {
    case 'object':
      return sampleObject(schema, deeper);
    case 'array':
      return sampleArray(schema, deeper);
    case 'integer':
    case 'number':
      return sampleNumber(schema);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return sampleString(schema);
  }
}

function sampleObject(schema: Schema, place: Place): Record<string, unknown> {
  const properties = asSchema(schema.properties);
  const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
  return Object.fromEntries(
    required.map((name) => [name, sample(Object.hasOwn(properties, name) ? properties[name] : {}, place)]),
  );
}

function sampleArray(schema: Schema, place: Place): unknown[] {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  const count = Math.min(Math.max(prefix.length, numberIn(schema, 'minItems') ?? 0), 100);
  return Array.from({ length: count }, (_, index) => sample(prefix[index] ?? schema.items ?? {}, place));
}

function sampleNumber(schema: Schema): number {
  const isWhole = typeOf(schema) === 'integer';
  const step = numberIn(schema, 'multipleOf') ?? (isWhole ? 1 : 0);
  const above = numberIn(schema, 'exclusiveMinimum');
  const below = numberIn(schema, 'exclusiveMaximum');
  const least = numberIn(schema, 'minimum') ?? above;
  const most = numberIn(schema, 'maximum') ?? below;
  const wanted = least ?? Math.min(1, most ?? 1);
  const even = step > 0 ? Math.ceil(wanted / step) * step : wanted;
  if (step > 0 && most !== undefined && even > most) return Math.floor(most / step) * step;
  if (even === above) return even + (step > 0 ? step : below === undefined ? 1 : (below - above) / 2);
  if (even === below) return even - (step > 0 ? step : 1);
  return even;
}

function sampleString(schema: Schema): string {
  const format = typeof schema.format === 'string' ? formats[schema.format] : undefined;
  const text = format ?? 'demo';
  const least = Math.min(numberIn(schema, 'minLength') ?? 0, 10_000);
  const most = numberIn(schema, 'maxLength') ?? Number.POSITIVE_INFINITY;
  return text.padEnd(least, '.').slice(0, most);
}

function typeOf(schema: Schema): string {
  const { type } = schema;
  const first = Array.isArray(type) ? (type.find((name) => name !== 'null') ?? 'null') : type;
  if (typeof first === 'string') return first;
  if (isSchema(schema.properties)) return 'object';
  return schema.items === undefined ? 'string' : 'array';
}

/** Follows a reference within the schema; one that leads nowhere, or in a circle, accepts anything. */
function resolve(schema: Schema, root: unknown): Schema {
  let current = schema;
  for (let hops = 0; typeof current.$ref === 'string'; hops += 1) {
    if (hops > DEPTH_MAX) return {};
    const steps = current.$ref.replace(/^#\/?/, '').split('/').filter(Boolean);
    const target = steps.reduce<unknown>(
      (at, step) => asSchema(at)[step.replaceAll('~1', '/').replaceAll('~0', '~')],
      root,
    );
    current = { ...without(current, ['$ref']), ...asSchema(target) };
  }
  return current;
}

function merged(schema: Schema, root: unknown): Schema {
  const all = (schema.allOf as readonly unknown[]).map((part) => resolve(asSchema(part), root));
  const parts = [without(schema, ['allOf']), ...all];
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map((part) => asSchema(part.properties))),
    required: parts.flatMap((part) => (Array.isArray(part.required) ? part.required : [])),
  };
}

function without(schema: Schema, keys: readonly string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.includes(key)));
}

function numberIn(schema: Schema, key: string): number | undefined {
  return typeof schema[key] === 'number' ? schema[key] : undefined;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asSchema(value: unknown): Schema {
  return isSchema(value) ? value : {};
}
