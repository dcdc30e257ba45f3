// Joins what clients of one language write to what vendors write: the vendor whose language it is takes the client's own bytes,
// the others a translation.

import { once } from '#shared/once.ts';
import type { JsonObject } from '../../json/values.ts';
import { noAnswer } from '../own-form.ts';
import type { ServiceForm, ServiceRequest } from '../service.ts';
import { vendorForm } from '../vendor-form.ts';
import { bedrockWire } from './bedrock.ts';
import { cohereWire } from './cohere.ts';
import type { EmbeddingAnswer, EmbeddingRequest, EmbeddingWire } from './embedding.ts';
import { geminiWire } from './gemini.ts';
import { openaiWire } from './openai.ts';
import { vertexWire } from './vertex.ts';

/** An answer as the client expects it. */
type RenderAnswer = (answer: EmbeddingAnswer, request: ServiceRequest) => JsonObject;

/**
 * What the request means, once somebody asks: the client's own bytes pass without it, and a translation needs it both ways.
 * `decode` throws `invalid_request`, or `unsupported_field` for what no other vendor could take.
 */
export function withMeaning(request: ServiceRequest, decode: () => EmbeddingRequest): ServiceRequest {
  return { ...request, details: { ...(request.details as object), meaning: once(decode) } };
}

function meaningOf(request: ServiceRequest): EmbeddingRequest {
  return (request.details as { readonly meaning: () => EmbeddingRequest }).meaning();
}

const wires: Readonly<Record<string, EmbeddingWire>> = {
  openai: openaiWire,
  gemini: geminiWire,
  vertex: vertexWire,
  bedrock: bedrockWire,
  cohere: cohereWire,
};

/** `own`: the forms that are the client's. */
export function embeddingForms(
  render: RenderAnswer,
  own: Readonly<Record<string, ServiceForm>>,
): Readonly<Record<string, ServiceForm>> {
  const translated = Object.entries(wires).map(
    ([name, wire]) => [name, translatedForm(render, wire)] as const,
  );
  return Object.freeze({ ...Object.fromEntries(translated), ...own });
}

function translatedForm(render: RenderAnswer, wire: EmbeddingWire): ServiceForm {
  return vendorForm({
    encode(request, target) {
      const asked = meaningOf(request);
      for (const field of asked.untranslatable) {
        target.unsupported(field, 'it has no meaning for the provider of this model.');
      }
      return wire.encode(asked, target);
    },
    convert(body, request, headers) {
      const answer = wire.decode(body, headers);
      const { texts } = meaningOf(request);
      if (answer.vectors.length !== texts.length) throw noAnswer(`${texts.length} vectors`);
      const { id, usage, rawUsage } = answer;
      return { answer: render(answer, request), report: { id, usage, rawUsage, error: undefined } };
    },
  });
}
