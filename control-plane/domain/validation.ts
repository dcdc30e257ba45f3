// Checks input against a schema and says what is wrong in the words that the configuration file uses too: the field, the
// value unless it may be a secret, and the nearest thing that would be right.
import { z } from 'zod';
import { describeIssues } from '#shared/configuration/issues.ts';
import type { Shape } from '#shared/configuration/schema.ts';
import { type ErrorCode, type Problem, SignalboxError } from '#shared/errors.ts';

const shapes = new WeakMap<z.ZodType, Shape>();

/** `place` begins the message: what the input is. */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  place: string,
): { value: z.output<Schema> } | { error: SignalboxError } {
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data };
  const isSecret = (path: string) => path.startsWith('api_keys') || path.startsWith('authorization');
  const found = describeIssues(result.error.issues, { value: input, shape: shapeOf(schema), isSecret });
  const problems = found.map(({ path, message }) => ({ path, message }));
  return { error: problemsError('invalid_request', problems, place) };
}

export function problemsError(code: ErrorCode, problems: readonly Problem[], place = ''): SignalboxError {
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const subject = [place, first?.path].filter((part) => part !== '').join(' ');
  return new SignalboxError(code, `${subject}: ${first?.message}${more}`, { problems });
}

function shapeOf(schema: z.ZodType): Shape {
  const known = shapes.get(schema);
  if (known !== undefined) return known;
  const shape = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Shape;
  shapes.set(schema, shape);
  return shape;
}
