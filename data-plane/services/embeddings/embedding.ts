// Embeddings in no vendor's words: texts in, as many vectors out. What clients write is read into this once; each vendor's form
// is written from it and its answer read back, so that two client languages and six vendors' make eight files and not twelve.
import { SignalboxError } from '#shared/errors.ts';
import type { UpstreamHeaders } from '../../dialects/dialect.ts';
import type { JsonObject } from '../../json/values.ts';
import type { Usage } from '../../turn/usage.ts';
import { noAnswer } from '../own-form.ts';
import type { ServiceTarget } from '../service.ts';

export interface EmbeddingRequest {
  readonly model: string;
  /** At least one. */
  readonly texts: readonly string[];
  readonly dimensions?: number;
  readonly purpose?: Purpose;
  readonly title?: string;
  readonly names: FieldNames;
  /** Fields of the client's that mean nothing to any other vendor, by their names. */
  readonly untranslatable: readonly string[];
}

/** What the vectors are for, as far as vendors make a difference. */
export type Purpose =
  | 'query'
  | 'document'
  | 'classification'
  | 'clustering'
  | 'similarity'
  | 'question'
  | 'fact'
  | 'code';

/** What the client calls the fields, so that a refusal names what it wrote. */
export interface FieldNames {
  readonly texts: string;
  readonly dimensions: string;
  readonly purpose: string;
  readonly title: string;
}

export type Vector = readonly number[];

export interface EmbeddingAnswer {
  readonly id: string;
  readonly vectors: readonly Vector[];
  readonly usage: Usage | undefined;
  readonly rawUsage: string;
}

/** How a vendor writes it. */
export interface EmbeddingWire {
  encode(request: EmbeddingRequest, target: ServiceTarget): JsonObject;
  /** Throws `upstream_invalid` when it is no answer. */
  decode(answer: JsonObject, headers: UpstreamHeaders): EmbeddingAnswer;
}

/** Throws `upstream_invalid` for what is no list of numbers. */
export function vectorOf(value: unknown): Vector {
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number'))
    return value;
  throw noAnswer('a vector of numbers');
}

/** A text that cannot be left out, so that not even a client that would rather do without a field can be served here. */
export function impossible({ names }: EmbeddingRequest, reason: string): SignalboxError {
  return new SignalboxError(
    'unsupported_field',
    `The field "${names.texts}" is not possible here: ${reason}`,
    {
      param: names.texts,
    },
  );
}

/** Tells of what a vendor has no words for. */
export function refuse(
  request: EmbeddingRequest,
  fields: readonly ('dimensions' | 'purpose' | 'title')[],
  { unsupported }: ServiceTarget,
): void {
  for (const field of fields) {
    if (request[field] === undefined) continue;
    unsupported(request.names[field], 'the embedding models of this provider have no such choice.');
  }
}
