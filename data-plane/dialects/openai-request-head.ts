// Reads of a request's bytes what admission and routing need, and writes the same bytes for an upstream that speaks this
// dialect: the model changed, and usage asked for on every stream, whether the client wants it or not. Every other byte
// stays, so a field nobody here has heard of reaches the upstream as it was.
import { type Member, scanObject, wantedKeys } from '../json/scan.ts';
import { type Replacement, splice as spliceBytes } from '../json/splice.ts';
import { wrongType } from '../json/values.ts';
import type { RequestHead, SpliceTarget } from './dialect.ts';
import {
  ambiguousKey,
  booleanAt,
  GATEWAY_KEY,
  isNull,
  modelAt,
  span,
  wholeMember,
  withoutGateway,
} from './head-fields.ts';

/** Everything that is acted upon: a second occurrence of any of these could be read differently upstream. */
const keys = wantedKeys('model', 'stream', 'stream_options', 'n', GATEWAY_KEY);
const optionKeys = wantedKeys('include_usage');
const BRACE_OPEN = 0x7b;

export function peek(body: Buffer): RequestHead {
  const { open, members, ambiguous } = scanObject(body, keys);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const { model, stream, stream_options: options, n, [GATEWAY_KEY]: gateway } = members;
  if (gateway !== undefined) return withoutGateway(body, gateway, peek);
  const isStream = booleanAt(body, stream, 'stream');
  const usage = options === undefined ? undefined : readOptions(body, options, isStream);
  return {
    body,
    model: modelAt(body, model),
    stream: isStream,
    gateway: undefined,
    wantsUsage: isStream && booleanAt(body, usage?.member, 'stream_options.include_usage'),
    spans: {
      model: span(model!),
      open: { start: open, end: open },
      ...(n === undefined ? {} : { n: span(n) }),
      ...(options === undefined ? {} : { options: span(options), optionsMember: wholeMember(body, options) }),
      ...usage?.spans,
    },
  };
}

export function splice(head: RequestHead, target: SpliceTarget): readonly Buffer[] {
  const model = head.spans.model!;
  const replacements: Replacement[] = [{ ...model, text: JSON.stringify(target.model) }];
  if (head.stream) {
    const usage = target.usageUnasked === true ? withoutOptions(head) : askForUsage(head);
    if (usage !== undefined) replacements.push(usage);
  }
  return spliceBytes(head.body, replacements);
}

/** How many answers (`n`) the client asked for. */
export function choicesAsked(head: RequestHead): number {
  const place = head.spans.n;
  const asked = place === undefined ? 1 : Number(head.body.toString('latin1', place.start, place.end));
  return Number.isInteger(asked) && asked > 0 ? asked : 1;
}

function askForUsage({ body, spans }: RequestHead): Replacement | undefined {
  const { open, options, optionsOpen, optionsFilled, includeUsage } = spans;
  if (options === undefined) return { ...open!, text: '"stream_options":{"include_usage":true},' };
  if (optionsOpen === undefined) return { ...options, text: '{"include_usage":true}' };
  if (includeUsage === undefined) {
    return {
      ...optionsOpen,
      text: optionsFilled === undefined ? '"include_usage":true' : '"include_usage":true,',
    };
  }
  const isAsked = body.toString('latin1', includeUsage.start, includeUsage.end) === 'true';
  return isAsked ? undefined : { ...includeUsage, text: 'true' };
}

/** For vendors that send usage to everyone and refuse to be asked. */
function withoutOptions({ spans }: RequestHead): Replacement | undefined {
  return spans.optionsMember === undefined ? undefined : { ...spans.optionsMember, text: '' };
}

function readOptions(
  body: Buffer,
  options: Member,
  isStream: boolean,
): { readonly member?: Member; readonly spans?: RequestHead['spans'] } {
  if (isNull(body, options)) return {};
  if (body[options.start] !== BRACE_OPEN) throw wrongType('stream_options', 'an object or null');
  if (!isStream) return {};
  const { open, isEmpty, members, ambiguous } = scanObject(body, optionKeys, options.start, options.end);
  if (ambiguous !== undefined) throw ambiguousKey(ambiguous);
  const member = members.include_usage;
  const optionsOpen = { start: open, end: open };
  const spans = { optionsOpen, ...(isEmpty ? {} : { optionsFilled: { start: open, end: options.end } }) };
  return member === undefined ? { spans } : { member, spans: { ...spans, includeUsage: span(member) } };
}
