// What the fake provider answers where no turn is asked for: embeddings, pictures, sound, ranking, each in the shapes of the
// vendors that have them. Counts follow rules that can be checked by hand: a token per four bytes of text, a hundred for a
// picture, one for a piece of a transcript.
import type { Behaviour } from './behaviour.ts';
import { embeddingServices } from './service-answers-embeddings.ts';
import {
  type Asked,
  type FakeService,
  jsonAnswer,
  type ServiceAnswer,
  tokensOf,
} from './service-answers-wire.ts';

const TOKENS_PER_IMAGE = 100;

function events(list: readonly object[]): Buffer[] {
  return list.map((event) =>
    Buffer.from(`event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`),
  );
}

const picture = Buffer.from('a picture').toString('base64');

function images(asked: Asked, behaviour: Behaviour): ServiceAnswer | undefined {
  const { prompt, n = 1, stream } = asked.json;
  const count = Number(n);
  const input = tokensOf(prompt);
  const output = count * TOKENS_PER_IMAGE;
  const usage = behaviour.usageOn !== 'never' && {
    usage: {
      input_tokens: input,
      input_tokens_details: { text_tokens: input, image_tokens: 0 },
      output_tokens: output,
      total_tokens: input + output,
    },
  };
  if (String(stream) !== 'true') {
    const data = Array.from({ length: count }, () => ({ b64_json: picture }));
    return jsonAnswer(asked, { created: 1_700_000_000, data, ...usage }, [input, output]);
  }
  const type = asked.path.endsWith('edits') ? 'image_edit' : 'image_generation';
  const partial = [0, 1].map((index) => ({
    type: `${type}.partial_image`,
    b64_json: picture,
    partial_image_index: index,
  }));
  const body = events([...partial, { type: `${type}.completed`, b64_json: picture, ...usage }]);
  return {
    model: asked.model,
    promptTokens: input,
    completionTokens: output,
    type: 'text/event-stream',
    body,
  };
}

/** Long enough to be more than one token, and a word each. */
const words = ['What ', 'was ', 'said.'];

function transcripts(asked: Asked, behaviour: Behaviour): ServiceAnswer | undefined {
  const { response_format: format = 'json', stream } = asked.json;
  const text = words.join('');
  const usage = {
    usage: {
      type: 'tokens',
      input_tokens: 20,
      input_token_details: { text_tokens: 2, audio_tokens: 18 },
      output_tokens: words.length,
      total_tokens: 20 + words.length,
    },
  };
  const bill = { model: asked.model, promptTokens: 20, completionTokens: words.length };
  if (String(stream) === 'true' && behaviour.usageOn !== 'never') {
    const deltas = words.map((delta) => ({ type: 'transcript.text.delta', delta }));
    const body = events([...deltas, { type: 'transcript.text.done', text, ...usage }]);
    return { ...bill, type: 'text/event-stream', body };
  }
  const plain: Readonly<Record<string, string>> = {
    text: `${text}\n`,
    srt: `1\n00:00:00,000 --> 00:00:02,000\n${text}\n`,
    vtt: `WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n${text}\n`,
  };
  const written = plain[String(format)];
  if (written !== undefined)
    return { ...bill, type: 'text/plain; charset=utf-8', body: Buffer.from(written) };
  const seconds = { usage: { type: 'duration', seconds: 2 } };
  const whole = format === 'verbose_json' ? { duration: 2, segments: [], ...seconds } : usage;
  return jsonAnswer(asked, { text, ...(behaviour.usageOn === 'never' ? seconds : whole) }, [
    20,
    words.length,
  ]);
}

function speech(asked: Asked, behaviour: Behaviour): ServiceAnswer | undefined {
  const { input, stream_format: format } = asked.json;
  if (typeof input !== 'string') return undefined;
  const pieces = Array.from({ length: behaviour.chunks }, (_, index) => Buffer.alloc(64, index));
  const bill = { model: asked.model, promptTokens: tokensOf(input), completionTokens: pieces.length };
  if (format !== 'sse') return { ...bill, type: 'audio/mpeg', body: pieces };
  const usage = {
    input_tokens: bill.promptTokens,
    output_tokens: pieces.length,
    total_tokens: bill.promptTokens + pieces.length,
  };
  const deltas = pieces.map((piece) => ({ type: 'speech.audio.delta', audio: piece.toString('base64') }));
  return {
    ...bill,
    type: 'text/event-stream',
    body: events([...deltas, { type: 'speech.audio.done', usage }]),
  };
}

function moderations(asked: Asked): ServiceAnswer | undefined {
  const { input } = asked.json;
  if (input === undefined) return undefined;
  const results = [input].flat().map(() => ({ flagged: false, categories: {}, category_scores: {} }));
  return jsonAnswer(asked, { id: 'modr-fake', model: asked.model, results }, [tokensOf(input), 0]);
}

function rerank(asked: Asked, behaviour: Behaviour): ServiceAnswer | undefined {
  const { documents, top_n: top, query } = asked.json;
  if (!Array.isArray(documents) || typeof query !== 'string') return undefined;
  const results = documents
    .map((_, index) => ({ index, relevance_score: (index + 1) / documents.length }))
    .toReversed()
    .slice(0, typeof top === 'number' ? top : undefined);
  const isCohere = asked.path.endsWith('/v2/rerank');
  const meta = { api_version: { version: '2' }, billed_units: { search_units: 1 } };
  const said = isCohere ? { meta } : behaviour.usageOn === 'never' ? {} : { usage: { total_tokens: 7 } };
  return jsonAnswer(asked, { id: 'rerank-fake', results, ...said }, [7, 0]);
}

const services: readonly FakeService[] = [
  ...embeddingServices,
  { path: /\/images\/(generations|edits|variations)$/, answer: images },
  { path: /\/audio\/(transcriptions|translations)$/, answer: transcripts },
  { path: /\/audio\/speech$/, answer: speech },
  { path: /\/moderations$/, answer: moderations },
  { path: /\/rerank$/, answer: rerank },
];

/** Undefined where there is no such service. */
export function serviceAt(path: string): FakeService | undefined {
  return services.find((service) => service.path.test(path));
}
