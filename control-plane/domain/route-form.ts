// A second way to write a route, as other gateways have it: `model_name` for `model` of a member, `fallback_models` for `fallbacks`.
// Only the names differ, so it is put into ours before anything looks at it, and nothing else knows of it.
import { z } from 'zod';
import { routeSpec } from '#shared/configuration/schema.ts';
import type { Problem } from '#shared/errors.ts';
import { problemsError } from './validation.ts';

export interface AlternativeForm {
  /** For those who read what may be sent; what arrives is translated before it is checked. */
  readonly form: z.ZodObject;
  readonly translate: (input: unknown) => unknown;
}

const ourNames = { model_name: 'model', fallback_models: 'fallbacks' } as const;
type TheirName = keyof typeof ourNames;

const { model, ...member } = routeSpec.shape.models.element.shape;
const { models: _, fallbacks, ...route } = routeSpec.shape;

const form = z
  .strictObject({
    ...route,
    models: z
      .array(z.strictObject({ model_name: model, ...member }))
      .min(1)
      .describe('What the route chooses from.'),
    fallback_models: fallbacks,
  })
  .describe('The same with other names, which are understood in every request that writes a route.');

export const routeForm: AlternativeForm = { form, translate };

/** What is no route in either form is left as it is, for the check of its fields to complain about. */
function translate(input: unknown): unknown {
  if (!isRecord(input)) return input;
  const problems: Problem[] = [];
  const renamed = rename(input, 'fallback_models', '', problems);
  const models = Array.isArray(renamed.models)
    ? renamed.models.map((each, index) =>
        isRecord(each) ? rename(each, 'model_name', `models[${index}].`, problems) : each,
      )
    : renamed.models;
  if (problems.length > 0) throw problemsError('invalid_configuration', problems);
  return renamed.models === undefined ? renamed : { ...renamed, models };
}

function rename(
  record: Readonly<Record<string, unknown>>,
  theirs: TheirName,
  place: string,
  problems: Problem[],
): Readonly<Record<string, unknown>> {
  if (!Object.hasOwn(record, theirs)) return record;
  const ours = ourNames[theirs];
  if (Object.hasOwn(record, ours)) {
    problems.push({
      path: `${place}${theirs}`,
      message: `is another name of ${ours}, which is there too; give one of them`,
    });
  }
  const { [theirs]: value, ...others } = record;
  return { ...others, [ours]: value };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
