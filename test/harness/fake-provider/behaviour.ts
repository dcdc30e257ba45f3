// What the fake provider does wrong, as a small language, so that a test can ask for it wherever a string fits: in the
// name of a model, in a request's metadata, or for the whole server. A script is words joined by dots:
// `chunks-50.pause-20ms.cut-after-3.rst`. A model whose first word is not in the table (`gpt-4o`) is no script and
// answers well; after a known first word, an unknown one is an error, because a misspelt script would test nothing.

export interface Behaviour {
  /** Content chunks of a streamed answer; one completion token each, streamed or not. */
  readonly chunks: number;
  readonly pauseMs: number;
  readonly headDelayMs: number;
  readonly headNever: boolean;
  /** Go silent after this many content chunks, connection open. */
  readonly stallAfterChunks: number | undefined;
  /** Break the connection after this many content chunks. */
  readonly cutAfterChunks: number | undefined;
  /** Break the connection after this many raw bytes, counted from the first byte of the status line. */
  readonly cutAtByte: number | undefined;
  readonly cutWith: 'fin' | 'rst';
  readonly errorStatus: number | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** An error event inside a stream that began well, after this many content chunks. */
  readonly errorInStreamAfterChunks: number | undefined;
  /** `garbage`: bytes that are not JSON. `page`: an HTML page with status 200, as a proxy in between would send. */
  readonly nonsense: 'garbage' | 'page' | undefined;
  /** Content chunks of a stream that are sound before the garbage begins. */
  readonly garbageAfterChunks: number;
  readonly doneMarker: boolean;
  readonly lineEnd: '\n' | '\r\n';
  readonly oneByteWrites: boolean;
  readonly contentBytes: number | undefined;
  readonly echo: boolean;
  readonly toolCalls: number;
  readonly choices: number | undefined;
  /** Where a stream reports usage: a chunk of its own when asked (as OpenAI does), on the finish chunk, on every chunk. */
  readonly usageOn: 'request' | 'finish' | 'every-chunk' | 'never';
  readonly usageLies: boolean;
  /** `length` frames by header (streams are chunked), `close` ends the body by closing the connection. */
  readonly framing: 'length' | 'close';
  /** `announce` says so in a header; `silent` just closes an answered connection, as servers do with idle ones. */
  readonly closeAfter: 'never' | 'announce' | 'silent';
}

export const wellBehaved: Behaviour = Object.freeze({
  chunks: 5,
  pauseMs: 0,
  headDelayMs: 0,
  headNever: false,
  stallAfterChunks: undefined,
  cutAfterChunks: undefined,
  cutAtByte: undefined,
  cutWith: 'fin',
  errorStatus: undefined,
  retryAfterSeconds: undefined,
  errorInStreamAfterChunks: undefined,
  nonsense: undefined,
  garbageAfterChunks: 0,
  doneMarker: true,
  lineEnd: '\n',
  oneByteWrites: false,
  contentBytes: undefined,
  echo: false,
  toolCalls: 0,
  choices: undefined,
  usageOn: 'request',
  usageLies: false,
  framing: 'length',
  closeAfter: 'never',
});

type Change = Partial<Behaviour>;
const MEBIBYTE = 1024 * 1024;

/** Every word, `#` standing for a number. */
const words: Readonly<Record<string, (...numbers: number[]) => Change>> = {
  ok: () => wellBehaved,
  'chunks-#': (chunks = 0) => ({ chunks }),
  'pause-#ms': (pauseMs = 0) => ({ pauseMs }),
  'slow-head-#ms': (headDelayMs = 0) => ({ headDelayMs }),
  'never-head': () => ({ headNever: true }),
  'stall-after-#': (stallAfterChunks = 0) => ({ stallAfterChunks }),
  'cut-after-#': (cutAfterChunks = 0) => ({ cutAfterChunks }),
  'cut-at-byte-#': (cutAtByte = 0) => ({ cutAtByte }),
  fin: () => ({ cutWith: 'fin' }),
  rst: () => ({ cutWith: 'rst' }),
  'error-#': (errorStatus = 500) => ({ errorStatus }),
  'error-#-retry-#': (errorStatus = 429, retryAfterSeconds = 0) => ({ errorStatus, retryAfterSeconds }),
  'error-in-stream': () => ({ errorInStreamAfterChunks: 2 }),
  'error-in-stream-after-#': (errorInStreamAfterChunks = 0) => ({ errorInStreamAfterChunks }),
  garbage: () => ({ nonsense: 'garbage' }),
  'garbage-after-#': (garbageAfterChunks = 0) => ({ nonsense: 'garbage', garbageAfterChunks }),
  'wrong-content-type': () => ({ nonsense: 'page' }),
  'no-done': () => ({ doneMarker: false }),
  crlf: () => ({ lineEnd: '\r\n' }),
  'one-byte-chunks': () => ({ oneByteWrites: true }),
  'big-#mb': (megabytes = 0) => ({ contentBytes: megabytes * MEBIBYTE }),
  echo: () => ({ echo: true }),
  'tool-call': () => ({ toolCalls: 1 }),
  'tool-calls-#': (toolCalls = 0) => ({ toolCalls }),
  'n-#': (choices = 1) => ({ choices }),
  'usage-on-finish': () => ({ usageOn: 'finish' }),
  'usage-every-chunk': () => ({ usageOn: 'every-chunk' }),
  'no-usage': () => ({ usageOn: 'never' }),
  'lie-usage': () => ({ usageLies: true }),
  'close-delimited': () => ({ framing: 'close' }),
  close: () => ({ closeAfter: 'announce' }),
  'drop-after-answer': () => ({ closeAfter: 'silent' }),
};

const NUMBER = /\d+/g;

function readWord(word: string): Change | undefined {
  const row = words[word.replaceAll(NUMBER, '#')];
  return row?.(...(word.match(NUMBER) ?? []).map(Number));
}

/** The changes a script asks for, or undefined where the text is no script. */
export function parseScript(text: string): Change | undefined {
  const [first = '', ...rest] = text.split('.');
  const start = readWord(first);
  if (start === undefined) return undefined;
  const changes = { ...start };
  for (const word of rest) {
    const change = readWord(word);
    if (change === undefined) throw new Error(unknownWord(word));
    Object.assign(changes, change);
  }
  return changes;
}

/** Like `parseScript`, for texts that can only be meant as scripts. */
export function requireScript(text: string): Change {
  const changes = parseScript(text);
  if (changes === undefined) throw new Error(unknownWord(text.split('.')[0]!));
  return changes;
}

function unknownWord(word: string): string {
  return `The fake provider does not know the behaviour "${word}". It knows: ${Object.keys(words).join(', ')}.`;
}
