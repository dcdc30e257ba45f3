// Speech to words and words to speech as OpenAI has them. Transcripts come as JSON, text or subtitles and pass as they are;
// sound passes while it is being made.
import { eventTap } from './event-tap.ts';
import { ownForm } from './own-form.ts';
import { detailsOf, formReader, jsonReader } from './read-request.ts';
import type { Service, ServiceRequest } from './service.ts';
import { soundTap } from './sound-tap.ts';
import { counted } from './usage.ts';

const transcript = ownForm({
  holds: 'text',
  mayBeText: true,
  tap: ({ stream }) => (stream ? () => eventTap({ endings: 1, count: () => '' }) : undefined),
});

export const audioTranscriptions: Service = Object.freeze<Service>({
  name: 'audio-transcriptions',
  accept: '*/*',
  read: formReader(),
  forms: { openai: transcript },
});

export const audioTranslations: Service = Object.freeze<Service>({
  name: 'audio-translations',
  accept: '*/*',
  read: formReader(),
  forms: { openai: transcript },
});

const readSpeech = jsonReader('input', 'stream_format');

const sound = ownForm({
  holds: 'audio',
  mayBeText: true,
  count: countCharacters,
  tap: (request) => {
    const count = () => countCharacters(request);
    if (!request.stream) return () => soundTap(count());
    return () => eventTap({ endings: 1, count, meters: { output: 'outputAudio' } });
  },
});

export const audioSpeech: Service = Object.freeze<Service>({
  name: 'audio-speech',
  accept: '*/*',
  read: (body, contentType) => {
    const request = readSpeech(body, contentType);
    return { ...request, stream: detailsOf(request).fields.stream_format === 'sse' };
  },
  forms: { openai: sound },
});

/** Characters, which is what vendors charge by; one beyond the first 65,536 is two units of a string, and still one. */
function countCharacters(request: ServiceRequest): string {
  const { input = '' } = detailsOf(request).fields;
  let characters = input.length;
  for (let at = 1; at < input.length; at += 1) {
    if (isLowSurrogate(input.charCodeAt(at)) && isHighSurrogate(input.charCodeAt(at - 1))) characters -= 1;
  }
  return counted({ input_characters: characters });
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
