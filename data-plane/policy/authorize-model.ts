// Whether the key may use the model it asks for. The name is taken as the caller wrote it (alias, route, model or
// `provider/model`), before it is resolved: a key limited to some names learns nothing about others, not even whether
// they exist.
import { SignalboxError } from '#shared/errors.ts';
import type { ModelRequest, Step } from './step.ts';

export const authorizeModel: Step<ModelRequest, void> = {
  name: 'authorize-model',

  run({ principal, model }) {
    if (principal.mayUse(model)) return;
    throw new SignalboxError(
      'model_not_allowed',
      `The API key "${principal.name}" may not use the model "${model}". GET /v1/models lists those it may use.`,
      { param: 'model' },
    );
  },
};
