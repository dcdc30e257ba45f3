// How the data plane calls a vendor: which dialects it speaks, at which paths, and how a request is authorised. What can be
// said as data is a row of shared/provider-types.ts; a vendor needs a file here only where it differs from its dialect's
// default.
import type { BodyShape, DialectName, EncodeTarget } from '../dialects/dialect.ts';
import type { JsonObject } from '../json/values.ts';
import type { ServiceName } from '../services/service.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { Credential } from './credential.ts';

/** What an operator says about an account at a vendor beside its address and keys: region, project, API version, … */
export type ProviderSettings = Readonly<Record<string, string>>;

export interface Provider {
  /** The `type` in configuration. */
  readonly type: string;
  /** How turns of this model are asked for, the preferred dialect first. Empty for a provider that has none, or answers locally. */
  turns(upstreamModel: string): readonly TurnEndpoint[];
  /** What else it can be asked of a model: embeddings, images, … */
  readonly services: Readonly<Partial<Record<ServiceName, ServiceEndpoint | LocalService>>>;
  /** Where it lives when configuration names no address; undefined when the settings do not say. */
  baseUrl?(settings: ProviderSettings): string | undefined;
  /** Headers that every request needs; a client that speaks the dialect may send others in their place. */
  readonly fixedHeaders?: Readonly<Record<string, string>>;
  /**
   * What authorises requests. `secret` is a key of the configuration; undefined when there is none, for servers that need
   * none and accounts that the machine itself stands for. Throws `invalid_configuration` for a secret of the wrong form.
   */
  credential(secret: string | undefined, settings: ProviderSettings): Credential;
  /** A question that costs nothing and shows that the account works: which models are there. */
  readonly modelList?: ModelList;
  /** Where it holds conversations over a WebSocket. */
  readonly realtime?: EndpointPath;
  /** Where the account keeps files and runs batches: what stands below the base URL for `/files/…` and `/batches/…`. */
  files?(path: string, settings: ProviderSettings): string;
  /** Answers here instead of over the network. */
  readonly answer?: LocalAnswer;
}

/** What a path may depend on. */
export interface PathInput {
  readonly model: string;
  readonly stream: boolean;
  readonly settings: ProviderSettings;
}

/** Below the base URL, with a leading slash. */
export type EndpointPath = string | ((input: PathInput) => string);

export interface TurnEndpoint extends BodyShape {
  readonly dialect: DialectName;
  readonly path: EndpointPath;
  /** Which of the client's headers this place takes, and with which values; all of them when undefined. */
  keepHeaders?(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>>;
  /** Whether the account keeps what was answered here, so that a later request may go on from it by its id. */
  readonly keepsAnswers?: boolean;
  /** A translated body as this host reads it, where that is not what its dialect says. */
  adapt?(body: JsonObject, heard: Pick<EncodeTarget, 'unsupported' | 'leftOut'>): JsonObject;
  /** What this host would refuse in a client's own body although their dialect allows it; undefined where nothing is. */
  mend?(body: Buffer): Buffer | undefined;
}

/** How a provider offers a service. */
export interface ServiceEndpoint {
  /** A key of the service's `forms`. */
  readonly form: string;
  readonly path: EndpointPath;
}

/** A service that is answered here. */
export interface LocalService {
  /** A key of the service's `forms`: whose words are spoken, as if they went over the network. */
  readonly form: string;
  /** Throws what an upstream would have refused the request with. */
  answer(body: Buffer): Buffer;
}

export interface ModelList {
  readonly path: EndpointPath;
  /** The names of the models in an answer. Throws `upstream_invalid` when it is no such list. */
  read(body: Buffer): readonly string[];
}

export interface LocalAnswerOptions {
  readonly model: string;
  readonly signal: AbortSignal;
}

export type LocalAnswer = (request: TurnRequest, options: LocalAnswerOptions) => AsyncIterable<TurnEvent>;

export function endpointPath(path: EndpointPath, input: PathInput): string {
  return typeof path === 'string' ? path : path(input);
}
