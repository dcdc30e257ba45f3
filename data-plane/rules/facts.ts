// What rules may know of a request, and of what its route has to offer. Some of it takes work to find out, so whoever makes the facts may
// work it out when it is read; rules read only what they ask for.
import type { Capability } from '#shared/capabilities.ts';

export interface RequestFacts {
  readonly requestId: string;
  readonly keyId: string;
  readonly keyName: string;
  /** What the operator said of the key; clients cannot change it, so it wins over what they say. */
  readonly keyMetadata: Readonly<Record<string, string>>;
  /** Whom the client says it asks for; empty when it does not. */
  readonly user: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  /** By its name in small letters. */
  readonly header: (name: string) => string | undefined;
  /** As the client wrote it. */
  readonly model: string;
  readonly isStream: boolean;
  readonly inputTokens: number;
  readonly needs: ReadonlySet<Capability>;
  /** Where this node is; empty for nowhere in particular. */
  readonly region: string;
  readonly wallMs: number;
}

export interface Offer {
  /** The public names that the request could go to, before any rule. */
  readonly names: readonly string[];
  /** What it is expected to cost there, in billionths of a dollar; undefined where nobody knows a price. */
  readonly costOf: (name: string) => number | undefined;
}

export function metadataOf({ keyMetadata, metadata }: RequestFacts, name: string): string | undefined {
  if (Object.hasOwn(keyMetadata, name)) return keyMetadata[name];
  return Object.hasOwn(metadata, name) ? metadata[name] : undefined;
}
