// The rules that objects can only break together, asked of the configuration as it would be after a change, and answered
// in terms of the objects' names: a position in a list means nothing to someone who changes one object.
import { checkReferences } from '#shared/configuration/references.ts';
import type { Problem } from '#shared/errors.ts';
import { kinds, type ObjectKind, type Spec } from './kinds.ts';

export interface NamedSpec {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly spec: Spec;
}

export function brokenReferences(objects: readonly NamedSpec[]): Problem[] {
  const byKind = Map.groupBy(objects, (object) => object.kind);
  const specsOf = (kind: ObjectKind) => (byKind.get(kind) ?? []).map((object) => object.spec) as never;
  const problems = checkReferences({
    providers: specsOf('provider'),
    models: specsOf('model'),
    aliases: specsOf('alias'),
    routes: specsOf('route'),
  });
  return problems.map((problem) => ({ ...problem, path: named(problem.path, byKind) }));
}

/** `models[2].provider` as `models/gpt-4o:openai:gpt-4o.provider`. */
function named(path: string, byKind: ReadonlyMap<ObjectKind, readonly NamedSpec[]>): string {
  for (const { kind, collection } of Object.values(kinds)) {
    const match = new RegExp(`^${collection}\\[(\\d+)\\](.*)$`).exec(path);
    const object = match && byKind.get(kind)?.[Number(match[1])];
    if (object) return `${collection}/${object.name}${match[2]}`;
  }
  return path.replace(/^aliases\./, 'aliases/');
}
