// A form that only vendors write: the client's request as an object of theirs, and their answer as an object of the client's.
import type { BodyReport, UpstreamHeaders } from '../dialects/dialect.ts';
import { readError } from '../dialects/read-error.ts';
import { parseJson } from '../json/parse.ts';
import { isObject, type JsonObject } from '../json/values.ts';
import { noAnswer } from './own-form.ts';
import type { ServiceForm, ServiceRequest, ServiceTarget } from './service.ts';

export interface VendorFormOptions {
  encode(request: ServiceRequest, target: ServiceTarget): JsonObject;
  /** Throws `upstream_invalid` when it is no answer. */
  convert(
    answer: JsonObject,
    request: ServiceRequest,
    headers: UpstreamHeaders,
  ): { readonly answer: JsonObject; readonly report: BodyReport };
}

export function vendorForm({ encode, convert }: VendorFormOptions): ServiceForm {
  return Object.freeze<ServiceForm>({
    isOwn: false,
    encode: (request, target) => ({
      body: [Buffer.from(JSON.stringify(encode(request, target)))],
      contentType: 'application/json',
    }),
    convert: (body, request, headers) => {
      const { answer, report } = convert(parseAnswer(body), request, headers);
      return { report, body: Buffer.from(JSON.stringify(answer)), contentType: 'application/json' };
    },
    readError,
  });
}

function parseAnswer(body: Buffer): JsonObject {
  let answer: unknown;
  try {
    answer = parseJson(body);
  } catch (cause) {
    throw noAnswer('a JSON object', cause);
  }
  if (!isObject(answer)) throw noAnswer('a JSON object');
  return answer;
}
