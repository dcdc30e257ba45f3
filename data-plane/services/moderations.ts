// Whether a text breaks the rules of a vendor, as OpenAI has it. It costs nothing at OpenAI, so nothing is counted here.
import { ownForm } from './own-form.ts';
import { jsonReader } from './read-request.ts';
import type { Service } from './service.ts';

export const moderations: Service = Object.freeze<Service>({
  name: 'moderations',
  read: jsonReader(),
  forms: { openai: ownForm({ holds: 'results' }) },
});
