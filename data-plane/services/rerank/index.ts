// Documents in the order in which they answer a question. No vendor's API is the standard here; what Cohere began and Jina, vLLM and
// others have taken up is what clients write: `model`, `query`, `documents`, `top_n`, `return_documents`.
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { ownForm } from '../own-form.ts';
import { jsonReader } from '../read-request.ts';
import type { Service } from '../service.ts';
import { itemsAt } from '../usage.ts';
import { countSearches } from './ranking.ts';
import { bedrockRerank, cohereRerank } from './vendors.ts';

const documentsKey = wantedKeys('documents');

export const rerank: Service = Object.freeze<Service>({
  name: 'rerank',
  read: jsonReader(),
  forms: {
    openai: ownForm({
      holds: 'results',
      count: ({ body }) => countSearches(itemsAt(body, scanObject(body, documentsKey).members.documents)),
    }),
    cohere: cohereRerank,
    bedrock: bedrockRerank,
  },
});
