// Tools, both ways. Functions are declared in a list inside a tool; whatever else stands in a tool (search, running code) only
// Google has. Extras remember which tool of the body a function stood in.
import {
  defined,
  isObject,
  type JsonObject,
  objectOf,
  objectsIn,
  rest,
  textOf,
  withExtras,
  wrongType,
} from '../../json/values.ts';
import type { Tool, ToolChoice } from '../../turn/request.ts';
import { readSchema, writeSchema } from './schema.ts';
import { named } from './wire.ts';

export function decodeTools(wire: unknown): readonly Tool[] {
  if (wire == null) return [];
  if (!Array.isArray(wire)) throw wrongType('tools', 'a list');
  return wire.flatMap((tool, at) => decodeTool(tool, at));
}

function decodeTool(value: unknown, at: number): readonly Tool[] {
  if (!isObject(value)) throw wrongType(`tools[${at}]`, 'an object');
  const { functionDeclarations, ...others } = named(value);
  const list = functionDeclarations == null ? [] : functionDeclarations;
  const functions = (Array.isArray(list) ? list : [list]).map((declaration, index) =>
    decodeFunction(declaration, `tools[${at}].functionDeclarations[${index}]`, at),
  );
  const hasList = functionDeclarations !== undefined && functions.length === 0;
  const foreign = Object.keys(others).map(
    (name): Tool => ({ name, isPrivate: true, extras: { at, whole: others[name] } }),
  );
  return hasList ? [...foreign, { name: '', extras: { at, isEmpty: true } }] : [...functions, ...foreign];
}

function decodeFunction(value: unknown, path: string, at: number): Tool {
  if (!isObject(value)) throw wrongType(path, 'an object');
  const wire = named(value);
  if (typeof wire.name !== 'string') throw wrongType(`${path}.name`, 'a string');
  const { description, parameters, parametersJsonSchema } = wire;
  const schema = isObject(parametersJsonSchema)
    ? parametersJsonSchema
    : isObject(parameters)
      ? readSchema(parameters)
      : undefined;
  const fields = rest(wire, ['name', ...(typeof description === 'string' ? ['description'] : [])]);
  return {
    name: wire.name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(schema === undefined ? {} : { parameters: schema }),
    ...withExtras(defined({ at, fields })),
  };
}

export function encodeTools(tools: readonly Tool[]): readonly JsonObject[] {
  const written: { at: unknown; tool: Record<string, unknown> }[] = [];
  for (const tool of tools) {
    const at = tool.extras?.at;
    let last = written.at(-1);
    if (last === undefined || last.at !== at) {
      last = { at, tool: {} };
      written.push(last);
    }
    addTool(last.tool, tool);
  }
  return written.map(({ tool }) => tool);
}

function addTool(into: Record<string, unknown>, tool: Tool): void {
  const { name, extras = {} } = tool;
  if (Object.hasOwn(extras, 'whole')) {
    into[name] = extras.whole;
    return;
  }
  const declared = objectsIn(into.functionDeclarations);
  into.functionDeclarations = extras.isEmpty === true ? declared : [...declared, encodeFunction(tool)];
}

function encodeFunction({ name, description, parameters, extras }: Tool): JsonObject {
  const told = { name, ...(description === undefined ? {} : { description }) };
  if (extras?.at !== undefined) return { ...told, ...objectOf(extras.fields) };
  const schema = writeSchema(parameters ?? {});
  if (schema === undefined) return told;
  return { ...told, [schema.form === 'schema' ? 'parameters' : 'parametersJsonSchema']: schema.schema };
}

/** What each of Google's modes is. `VALIDATED` leaves the choice to the model too. */
const modes: Readonly<Record<string, 'auto' | 'none' | 'required'>> = {
  AUTO: 'auto',
  VALIDATED: 'auto',
  MODE_UNSPECIFIED: 'auto',
  ANY: 'required',
  NONE: 'none',
};

export function decodeToolChoice(toolConfig: JsonObject): ToolChoice | undefined {
  const config = named(toolConfig.functionCallingConfig);
  const mode = modes[textOf(config.mode).toUpperCase()];
  const names = Array.isArray(config.allowedFunctionNames) ? config.allowedFunctionNames : [];
  const [only] = names;
  return mode === 'required' && names.length === 1 && typeof only === 'string' ? { name: only } : mode;
}

const wireModes = { auto: 'AUTO', none: 'NONE', required: 'ANY' } as const;

export function encodeToolChoice(choice: ToolChoice): JsonObject {
  if (typeof choice === 'string') return { mode: wireModes[choice] };
  return { mode: 'ANY', allowedFunctionNames: [choice.name] };
}
