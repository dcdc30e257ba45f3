// From the text of a configuration file to a configuration, or to everything that is wrong with it at once, in the order
// of its lines. Nothing of a file with any problem is ever used.
import { type Problem, SignalboxError } from '../errors.ts';
import { strategyCalled } from '../routing-strategies.ts';
import { type PlacedProblem, readDocument } from './document.ts';
import type { Environment } from './expansion.ts';
import { describeIssues, type FoundProblem } from './issues.ts';
import {
  type Configuration,
  checkProvider,
  modelPatterns,
  normaliseModel,
  normaliseProvider,
  normaliseRoute,
} from './objects.ts';
import { providersFromEnvironment } from './provider-environment.ts';
import { checkReferences, type NamedObjects } from './references.ts';
import { routeRuleSpec } from './route-rules.ts';
import { configurationShape, configurationSpec, modelSpec, providerSpec } from './schema.ts';

export interface LoadOptions {
  /** The name of the file, for messages. */
  readonly file: string;
  readonly text: string;
  /** Where `${NAME}` is looked up; providers whose keys are found there may be named by the file. */
  readonly env: Environment;
  /** Whether the built-in model `demo` exists beside the file's own objects. */
  readonly demo?: boolean;
}

export function loadConfiguration(options: LoadOptions): { configuration: Configuration } {
  const { file, text, env, demo = false } = options;
  const document = readDocument(text, configurationShape, env);
  const parsed = configurationSpec.safeParse(document.value);
  const isSecret = (path: string) => /\.api_keys\[\d+\](\.key)?$/.test(path) || document.isExpanded(path);
  const context = { value: document.value, shape: configurationShape, isSecret };
  const found = [...describeIssues(parsed.error?.issues ?? [], context), ...checkProviders(document.value)];
  const references = checkReferences(addOutside(leniently(document.value), env, demo)).filter(
    ({ path }) => !found.some((problem) => concerns(problem, path)),
  );
  const problems = [
    ...document.problems,
    ...[...found, ...references].map((problem) => document.place(problem)),
  ];
  if (problems.length > 0 || !parsed.success) throw invalid(file, problems);
  const { providers, models, aliases, routes } = parsed.data;
  const configuration: Configuration = Object.freeze({
    providers: providers.map(normaliseProvider),
    models: models.map(normaliseModel),
    aliases: Object.entries(aliases).map(([name, target]) => Object.freeze({ name, target })),
    routes: routes.map(normaliseRoute),
  });
  return { configuration };
}

/** `signalbox.yaml:12:5  providers[0].tpye: unknown key; did you mean "type"?` */
export function problemText(file: string, problem: Problem): string {
  const position = problem.line === undefined ? file : `${file}:${problem.line}:${problem.column ?? 1}`;
  return `${position}  ${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`;
}

function invalid(file: string, problems: readonly PlacedProblem[]): SignalboxError {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const count = sorted.length === 1 ? 'one problem' : `${sorted.length} problems`;
  const first = sorted[0] === undefined ? '' : `: ${problemText(file, sorted[0])}`;
  return new SignalboxError('invalid_configuration', `${file} has ${count}${first}`, {
    param: file,
    problems: sorted,
  });
}

/** What each provider gets wrong by itself, as far as its fields are valid. */
function checkProviders(value: unknown): FoundProblem[] {
  return list(value, 'providers').flatMap((raw, index) => {
    const spec = providerSpec.safeParse(raw);
    if (!spec.success) return [];
    return checkProvider(spec.data).map(({ path, message }) => ({
      path: `providers[${index}].${path}`,
      message,
      atKey: false,
    }));
  });
}

/**
 * The names in a configuration of which other parts may be wrong, so that every problem is found in one go. What cannot
 * be read as a name becomes an empty one; the check of its field has reported it already.
 */
function leniently(value: unknown): NamedObjects {
  const aliases = record(record(value).aliases);
  return {
    providers: list(value, 'providers').map((raw) => {
      const name = word(raw.name);
      const patterns = Array.isArray(raw.model_patterns) ? words(raw.model_patterns) : undefined;
      const type = typeof raw.type === 'string' ? raw.type : undefined;
      return { name, model_patterns: modelPatterns({ name, type, model_patterns: patterns }) };
    }),
    models: list(value, 'models').map((raw, index) => {
      const model = modelSpec.safeParse(raw);
      return {
        id: model.success ? normaliseModel(model.data).id : `models[${index}]`,
        name: word(raw.name),
        provider: word(raw.provider),
        strategy: strategyCalled(word(raw.strategy)),
      };
    }),
    aliases: Object.entries(aliases).map(([name, target]) => ({ name, target: word(target) })),
    routes: list(value, 'routes').map((raw) => ({
      slug: word(raw.slug),
      models: list(raw, 'models').map((member) => ({ model: word(member.model) })),
      fallbacks: words(raw.fallbacks),
      context_window_fallbacks: words(raw.context_window_fallbacks),
      content_policy_fallbacks: words(raw.content_policy_fallbacks),
      rules: list(raw, 'rules').map((rule) => routeRuleSpec.safeParse(rule).data ?? {}),
      mirrors: list(raw, 'mirrors').map((mirror) => ({ to: word(mirror.to) })),
    })),
  };
}

/** What exists without being in the file comes last, so that the positions of what is in the file stay the same. */
function addOutside(objects: NamedObjects, env: Environment, demo: boolean): NamedObjects {
  const declared = new Set(objects.providers.map(({ name }) => name));
  const outside = providersFromEnvironment(env)
    .filter(({ name }) => !declared.has(name))
    .map(normaliseProvider);
  const builtIn = demo && !declared.has('demo') ? [{ name: 'demo', model_patterns: ['demo'] }] : [];
  return { ...objects, providers: [...objects.providers, ...outside, ...builtIn] };
}

/** Whether a problem already says why a reference at this path cannot be right. */
function concerns(problem: FoundProblem, path: string): boolean {
  if (problem.atKey) return false;
  return problem.path === path || path.startsWith(`${problem.path}.`) || path.startsWith(`${problem.path}[`);
}

function list(value: unknown, key: string): Record<string, unknown>[] {
  const found = record(value)[key];
  return Array.isArray(found) ? found.map(record) : [];
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function words(value: unknown): string[] {
  return Array.isArray(value) ? value.map(word) : [];
}
