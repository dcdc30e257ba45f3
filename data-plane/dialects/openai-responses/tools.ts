// Tools, which of them to use, and in which form to answer. Tools are flat here; what is no function (searches, interpreters,
// custom grammars) exists in this dialect alone.
import {
  defined,
  isObject,
  type JsonObject,
  objectOf,
  rest,
  textOf,
  withExtras,
  wrongType,
} from '../../json/values.ts';
import type { ResponseFormat, Tool, ToolChoice } from '../../turn/request.ts';

export function decodeTool(tool: unknown, index: number): Tool {
  const path = `tools[${index}]`;
  if (!isObject(tool)) throw wrongType(path, 'an object');
  if (tool.type !== 'function') {
    return { name: textOf(tool.name) || textOf(tool.type), isPrivate: true, extras: { whole: tool } };
  }
  if (typeof tool.name !== 'string') throw wrongType(`${path}.name`, 'a string');
  const { description, parameters, strict } = tool;
  const known = defined({
    description: typeof description === 'string' ? description : undefined,
    parameters: isObject(parameters) ? parameters : undefined,
    strict: typeof strict === 'boolean' ? strict : undefined,
    cacheControl: isObject(tool.cache_control) ? tool.cache_control : undefined,
  });
  const written = ['type', 'name', ...Object.keys(known).filter((name) => name !== 'cacheControl')];
  return { name: tool.name, ...known, ...withExtras(defined({ fields: rest(tool, written) })) };
}

/** `isForeign`: said in another dialect, where a tool is not strict unless it says so; here it is the other way round. */
export function encodeTool(
  { name, description, parameters, strict, extras = {} }: Tool,
  isForeign: boolean,
): JsonObject {
  if (isObject(extras.whole)) return extras.whole;
  const foreign = isForeign
    ? { parameters: parameters ?? null, strict: strict ?? false }
    : { parameters, strict };
  return { ...objectOf(extras.fields), type: 'function', name, ...defined({ description, ...foreign }) };
}

export function decodeToolChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice;
  const isNamed = isObject(choice) && choice.type === 'function' && typeof choice.name === 'string';
  return isNamed ? { name: choice.name as string } : undefined;
}

export function encodeToolChoice(choice: ToolChoice, written: unknown): unknown {
  if (typeof choice === 'string') return choice;
  return { ...objectOf(written), type: 'function', name: choice.name };
}

const formats = { text: 'text', json_object: 'json' } as const;

export function decodeFormat(format: unknown): ResponseFormat | undefined {
  if (!isObject(format)) return undefined;
  const { type, ...fields } = format;
  if (type === 'json_schema') return { kind: 'schema', fields };
  const known = Object.hasOwn(formats, textOf(type)) ? formats[type as keyof typeof formats] : undefined;
  return known === undefined ? undefined : { kind: known };
}

export function encodeFormat(format: ResponseFormat, written: unknown): JsonObject {
  if (format.kind !== 'schema') {
    return { ...objectOf(written), type: format.kind === 'json' ? 'json_object' : 'text' };
  }
  const { fields } = format;
  // A schema without a name is refused.
  const name = typeof fields.name === 'string' || isObject(written) ? {} : { name: 'answer' };
  return { type: 'json_schema', ...name, ...fields };
}
