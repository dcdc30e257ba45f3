// How vendors are asked for a count. The client's own words pass with the model changed; another client's are translated, less what
// the vendor has no words for: a count is for planning ahead, and a field less is a few tokens.
import { SignalboxError } from '#shared/errors.ts';
import type { ClientDialectName, EncodeTarget, RequestHead } from '../../dialects/dialect.ts';
import { named } from '../../dialects/gemini/wire.ts';
import { clientDialectNamed } from '../../dialects/registry.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject } from '../../json/values.ts';
import { type TurnRequest, withoutExtras } from '../../turn/request.ts';
import type { ServiceForm, ServiceRequest } from '../service.ts';

interface CountWire {
  readonly dialect: ClientDialectName;
  own(head: RequestHead, model: string): readonly Buffer[];
  /** A request for an answer as one for a count. */
  ask(request: JsonObject, model: string): JsonObject;
  readonly answerField: string;
}

/** What Anthropic takes to count; everything else is refused, because nothing is answered. */
const countedFields = ['model', 'messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config'];

const wires: Readonly<Record<string, CountWire>> = {
  anthropic: {
    dialect: 'anthropic-messages',
    own: (head, model) => clientDialectNamed('anthropic-messages').splice(head, { model }),
    ask: (request) =>
      Object.fromEntries(Object.entries(request).filter(([field]) => countedFields.includes(field))),
    answerField: 'input_tokens',
  },
  gemini: {
    dialect: 'gemini',
    own: ({ body }, model) => [withGoogleName(body, model)],
    ask: (request, model) => ({ generateContentRequest: { ...request, model: googleName(model) } }),
    answerField: 'totalTokens',
  },
};

/** `own`: the wire that the client speaks. */
export function countForms(
  own: string,
  render: (tokens: number) => JsonObject,
): Readonly<Record<string, ServiceForm>> {
  const forms = Object.entries(wires).map(
    ([name, wire]) => [name, countForm(wire, name === own, render)] as const,
  );
  return Object.freeze(Object.fromEntries(forms));
}

interface Details {
  readonly head: RequestHead;
  meaning(): TurnRequest;
}

const leaveOut: EncodeTarget = { unsupported: () => undefined };

function countForm(wire: CountWire, isOwn: boolean, render: (tokens: number) => JsonObject): ServiceForm {
  const dialect = clientDialectNamed(wire.dialect);
  const translated = (request: ServiceRequest, model: string): readonly Buffer[] => {
    const meaning = { ...withoutExtras((request.details as Details).meaning()), model, stream: false };
    return [Buffer.from(JSON.stringify(wire.ask(dialect.encode(meaning, leaveOut), model)))];
  };
  return Object.freeze<ServiceForm>({
    isOwn,
    encode: (request, { model }) => ({
      body: isOwn ? wire.own((request.details as Details).head, model) : translated(request, model),
      contentType: 'application/json',
    }),
    convert: (body) => {
      const tokens = tokensIn(body, wire.answerField);
      const report = { id: '', usage: undefined, rawUsage: '', error: undefined };
      return { report, body: isOwn ? body : Buffer.from(JSON.stringify(render(tokens))) };
    },
    readError: (status, headers, body) => dialect.readError(status, headers, body),
  });
}

function tokensIn(body: Buffer, field: string): number {
  let answer: unknown;
  try {
    answer = parseJson(body);
  } catch {
    // Told below, like an answer without a count.
  }
  const tokens = isObject(answer) ? answer[field] : undefined;
  if (typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0) return tokens;
  throw new SignalboxError(
    'upstream_invalid',
    `The provider counted, but there is no "${field}" in its answer.`,
  );
}

/** A whole request names its model once more, which has to be the one in the path. */
function withGoogleName(body: Buffer, model: string): Buffer {
  const wire = named(parseJson(body));
  if (!isObject(wire.generateContentRequest)) return body;
  const request = { ...wire.generateContentRequest, model: googleName(model) };
  return Buffer.from(JSON.stringify({ ...wire, generateContentRequest: request }));
}

function googleName(model: string): string {
  return model.includes('/') ? model : `models/${model}`;
}
