// Pictures as OpenAI has them: made from words, changed, or varied. Models that count tokens say how many; the others charge by
// picture, size and quality, so those are kept.
import { scanObject, wantedKeys } from '../json/scan.ts';
import { eventTap } from './event-tap.ts';
import { ownForm } from './own-form.ts';
import { detailsOf, eitherReader, formReader, jsonReader } from './read-request.ts';
import type { Service, ServiceRequest } from './service.ts';
import { counted, itemsAt } from './usage.ts';

const answerKeys = wantedKeys('data');
const priced = ['n', 'size', 'quality'];

const form = ownForm({
  holds: 'data',
  count: (request, answer) => countImages(request, imagesIn(answer)),
  tap: (request) => (request.stream ? () => eventTap(imageEvents(request)) : undefined),
});

export const imagesGenerations: Service = Object.freeze<Service>({
  name: 'images-generations',
  read: jsonReader(...priced),
  forms: { openai: form },
});

export const imagesEdits: Service = Object.freeze<Service>({
  name: 'images-edits',
  read: eitherReader(...priced),
  forms: { openai: form },
});

export const imagesVariations: Service = Object.freeze<Service>({
  name: 'images-variations',
  read: formReader(...priced),
  forms: { openai: form },
});

function imageEvents(request: ServiceRequest) {
  const asked = Number(detailsOf(request).fields.n ?? 1);
  return {
    endings: Number.isInteger(asked) && asked > 0 ? asked : 1,
    count: (images: number) => (images === 0 ? '' : countImages(request, images)),
  };
}

function countImages(request: ServiceRequest, images: number): string {
  const { size, quality } = detailsOf(request).fields;
  return counted({ images, ...(size && { size }), ...(quality && { quality }) });
}

function imagesIn(answer: Buffer): number {
  return itemsAt(answer, scanObject(answer, answerKeys).members.data);
}
