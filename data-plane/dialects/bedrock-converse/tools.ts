// The tools of a request. Bedrock wants them described whenever the conversation has a call in it, even where the client no
// longer offers any; and it knows no way to forbid them. So a client that forbids tools is sent without any as long as none was
// called, and with those that were called after that; that they could be called again, it is told.
import type { JsonObject } from '../../json/values.ts';
import type { Tool, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget } from '../dialect.ts';
import { cachePoints, type Writing } from './conversation.ts';

export interface EncodedTools {
  readonly toolConfig?: JsonObject;
  /** What only Claude understands, and only in words of its own. */
  readonly additional: JsonObject;
}

export function encodeTools(
  request: TurnRequest,
  writing: Writing,
  leftOut: EncodeTarget['leftOut'],
): EncodedTools {
  const called = calledTools(request);
  const isForbidden = request.toolChoice === 'none';
  if (isForbidden && called.length > 0) leftOut?.('toolChoice');
  const offered = isForbidden && called.length === 0 ? [] : request.tools;
  const tools = offered.length === 0 ? called : offered;
  if (tools.length === 0) return { additional: {} };
  const specs = tools.flatMap((tool, index) => encodeTool(tool, index, writing));
  if (offered.length === 0 || isForbidden) return { toolConfig: { tools: specs }, additional: {} };
  const choice = encodeChoice(request, writing);
  return {
    toolConfig: {
      tools: specs,
      ...(choice.toolChoice === undefined ? {} : { toolChoice: choice.toolChoice }),
    },
    additional: choice.additional,
  };
}

/** The tools that the conversation has called, of which nothing more may be known than their names. */
function calledTools({ messages }: TurnRequest): readonly Tool[] {
  const calls = messages.flatMap(({ parts }) => parts.filter((part) => part.kind === 'tool-call'));
  return [...new Set(calls.map(({ name }) => name))].map((name) => ({ name }));
}

function encodeTool(
  tool: Tool,
  index: number,
  { model, names, unsupported }: Writing,
): readonly JsonObject[] {
  const { name, description = '', parameters = {}, strict, cacheControl } = tool;
  const isStrict = strict === true && !model.lacksSchemas;
  if (strict === true && model.lacksSchemas) {
    unsupported(`tools[${index}].strict`, 'Bedrock does not hold this model to the schema of a tool.');
  }
  const isEmpty = Object.keys(parameters).length === 0;
  const json = { type: 'object', ...(isEmpty ? { properties: {} } : {}), ...parameters };
  const toolSpec = {
    name: names.name(name),
    ...(description.trim() === '' ? {} : { description }),
    inputSchema: { json },
    ...(isStrict ? { strict } : {}),
  };
  return [{ toolSpec }, ...(model.takesToolMarks ? cachePoints(cacheControl) : [])];
}

/** What is so by default is not said: some models take no choice at all. */
function encodeChoice(
  { toolChoice, parallelToolCalls }: TurnRequest,
  { model, names, unsupported }: Writing,
): { readonly toolChoice?: JsonObject; readonly additional: JsonObject } {
  const named = typeof toolChoice === 'object' ? names.name(toolChoice.name) : undefined;
  const type = named === undefined ? (toolChoice === 'required' ? 'any' : 'auto') : 'tool';
  const body = named === undefined ? {} : { name: named };
  if (parallelToolCalls === false && model.maker === 'anthropic') {
    // Beside a choice of Converse's own, this would be refused.
    return { additional: { tool_choice: { type, ...body, disable_parallel_tool_use: true } } };
  }
  if (parallelToolCalls === false) {
    unsupported('parallelToolCalls', 'this model decides itself how many tools it calls at once.');
  }
  return type === 'auto' ? { additional: {} } : { toolChoice: { [type]: body }, additional: {} };
}
