// What can be asked of a model besides a turn, as a table, and a request's life from its body to the last attempt: the same chain
// of admission, routing and attempts that turns go through.
import type { Address, ClientDialectName } from '../dialects/dialect.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import { serviceTask } from '../passage/service-task.ts';
import { audioSpeech, audioTranscriptions, audioTranslations } from '../services/audio.ts';
import { embeddings, geminiEmbedding, geminiEmbeddings } from '../services/embeddings/index.ts';
import { imagesEdits, imagesGenerations, imagesVariations } from '../services/images.ts';
import { moderations } from '../services/moderations.ts';
import { rerank } from '../services/rerank/index.ts';
import type { Service } from '../services/service.ts';
import { answerTask } from './asking/failover.ts';
import { hedgeFactsOfService } from './asking/hedge-facts.ts';
import { readFormBody, readFormOrJsonBody, readJsonBody } from './body.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { wholeAnswer } from './model-address.ts';
import { geminiPaths } from './operations.ts';
import { placeRequest } from './place-request.ts';
import type { PathParameters } from './router.ts';

export interface ServiceOperation {
  /** As the metrics call it. */
  readonly name: string;
  /** Segments that begin with a colon stand for anything. */
  readonly paths: readonly string[];
  readonly service: Service;
  readonly body: keyof typeof readers;
  /** In whose words errors are told. */
  readonly dialect: ClientDialectName;
  /** For languages in which the path names the model. */
  address?(parameters: PathParameters): Address;
}

const readers = { json: readJsonBody, form: readFormBody, either: readFormOrJsonBody } as const;

const openai = { dialect: 'openai-chat', body: 'json' } as const;
const gemini = { dialect: 'gemini', body: 'json', address: wholeAnswer } as const;

export const serviceOperations: readonly ServiceOperation[] = [
  { ...openai, name: 'embeddings', paths: ['/v1/embeddings', '/embeddings'], service: embeddings },
  {
    ...openai,
    name: 'images_generations',
    paths: ['/v1/images/generations', '/images/generations'],
    service: imagesGenerations,
  },
  {
    ...openai,
    name: 'images_edits',
    paths: ['/v1/images/edits', '/images/edits'],
    service: imagesEdits,
    body: 'either',
  },
  {
    ...openai,
    name: 'images_variations',
    paths: ['/v1/images/variations', '/images/variations'],
    service: imagesVariations,
    body: 'form',
  },
  {
    ...openai,
    name: 'audio_transcriptions',
    paths: ['/v1/audio/transcriptions', '/audio/transcriptions'],
    service: audioTranscriptions,
    body: 'form',
  },
  {
    ...openai,
    name: 'audio_translations',
    paths: ['/v1/audio/translations', '/audio/translations'],
    service: audioTranslations,
    body: 'form',
  },
  {
    ...openai,
    name: 'audio_speech',
    paths: ['/v1/audio/speech', '/audio/speech'],
    service: audioSpeech,
  },
  { ...openai, name: 'moderations', paths: ['/v1/moderations', '/moderations'], service: moderations },
  { ...openai, name: 'rerank', paths: ['/v1/rerank', '/rerank', '/v2/rerank'], service: rerank },
  {
    ...gemini,
    name: 'embed_content',
    paths: geminiPaths('embedContent'),
    service: geminiEmbedding,
  },
  {
    ...gemini,
    name: 'batch_embed_contents',
    paths: geminiPaths('batchEmbedContents'),
    service: geminiEmbeddings,
  },
];

export async function runService(
  operation: ServiceOperation,
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  parameters: PathParameters,
): Promise<void> {
  const { service } = operation;
  const body = await readers[operation.body](exchange, context.limits);
  const contentType = exchange.request.headers['content-type'] ?? 'application/json';
  const request = service.read(body, contentType, operation.address?.(parameters));
  const placed = placeRequest(context, exchange, admitted, request);
  const { dropsUnsupported } = placed.options;
  const { renderError } = clientDialectNamed(operation.dialect);
  const task = serviceTask(placed.identity, { service, request, dropsUnsupported }, renderError);
  context.mirrors.follow(exchange, task, placed.copies);
  const hedgeFacts = () => hedgeFactsOfService(operation.name);
  await answerTask(context, exchange, task, { ...placed, hedgeFacts });
}
