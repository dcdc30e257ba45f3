// Chat completions as Azure serves them: below one path per deployment or OpenAI's own, with what its content filter found in the
// prompt ahead of everything else in a stream, and a last word about the answer that belongs to no delta.
import type { Answer, ChatRequest, WireFormat } from './answers.ts';
import { chatWire } from './answers.ts';
import type { Behaviour } from './behaviour.ts';

const PATH = /^\/openai\/(?:v1|deployments\/([^/]+))\/chat\/completions$/;
const clean = {
  hate: { filtered: false, severity: 'safe' },
  violence: { filtered: false, severity: 'safe' },
};
const promptFindings = [{ prompt_index: 0, content_filter_results: clean }];

export const azureWire: WireFormat = {
  ...chatWire,
  matches: (path) => PATH.test(path),
  readRequest,
  wholeBody,
  streamEvents,
  errorBody,
};

/** The deployment in the path decides, whatever the body calls the model. */
function readRequest(body: Buffer, path: string): ChatRequest | undefined {
  const request = chatWire.readRequest(body, path);
  const deployment = PATH.exec(path)?.[1];
  if (request === undefined || deployment === undefined) return request;
  return { ...request, model: decodeURIComponent(deployment) };
}

function wholeBody(answer: Answer, behaviour: Behaviour): object {
  const body = chatWire.wholeBody(answer, behaviour) as { choices: object[] };
  const choices = body.choices.map((choice) => ({ ...choice, content_filter_results: clean }));
  return { ...body, choices, prompt_filter_results: promptFindings };
}

function streamEvents(answer: Answer, request: ChatRequest, behaviour: Behaviour) {
  const events = chatWire.streamEvents(answer, request, behaviour);
  const first = {
    choices: [],
    created: 0,
    id: '',
    model: '',
    object: '',
    prompt_filter_results: promptFindings,
  };
  const last = {
    ...first,
    prompt_filter_results: undefined,
    choices: [
      {
        content_filter_offsets: { check_offset: 10, start_offset: 10, end_offset: 40 },
        content_filter_results: clean,
        finish_reason: null,
        index: 0,
      },
    ],
  };
  return { ...events, opening: [first, ...events.opening], closing: [...events.closing, last] };
}

function errorBody(status: number, message?: string): object {
  if (status === 401)
    return { error: { code: '401', message: message ?? 'Access denied due to invalid key.' } };
  return chatWire.errorBody(status, message);
}
