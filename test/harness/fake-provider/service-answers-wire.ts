// A request for a service as the fake provider reads it, and an answer as it is billed.
import type { Behaviour } from './behaviour.ts';
import type { RawRequest } from './http-request.ts';

/** One answer and what it costs. */
export interface ServiceAnswer {
  readonly model: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** The media type. */
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A whole body, or the pieces in which it comes. */
  readonly body: Buffer | readonly Buffer[];
}

export interface FakeService {
  /** How the path ends. */
  readonly path: RegExp;
  /** Undefined for what is no such request. */
  answer(asked: Asked, behaviour: Behaviour): ServiceAnswer | undefined;
}

/** A request, read as far as all services need it. */
export interface Asked {
  readonly path: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly model: string;
}

export function askedOf({ path, body }: RawRequest): Asked {
  const plain = decodeURIComponent(path.split('?')[0]!);
  const json = jsonOf(body) ?? formOf(body);
  const inPath = /\/(?:models?|deployments)\/([^/]+?)(?::\w+|\/invoke|\/embeddings)$/.exec(plain)?.[1];
  return { path: plain, json, model: inPath ?? String(json.model ?? '') };
}

function jsonOf(body: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** The fields of a form that are no files. */
function formOf(body: Buffer): Record<string, unknown> {
  const fields = body.toString('latin1').matchAll(/name="(\w+)"\r\n\r\n([^\r]*)\r\n/g);
  return Object.fromEntries([...fields].map(([, name, value]) => [name, value]));
}

const BYTES_PER_TOKEN = 4;

export function tokensOf(text: unknown): number {
  return Math.ceil(
    Buffer.byteLength(typeof text === 'string' ? text : JSON.stringify(text ?? '')) / BYTES_PER_TOKEN,
  );
}

export function jsonAnswer(
  { model }: Asked,
  body: object,
  [promptTokens, completionTokens]: readonly [number, number],
): ServiceAnswer {
  const text = Buffer.from(JSON.stringify(body));
  return { model, promptTokens, completionTokens, type: 'application/json', body: text };
}
