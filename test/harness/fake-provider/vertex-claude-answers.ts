// Claude as Google serves it: Anthropic's messages with the model in the path and the version in the body, and refused where either is
// not so. What follows an `@` in the model's name may be a script: `claude-fake@error-500`.
import type { ChatRequest, WireFormat } from './answers.ts';
import { parseScript } from './behaviour.ts';
import { messagesWire } from './message-answers.ts';

const PATH =
  /^\/v1\/projects\/[^/]+\/locations\/[^/]+\/publishers\/anthropic\/models\/([^/:]+):(rawPredict|streamRawPredict)$/;

export const vertexClaudeWire: WireFormat = {
  ...messagesWire,
  matches: (path) => PATH.test(path),
  readRequest,
};

interface VertexBody {
  model?: unknown;
  anthropic_version?: unknown;
}

function readRequest(body: Buffer, path: string): ChatRequest | undefined {
  const [, model = '', verb] = PATH.exec(path) ?? [];
  let parsed: VertexBody;
  try {
    parsed = JSON.parse(body.toString()) as VertexBody;
  } catch {
    return undefined;
  }
  if (parsed.model !== undefined || parsed.anthropic_version !== 'vertex-2023-10-16') return undefined;
  const request = messagesWire.readRequest(Buffer.from(JSON.stringify({ ...parsed, model })), path);
  if (request === undefined || request.streamed !== (verb === 'streamRawPredict')) return undefined;
  const version = model.split('@')[1];
  const script = version !== undefined && parseScript(version) !== undefined ? version : request.script;
  return { ...request, script };
}
