// What several objects can only get wrong together: names used twice, names that lead nowhere or in a circle. Pure, and
// asked of the whole configuration both when a file is loaded and before the admin API changes anything.
import type { Problem } from '../errors.ts';
import type { StrategyName } from '../routing-strategies.ts';
import { hint } from './nearest.ts';
import { type NamingRule, namesInRules } from './route-rules.ts';

/** As much of the objects as names need; normalised objects are accepted, with secrets or without. */
export interface NamedObjects {
  readonly providers: readonly { readonly name: string; readonly model_patterns: readonly string[] }[];
  readonly models: readonly {
    readonly id: string;
    readonly name: string;
    readonly provider: string;
    readonly strategy?: StrategyName | undefined;
  }[];
  readonly aliases: readonly { readonly name: string; readonly target: string }[];
  readonly routes: readonly {
    readonly slug: string;
    readonly models: readonly { readonly model: string }[];
    readonly fallbacks: readonly string[];
    readonly context_window_fallbacks: readonly string[];
    readonly content_policy_fallbacks: readonly string[];
    readonly rules: readonly NamingRule[];
    readonly mirrors: readonly { readonly to: string }[];
  }[];
}

const fallbackFields = ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'] as const;

/** Paths are `models[2].provider`, `aliases.fast`, `routes[0].fallbacks[1]`, by position in the lists given. */
export function checkReferences(objects: NamedObjects): Problem[] {
  const names = new Names(objects);
  return [
    ...repeated(objects),
    ...collisions(objects),
    ...contradictions(objects),
    ...objects.models.flatMap((model, index) => checkModel(names, model, `models[${index}]`)),
    ...objects.aliases.flatMap((alias) => checkAlias(names, alias)),
    ...objects.routes.flatMap((route, index) => checkRoute(names, route, `routes[${index}]`)),
  ];
}

/** Every public name, answered as data planes resolve them. */
class Names {
  readonly providers: ReadonlySet<string>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly #exact: ReadonlySet<string>;
  readonly #prefixes: readonly string[];

  constructor({ providers, models, aliases, routes }: NamedObjects) {
    const patterns = providers.flatMap((provider) => provider.model_patterns);
    this.providers = new Set(providers.map(({ name }) => name));
    this.aliases = new Map(aliases.map(({ name, target }) => [name, target]));
    this.#exact = new Set([
      ...models.map(({ name }) => name),
      ...this.aliases.keys(),
      ...routes.map(({ slug }) => slug),
      ...patterns.filter((pattern) => !pattern.endsWith('*')),
    ]);
    this.#prefixes = patterns
      .filter((pattern) => pattern.endsWith('*'))
      .map((pattern) => pattern.slice(0, -1));
  }

  has(name: string): boolean {
    if (this.#exact.has(name) || this.#prefixes.some((prefix) => name.startsWith(prefix))) return true;
    const slash = name.indexOf('/');
    return slash > 0 && slash < name.length - 1 && this.providers.has(name.slice(0, slash));
  }

  unknown(name: string, path: string): Problem[] {
    if (this.has(name)) return [];
    return [{ path, message: `there is no model, alias or route "${name}"${hint(name, this.#exact)}` }];
  }
}

function checkModel(names: Names, model: NamedObjects['models'][number], path: string): Problem[] {
  if (names.providers.has(model.provider)) return [];
  const message = `there is no provider "${model.provider}"${hint(model.provider, names.providers)}`;
  return [{ path: `${path}.provider`, message }];
}

function checkAlias(names: Names, alias: NamedObjects['aliases'][number]): Problem[] {
  const path = `aliases.${alias.name}`;
  const trail = [alias.name];
  for (let next = names.aliases.get(alias.name); next !== undefined; next = names.aliases.get(next)) {
    if (next === alias.name)
      return [{ path, message: `leads back to itself: ${[...trail, next].join(' -> ')}` }];
    if (trail.includes(next)) return []; // leads into a circle that is reported at its own members
    trail.push(next);
  }
  return names.unknown(alias.target, path);
}

function checkRoute(names: Names, route: NamedObjects['routes'][number], path: string): Problem[] {
  const members = route.models.map(({ model }, index) => ({
    name: model,
    path: `${path}.models[${index}].model`,
  }));
  const fallbacks = fallbackFields.flatMap((field) =>
    route[field].map((name, index) => ({ name, path: `${path}.${field}[${index}]` })),
  );
  const ruled = namesInRules(route).map(({ name, path: place }) => ({ name, path: `${path}.${place}` }));
  return [...members, ...fallbacks, ...ruled].flatMap((member) =>
    member.name === route.slug
      ? [{ path: member.path, message: `the route "${route.slug}" names itself` }]
      : names.unknown(member.name, member.path),
  );
}

function repeated({ providers, models, aliases, routes }: NamedObjects): Problem[] {
  return [
    ...repeats(
      providers,
      'name',
      (index) => `providers[${index}].name`,
      (name) => `there are two providers "${name}"`,
    ),
    ...repeats(
      models,
      'id',
      (index) => `models[${index}]`,
      (id) => `there are two deployments "${id}"; give one an id of its own`,
    ),
    ...repeats(
      aliases,
      'name',
      (index) => `aliases.${aliases[index]!.name}`,
      (name) => `there are two aliases "${name}"`,
    ),
    ...repeats(
      routes,
      'slug',
      (index) => `routes[${index}].slug`,
      (slug) => `there are two routes "${slug}"`,
    ),
  ];
}

function repeats<Key extends string, Item extends { readonly [key in Key]: string }>(
  items: readonly Item[],
  key: Key,
  path: (index: number) => string,
  message: (value: string) => string,
): Problem[] {
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    const value = item[key];
    if (seen.has(value)) return [{ path: path(index), message: message(value) }];
    seen.add(value);
    return [];
  });
}

/** Clients say one name and mean one thing. */
function collisions({ models, aliases, routes }: NamedObjects): Problem[] {
  const modelNames = new Set(models.map(({ name }) => name));
  const slugs = new Set(routes.map(({ slug }) => slug));
  const clash = (path: string, name: string, other: string): Problem => ({
    path,
    message: `"${name}" is also the name of a ${other}; clients could not tell them apart`,
  });
  return [
    ...aliases.flatMap(({ name }) =>
      modelNames.has(name)
        ? [clash(`aliases.${name}`, name, 'model')]
        : slugs.has(name)
          ? [clash(`aliases.${name}`, name, 'route')]
          : [],
    ),
    ...routes.flatMap(({ slug }, index) =>
      modelNames.has(slug) ? [clash(`routes[${index}].slug`, slug, 'model')] : [],
    ),
  ];
}

/** The deployments of one name are chosen between in one way. */
function contradictions({ models }: NamedObjects): Problem[] {
  const first = new Map<string, { readonly id: string; readonly strategy: StrategyName }>();
  return models.flatMap(({ id, name, strategy }, index) => {
    if (strategy === undefined) return [];
    const said = first.get(name);
    if (said === undefined) first.set(name, { id, strategy });
    if (said === undefined || said.strategy === strategy) return [];
    const message = `"${strategy}" contradicts "${said.strategy}" at the deployment "${said.id}" of the same name; say it at one of them only`;
    return [{ path: `models[${index}].strategy`, message }];
  });
}
