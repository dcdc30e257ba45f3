// How many tokens a conversation has, for clients of the two APIs in which that can be asked. Vendors that count are asked, in the
// form that they have; where none does, or it fails, there is an estimate.
import { once } from '#shared/once.ts';
import type { Address } from '../../dialects/dialect.ts';
import { decodeBody } from '../../dialects/gemini/request.ts';
import { named } from '../../dialects/gemini/wire.ts';
import { clientDialectNamed } from '../../dialects/registry.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject } from '../../json/values.ts';
import { estimateTokens } from '../../turn/estimate.ts';
import type { TurnRequest } from '../../turn/request.ts';
import type { Service, ServiceRequest } from '../service.ts';
import { countForms } from './forms.ts';

export interface CountService extends Service {
  /** An answer made here. */
  estimate(request: ServiceRequest): JsonObject;
}

/** `/v1/messages/count_tokens`. */
export const messagesCount: CountService = countService({
  name: 'anthropic',
  read: (body) => {
    const dialect = clientDialectNamed('anthropic-messages');
    const head = dialect.peek(body);
    return { ...head, details: { head, meaning: once(() => dialect.decode(head)) } };
  },
  render: (tokens) => ({ input_tokens: tokens }),
});

/** `:countTokens`, of contents alone or of a whole request. */
export const geminiCount: CountService = countService({
  name: 'gemini',
  read: (body, address) => {
    const head = clientDialectNamed('gemini').peek(body, address);
    const { model } = head;
    const meaning = once(() => ({ ...decodeBody(asked(head.body)), model, stream: false }));
    return { ...head, details: { head, meaning } };
  },
  render: (tokens) => ({ totalTokens: tokens }),
});

function asked(body: Buffer): JsonObject {
  const wire = named(parseJson(body));
  return isObject(wire.generateContentRequest) ? named(wire.generateContentRequest) : wire;
}

interface CountClient {
  /** The form that is the client's own. */
  readonly name: string;
  read(body: Buffer, address: Address | undefined): Omit<ServiceRequest, 'contentType'>;
  render(tokens: number): JsonObject;
}

function countService({ name, read, render }: CountClient): CountService {
  return Object.freeze<CountService>({
    name: 'count-tokens',
    read: (body, contentType, address) => ({ ...read(body, address), contentType }),
    forms: countForms(name, render),
    estimate: ({ details }) => render(estimateTokens((details as { meaning(): TurnRequest }).meaning())),
  });
}
