// What routing may know of a request. Most of it is at hand; what takes work (what the conversation is, what it needs, how long it is) is
// found out when somebody asks for it first, and then it is known. A request that cannot be read here passes as it is where client and
// upstream speak alike, so nothing is taken to be known of it, and nobody is left out because of it.
import type { Capability } from '#shared/capabilities.ts';
import type { RoutedRequest } from '../routing/plan.ts';
import type { Principal } from '../snapshot/snapshot.ts';
import { estimateTokens, tokensInBytes } from '../turn/estimate.ts';
import { needsOfTurn } from '../turn/needs.ts';
import { openingOf } from '../turn/opening.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { RequestOptions } from './request-options.ts';

export interface RequestSource {
  readonly requestId: string;
  readonly principal: Principal;
  /** As the client wrote it. */
  readonly model: string;
  readonly options: Pick<RequestOptions, 'metadata' | 'tags'>;
  readonly header: (name: string) => string | undefined;
  readonly isStream: boolean;
  readonly body: Buffer;
  /** Undefined where there is no conversation; gives undefined for one that cannot be read. */
  readonly turn: (() => TurnRequest | undefined) | undefined;
  /** Where somebody says so. */
  readonly inputTokens?: number | undefined;
  readonly region: string;
  readonly wallMs: number;
}

/** What an answer comes to where nothing is known of others. */
const OUTPUT_TOKENS_EXPECTED = 500;
/** Shorter bodies hold no picture that would be mistaken for many words. */
const PLAIN_BYTES_MAX = 16 * 1024;
const noNeeds: ReadonlySet<Capability> = new Set();

export class SourcedRequest implements RoutedRequest {
  readonly outputTokensExpected = OUTPUT_TOKENS_EXPECTED;
  readonly #source: RequestSource;
  #affinity: string | undefined;
  #inputTokens: number | undefined;
  #needs: ReadonlySet<Capability> | undefined;

  constructor(source: RequestSource) {
    this.#source = source;
    this.#inputTokens = source.inputTokens;
  }

  get requestId(): string {
    return this.#source.requestId;
  }

  get keyId(): string {
    return this.#source.principal.keyId;
  }

  get keyName(): string {
    return this.#source.principal.name;
  }

  get keyMetadata(): Readonly<Record<string, string>> {
    return this.#source.principal.metadata;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#source.options.metadata;
  }

  get tags(): readonly string[] {
    return this.#source.options.tags;
  }

  get header(): (name: string) => string | undefined {
    return this.#source.header;
  }

  get model(): string {
    return this.#source.model;
  }

  get isStream(): boolean {
    return this.#source.isStream;
  }

  get region(): string {
    return this.#source.region;
  }

  get wallMs(): number {
    return this.#source.wallMs;
  }

  get user(): string {
    return this.#source.turn?.()?.endUser ?? '';
  }

  get needs(): ReadonlySet<Capability> {
    if (this.#needs === undefined) {
      const turn = this.#source.turn?.();
      this.#needs = turn === undefined ? noNeeds : needsOfTurn(turn);
    }
    return this.#needs;
  }

  get inputTokens(): number {
    if (this.#inputTokens === undefined) {
      const { body, turn } = this.#source;
      const read = body.length > PLAIN_BYTES_MAX ? turn?.() : undefined;
      this.#inputTokens = read === undefined ? tokensInBytes(body.length) : estimateTokens(read);
    }
    return this.#inputTokens;
  }

  // Two keys never share a prompt cache at a provider that keeps accounts apart, and never learn of each other here.
  readonly affinity = (): string => {
    if (this.#affinity === undefined) {
      const turn = this.#source.turn?.();
      this.#affinity = turn === undefined ? '' : `${this.keyId} ${openingOf(turn)}`;
    }
    return this.#affinity;
  };

  /** To know a conversation its request has to be understood: not for nothing, where nobody asks for it. */
  get isAffinityKnown(): boolean {
    return this.#affinity !== undefined;
  }
}
