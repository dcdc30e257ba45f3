// Answers in a content coding that the client asked for (RFC 9110, 12.5.3), and bodies that clients have coded. Only whole
// texts are coded: a stream would wait for the encoder instead of reaching its reader, and pictures and sound are compressed
// already. The work is done by the runtime's threads, so that a large answer never holds up the others.
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { limits } from '#shared/limits.ts';

export type Coding = 'zstd' | 'br' | 'gzip';

interface CodingRow {
  encode(body: Buffer): Promise<Buffer>;
  /** Rejects when the body unfolds to more than the bound, or is not in this coding. */
  decode(body: Buffer, bytesMax: number): Promise<Buffer>;
}

const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = zlib.constants;
/** Best of those that keep up with a network; the next step costs twice the time for a hundredth of the size. */
const BROTLI_QUALITY = 4;
const GZIP_LEVEL = 5;

const encoders = {
  zstd: promisify(zlib.zstdCompress),
  br: promisify(zlib.brotliCompress),
  gzip: promisify(zlib.gzip),
};
const decoders = {
  zstd: promisify(zlib.zstdDecompress),
  br: promisify(zlib.brotliDecompress),
  gzip: promisify(zlib.gunzip),
};

/** Best first: what is taken where a client likes several equally. */
const codings: Readonly<Record<Coding, CodingRow>> = {
  zstd: {
    encode: (body) => encoders.zstd(body),
    decode: (body, maxOutputLength) => decoders.zstd(body, { maxOutputLength }),
  },
  br: {
    encode: (body) =>
      encoders.br(body, {
        params: { [BROTLI_PARAM_QUALITY]: BROTLI_QUALITY, [BROTLI_PARAM_SIZE_HINT]: body.length },
      }),
    decode: (body, maxOutputLength) => decoders.br(body, { maxOutputLength }),
  },
  gzip: {
    encode: (body) => encoders.gzip(body, { level: GZIP_LEVEL }),
    decode: (body, maxOutputLength) => decoders.gzip(body, { maxOutputLength }),
  },
};

/** As a header lists them. */
export const codingNames: string = Object.keys(codings).join(', ');

const ENCODABLE = /^(?:application\/(?:[\w.+-]+\+)?json|text\/plain)\s*(?:;|$)/i;

export interface Representation {
  /** Undefined for the bytes as they are. */
  readonly coding: Coding | undefined;
  /** Whether another client might get this answer in another coding, so that caches must tell them apart. */
  readonly varies: boolean;
}

const asItIs: Representation = Object.freeze({ coding: undefined, varies: false });

/** In which form an answer goes out. One that nothing acceptable fits goes out as it is: it may have cost money already. */
export function representationFor(
  acceptEncoding: string | undefined,
  contentType: string,
  bodyBytes: number,
): Representation {
  if (bodyBytes > limits.compressedBodyBytesMax || !ENCODABLE.test(contentType)) return asItIs;
  const { coding, refusesIdentity } = acceptedCoding(acceptEncoding);
  if (bodyBytes < limits.compressedBodyBytesMin && !refusesIdentity) return asItIs;
  return { coding, varies: true };
}

export function encodeBody(body: Buffer, coding: Coding): Promise<Buffer> {
  return codings[coding].encode(body);
}

/** Undefined where a header names no coding that is understood here. */
export function codingNamed(name: string): Coding | undefined {
  const lower = name.trim().toLowerCase();
  if (lower === 'x-gzip') return 'gzip';
  return Object.hasOwn(codings, lower) ? (lower as Coding) : undefined;
}

export function decodeBody(body: Buffer, coding: Coding, bytesMax: number): Promise<Buffer> {
  return codings[coding].decode(body, bytesMax);
}

interface Acceptance {
  readonly coding: Coding | undefined;
  readonly refusesIdentity: boolean;
}

function acceptedCoding(header: string | undefined): Acceptance {
  if (header === undefined) return { coding: undefined, refusesIdentity: false };
  const weights = readWeights(header);
  const others = weights.get('*') ?? 0;
  // The bytes as they are need not be named to be acceptable, but they can be refused.
  const identity = weights.get('identity') ?? (weights.get('*') === 0 ? 0 : undefined);
  let best: Coding | undefined;
  let bestWeight = Math.max(identity ?? 0, 0);
  for (const coding of Object.keys(codings) as Coding[]) {
    const weight = weights.get(coding) ?? others;
    // Among equals a coding goes before none, and the first before the others.
    if (weight > bestWeight || (weight === bestWeight && weight > 0 && best === undefined)) {
      best = coding;
      bestWeight = weight;
    }
  }
  return { coding: best, refusesIdentity: identity === 0 };
}

/** The weight of each coding that a header names; one that cannot be read is not there. */
function readWeights(header: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const element of header.split(',')) {
    const { name, weight } =
      /^\s*(?<name>[\w*!#$%&'+.^`|~-]+)\s*(?:;\s*q=(?<weight>0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?\s*$/i.exec(
        element,
      )?.groups ?? {};
    if (name === undefined) continue;
    const coding = codingNamed(name) ?? name.toLowerCase();
    if (!weights.has(coding)) weights.set(coding, weight === undefined ? 1 : Number(weight));
  }
  return weights;
}
