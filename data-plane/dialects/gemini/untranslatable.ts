// What a client of Gemini's API may ask for that no other dialect can be asked: it is refused by name before anything is sent, never
// left out in silence. Left out are only hints that change nothing in the answer, and the filters that Google alone has where they
// were opened wider than they are.
import { isObject, type JsonObject, objectOf, objectsIn, rowFor, textOf } from '../../json/values.ts';
import type { Message, Part, Tool, TurnRequest } from '../../turn/request.ts';
import { plainSettings } from './generation.ts';
import { piecesOf } from './message.ts';
import { named } from './wire.ts';

/** Read into canonical fields as far as they go; what is left of them is looked at on its own. */
const understood = ['generationConfig', 'toolConfig', 'safetySettings', 'systemInstruction', 'tools'];

/** Accounting, speed and style at Google; the answer is the same without them. */
const hints = ['labels', 'serviceTier', 'store'];

const knownSettings: readonly string[] = [
  ...plainSettings.map(({ wire }) => wire),
  ...[
    'stopSequences',
    'responseLogprobs',
    'logprobs',
    'thinkingConfig',
    'responseSchema',
    'responseJsonSchema',
  ],
  // How finely a picture is looked at, and a preference for answers about elections.
  ...['mediaResolution', 'enableEnhancedCivicAnswers'],
];

/** Settings that say what their absence says. */
const defaults: Readonly<Record<string, (value: unknown) => boolean>> = {
  responseModalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'TEXT'),
  responseMimeType: (value) => value === 'text/plain' || value === 'application/json',
};

/** As wide as no filter at all, or as wide as Google finds right. */
const openThresholds = ['BLOCK_NONE', 'OFF', 'BLOCK_ONLY_HIGH', 'HARM_BLOCK_THRESHOLD_UNSPECIFIED'];

export function untranslatable({ extras, messages, tools }: TurnRequest): readonly string[] {
  const top = Object.keys(extras).filter(
    (field) => !understood.includes(field) && !hints.includes(field) && !isEmpty(extras[field]),
  );
  return [
    ...top,
    ...inSafety(extras.safetySettings),
    ...inSettings(objectOf(extras.generationConfig)),
    ...inToolConfig(objectOf(extras.toolConfig)),
    ...messages.flatMap(inMessage),
    ...tools.flatMap(inTool),
  ];
}

function inSafety(settings: unknown): readonly string[] {
  const isOpen = objectsIn(settings).every(({ threshold }) => openThresholds.includes(textOf(threshold)));
  return isOpen ? [] : ['safetySettings'];
}

function inSettings(settings: JsonObject): readonly string[] {
  return Object.keys(settings)
    .filter((field) => !knownSettings.includes(field) && !isEmpty(settings[field]))
    .filter((field) => rowFor(defaults, field)?.(settings[field]) !== true)
    .map((field) => `generationConfig.${field}`);
}

function inToolConfig(config: JsonObject): readonly string[] {
  const { functionCallingConfig, ...others } = config;
  const { allowedFunctionNames: names } = named(functionCallingConfig);
  const isNarrowed = Array.isArray(names) && names.length > 1;
  return [
    ...(isNarrowed ? ['toolConfig.functionCallingConfig.allowedFunctionNames'] : []),
    ...Object.keys(others)
      .filter((field) => !isEmpty(others[field]))
      .map((field) => `toolConfig.${field}`),
  ];
}

function inMessage(message: Message): readonly string[] {
  return message.parts.flatMap(inPart);
}

function inPart(part: Part): readonly string[] {
  const [piece] = piecesOf(part);
  const path = piece === undefined ? 'contents' : `contents[${piece.at}].parts`;
  if (part.kind === 'private') return [`${path} (${part.type})`];
  if (part.kind === 'tool-result' && part.parts.some(({ kind }) => kind === 'private')) {
    return [`${path}.functionResponse.parts`];
  }
  // Which minutes of a film, and how many pictures of each second.
  return piece?.part.videoMetadata === undefined ? [] : [`${path}.videoMetadata`];
}

function inTool({ name, extras = {} }: Tool): readonly string[] {
  const path = `tools[${String(extras.at)}]`;
  if (Object.hasOwn(extras, 'whole')) return [`${path}.${name}`];
  const { behavior } = objectOf(extras.fields);
  return behavior === undefined || behavior === 'BLOCKING' ? [] : [`${path}.functionDeclarations.behavior`];
}

function isEmpty(value: unknown): boolean {
  return (
    value == null ||
    (Array.isArray(value) && value.length === 0) ||
    (isObject(value) && Object.keys(value).length === 0)
  );
}
