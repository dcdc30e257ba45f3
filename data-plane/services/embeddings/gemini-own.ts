// Gemini's embeddings from Gemini's clients: the bytes of each text pass with the model changed. A single text goes out as a batch
// of one, its bytes between a few of ours, and the one answer is cut out of the batch's.
import { SignalboxError } from '#shared/errors.ts';
import type { Address, BodyReport } from '../../dialects/dialect.ts';
import { ambiguousKey, GATEWAY_KEY, withoutGateway } from '../../dialects/head-fields.ts';
import { errorInStream, readError } from '../../dialects/read-error.ts';
import { parseJson } from '../../json/parse.ts';
import { scanArray, scanObject, wantedKeys } from '../../json/scan.ts';
import { type Replacement, splice } from '../../json/splice.ts';
import { type JsonObject, objectOf, objectsIn } from '../../json/values.ts';
import { noAnswer } from '../own-form.ts';
import type { ConvertedBody, ServiceForm, ServiceRequest } from '../service.ts';
import { geminiModelName, geminiUsage } from './gemini.ts';

type Shape = 'requests' | 'content';

const requestKeys = wantedKeys('requests', 'content', GATEWAY_KEY);
const modelKey = wantedKeys('model');
const answerKeys = wantedKeys('embeddings', 'usageMetadata', 'error');

export function readGemini(shape: Shape, body: Buffer, address: Address | undefined): ServiceRequest {
  const { members, ambiguous } = scanObject(body, requestKeys);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const { [GATEWAY_KEY]: gateway, [shape]: asked } = members;
  if (gateway !== undefined) {
    return withoutGateway(body, gateway, (rest) => readGemini(shape, rest, address));
  }
  if (asked === undefined) {
    throw new SignalboxError(
      'invalid_request',
      `The field "${shape}" is missing. It holds what is to be embedded.`,
      {
        param: shape,
      },
    );
  }
  return {
    body,
    contentType: 'application/json',
    model: address?.model ?? '',
    stream: false,
    gateway: undefined,
    details: { shape },
  };
}

/** Each text with its wishes. */
export function requestsIn({ body, details }: ServiceRequest): readonly JsonObject[] {
  const parsed = objectOf(parseJson(body));
  return (details as { readonly shape: Shape }).shape === 'content' ? [parsed] : objectsIn(parsed.requests);
}

export const geminiBatchForm: ServiceForm = Object.freeze<ServiceForm>({
  isOwn: true,
  encode: ({ body }, { model }) => {
    const { start, end } = scanObject(body, requestKeys).members.requests!;
    const changes = scanArray(body, start, end).map((item) => modelChange(body, model, item.start, item.end));
    return { body: splice(body, changes), contentType: 'application/json' };
  },
  convert: (body) => ({ body, report: inspect(body) }),
  readError,
});

export const geminiOneForm: ServiceForm = Object.freeze<ServiceForm>({
  isOwn: true,
  encode: ({ body }, { model }) => ({
    body: [
      Buffer.from('{"requests":['),
      ...splice(body, [modelChange(body, model, 0, body.length)]),
      Buffer.from(']}'),
    ],
    contentType: 'application/json',
  }),
  convert: oneOfBatch,
  readError,
});

/** Every request of a batch repeats the model of the address. */
function modelChange(body: Buffer, model: string, from: number, to: number): Replacement {
  const { open, isEmpty, members, ambiguous } = scanObject(body, modelKey, from, to);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const name = JSON.stringify(geminiModelName(model));
  if (members.model !== undefined) return { start: members.model.start, end: members.model.end, text: name };
  return { start: open, end: open, text: `"model":${name}${isEmpty ? '' : ','}` };
}

function oneOfBatch(body: Buffer): ConvertedBody {
  const report = inspect(body);
  if (report.error) return { body, report };
  const { embeddings, usageMetadata } = scanObject(body, answerKeys).members;
  const [first] = scanArray(body, embeddings!.start, embeddings!.end);
  if (first === undefined) throw noAnswer('an embedding');
  const usage =
    usageMetadata === undefined
      ? []
      : [Buffer.from(',"usageMetadata":'), body.subarray(usageMetadata.start, usageMetadata.end)];
  const parts = [
    Buffer.from('{"embedding":'),
    body.subarray(first.start, first.end),
    ...usage,
    Buffer.from('}'),
  ];
  return { body: Buffer.concat(parts), report };
}

function inspect(body: Buffer): BodyReport {
  const nothing: BodyReport = { id: '', usage: undefined, rawUsage: '', error: undefined };
  try {
    const { embeddings, usageMetadata, error } = scanObject(body, answerKeys).members;
    if (error !== undefined) return { ...nothing, error: errorInStream(parseJson(body)) };
    if (embeddings === undefined) return { ...nothing, error: noAnswer('embeddings') };
    if (usageMetadata === undefined) return nothing;
    const raw = body.toString('utf8', usageMetadata.start, usageMetadata.end);
    const { usage } = geminiUsage({ usageMetadata: parseJson(raw) });
    return { ...nothing, usage, rawUsage: raw };
  } catch (cause) {
    return { ...nothing, error: noAnswer('embeddings', cause) };
  }
}
