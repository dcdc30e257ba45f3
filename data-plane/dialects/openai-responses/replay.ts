// A finished response as the events it would have been streamed as: for clients that ask for a stream of one that was kept. Each
// item is told whole, in as few events as there may be, so that the numbers are the same whenever it is told.
import type { Frame } from '../../framing/frame.ts';
import { type JsonObject, objectsIn, rowFor, textOf } from '../../json/values.ts';
import { frame } from './errors.ts';

type Tell = (type: string, fields: JsonObject) => void;

export function replay(response: JsonObject): readonly Frame[] {
  const frames: Frame[] = [];
  const tell: Tell = (type, fields) => frames.push(frame(type, frames.length, fields));
  const opening = {
    ...response,
    status: 'in_progress',
    completed_at: null,
    incomplete_details: null,
    output: [],
    usage: null,
  };
  tell('response.created', { response: opening });
  tell('response.in_progress', { response: opening });
  for (const [index, item] of objectsIn(response.output).entries()) tellItem(tell, index, item);
  tell(`response.${response.status === 'incomplete' ? 'incomplete' : 'completed'}`, { response });
  return frames;
}

/** What of an item comes piece by piece, and so is not there when it begins. */
const emptied: Readonly<Record<string, JsonObject>> = {
  message: { status: 'in_progress', content: [] },
  function_call: { status: 'in_progress', arguments: '' },
  reasoning: { summary: [] },
};

function tellItem(tell: Tell, index: number, item: JsonObject): void {
  const type = textOf(item.type);
  const own: Tell = (name, fields) => tell(name, { item_id: item.id, output_index: index, ...fields });
  tell('response.output_item.added', { output_index: index, item: { ...item, ...rowFor(emptied, type) } });
  if (type === 'message') {
    for (const [at, part] of objectsIn(item.content).entries()) tellPart(own, at, part);
  } else if (type === 'function_call') {
    const { arguments: written } = item;
    own('response.function_call_arguments.delta', { delta: written });
    own('response.function_call_arguments.done', { arguments: written });
  } else if (type === 'reasoning') {
    for (const [at, part] of objectsIn(item.summary).entries()) tellSummary(own, at, part);
  }
  tell('response.output_item.done', { output_index: index, item });
}

function tellPart(own: Tell, index: number, part: JsonObject): void {
  const place = { content_index: index };
  if (part.type === 'refusal') {
    const { refusal } = part;
    own('response.content_part.added', { ...place, part: { ...part, refusal: '' } });
    own('response.refusal.delta', { ...place, delta: refusal });
    own('response.refusal.done', { ...place, refusal });
  } else {
    const { text } = part;
    const logprobs = Array.isArray(part.logprobs) ? part.logprobs : [];
    const empty = { ...part, text: '', annotations: [], logprobs: [] };
    own('response.content_part.added', { ...place, part: empty });
    own('response.output_text.delta', { ...place, delta: text, logprobs });
    for (const [at, annotation] of objectsIn(part.annotations).entries()) {
      own('response.output_text.annotation.added', { ...place, annotation_index: at, annotation });
    }
    own('response.output_text.done', { ...place, text, logprobs });
  }
  own('response.content_part.done', { ...place, part });
}

function tellSummary(own: Tell, index: number, part: JsonObject): void {
  const place = { summary_index: index };
  const { text } = part;
  own('response.reasoning_summary_part.added', { ...place, part: { ...part, text: '' } });
  own('response.reasoning_summary_text.delta', { ...place, delta: text });
  own('response.reasoning_summary_text.done', { ...place, text });
  own('response.reasoning_summary_part.done', { ...place, part });
}
