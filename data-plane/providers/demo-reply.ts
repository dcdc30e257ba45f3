// What the demo provider says: a function of the request alone. It repeats what was asked, so that it can be seen that the
// question arrived; it calls tools when they are demanded or named; it writes JSON when JSON is demanded.
import type { EndReason } from '../turn/events.ts';
import type { Message, Part, Tool, TurnRequest } from '../turn/request.ts';
import { sampleOf } from './demo-sample.ts';

export interface DemoReply {
  readonly blocks: readonly DemoBlock[];
  readonly reason: EndReason['reason'];
}

export interface DemoBlock {
  readonly head:
    | { readonly kind: 'text' }
    | { readonly kind: 'tool-call'; readonly id: string; readonly name: string };
  readonly pieces: readonly string[];
}

const BYTES_PER_TOKEN = 4;
const QUOTE_LENGTH_MAX = 300;

/** A rough count that is the same everywhere: four bytes make a token. */
export function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

export function demoReply(request: TurnRequest, choice: number): DemoReply {
  const calls = toolsToCall(request);
  if (calls.length > 0) {
    return { blocks: calls.map((tool, index) => callBlock(tool, choice, index)), reason: 'tool-calls' };
  }
  const { text, reason } = limit(wordsFor(request, choice), request);
  return { blocks: [{ head: { kind: 'text' }, pieces: text === '' ? [] : splitPieces(text) }], reason };
}

function wordsFor(request: TurnRequest, choice: number): string {
  const question = shorten(lastText(request, 'user'));
  const { responseFormat } = request;
  if (responseFormat?.kind === 'schema') return JSON.stringify(sampleOf(responseFormat.fields.schema));
  if (responseFormat?.kind === 'json') {
    return JSON.stringify({ answer: 'This is the demo provider of Signalbox.', question, choice });
  }
  const opening = choice === 0 ? '' : `Choice ${choice + 1}: `;
  const results = toolResults(request.messages);
  if (results.length > 0) {
    return `${opening}The tool answered: ${shorten(results.join(' / '))} (This is the demo provider of Signalbox; a real model would explain the result.)`;
  }
  const asked = question === '' ? 'You sent no text.' : `You asked: "${question}".`;
  return `${opening}${asked} I am the demo provider of Signalbox: I answer without any account, and the same question always gets the same answer. Add a provider to your configuration to talk to a real model.`;
}

/** Tools are called when the caller demands it, or leaves it open and names one, but not in answer to a result. */
function toolsToCall({
  tools,
  toolChoice = 'auto',
  messages,
  parallelToolCalls,
}: TurnRequest): readonly Tool[] {
  if (tools.length === 0 || toolChoice === 'none' || toolResults(messages).length > 0) return [];
  if (typeof toolChoice === 'object') return tools.filter(({ name }) => name === toolChoice.name).slice(0, 1);
  const text = lastText({ messages }, 'user').toLowerCase();
  const named = tools.filter(({ name }) => mentions(text, name));
  const wanted = toolChoice === 'required' && named.length === 0 ? tools.slice(0, 1) : named;
  return parallelToolCalls === false ? wanted.slice(0, 1) : wanted;
}

/** By its name, or by every word of its name: "the weather, please, get it" names get_weather. */
function mentions(text: string, name: string): boolean {
  const words = name
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word.length > 0 && !['get', 'fetch', 'find', 'search', 'lookup'].includes(word));
  return (
    text.includes(name.toLowerCase()) || (words.length > 0 && words.every((word) => text.includes(word)))
  );
}

function callBlock(tool: Tool, choice: number, index: number): DemoBlock {
  const id = `call_demo_${choice}_${index}`;
  const text = JSON.stringify(sampleOf(tool.parameters ?? { type: 'object' }));
  return { head: { kind: 'tool-call', id, name: tool.name }, pieces: splitPieces(text) };
}

/** The results that came after the last answer of the model; none when something else came since. */
function toolResults(messages: readonly Message[]): readonly string[] {
  const from = messages.findLastIndex(({ role }) => role !== 'tool') + 1;
  return messages.slice(from).map(({ parts }) => parts.map(textOf).join(' '));
}

function lastText({ messages }: Pick<TurnRequest, 'messages'>, role: Message['role']): string {
  const message = messages.findLast((candidate) => candidate.role === role);
  return message === undefined ? '' : message.parts.map(textOf).filter(Boolean).join(' ');
}

function textOf(part: Part): string {
  if (part.kind === 'text') return part.text;
  if (part.kind === 'tool-result') return part.parts.map(textOf).join(' ');
  return part.kind === 'image' || part.kind === 'audio' || part.kind === 'file' ? `[${part.kind}]` : '';
}

function shorten(text: string): string {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  const characters = [...flat];
  return characters.length > QUOTE_LENGTH_MAX ? `${characters.slice(0, QUOTE_LENGTH_MAX).join('')}…` : flat;
}

/** Stop sequences first, then the token limit, as models do it. */
function limit(
  words: string,
  { stop = [], maxOutputTokens }: TurnRequest,
): { text: string; reason: EndReason['reason'] } {
  const ends = stop.filter((sequence) => sequence !== '').map((sequence) => words.indexOf(sequence));
  const end = Math.min(words.length, ...ends.filter((at) => at !== -1));
  const text = words.slice(0, end);
  if (maxOutputTokens === undefined || tokensOf(text) <= maxOutputTokens) return { text, reason: 'stop' };
  let kept = '';
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > Math.max(0, maxOutputTokens) * BYTES_PER_TOKEN) break;
    kept += character;
  }
  return { text: kept, reason: 'length' };
}

/** Words with the space in front of them, as tokens often are. */
function splitPieces(text: string): string[] {
  return text.match(/\s*\S{1,12}|\s+$/g) ?? [text];
}
