// The style guide, as far as a test can hold it. Every rule is a row with the reason it exists and what to do instead; a
// failing rule names each place. What a formatter or linter can see is theirs (biome.json, .oxlintrc.json).
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { environmentTable } from '#shared/configuration/environment.ts';
import { configurationKeys } from '#shared/configuration/schema.ts';
import { errorTable } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { metricTable } from '#shared/metrics.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const rooms = ['proto/gen', 'shared', 'control-plane', 'data-plane', 'cli', 'bench', 'test'];

interface Source {
  readonly path: string;
  readonly text: string;
  /** Paths within the repository, or package names. */
  readonly imports: readonly string[];
  readonly isTest: boolean;
}

const sources = rooms.flatMap(readSources);
const byPath = new Map(sources.map((source) => [source.path, source]));
const written = sources.filter((source) => !source.path.startsWith('proto/gen/'));
const product = written.filter((source) => !source.isTest && !/^(test|bench)\//.test(source.path));

describe('who may import whom', () => {
  /** Files under `from` import nothing under `never`. */
  const walls = [
    { from: 'proto/gen/', never: /^(shared|control-plane|data-plane|cli|test|bench)\// },
    { from: 'shared/', never: /^(control-plane|data-plane|cli|test|bench)\// },
    { from: 'control-plane/', never: /^(data-plane|cli|test|bench)\// },
    { from: 'data-plane/', never: /^(control-plane|cli|test|bench)\// },
    { from: 'cli/', never: /^(test|bench)\// },
    { from: 'control-plane/domain/', never: /^control-plane\/(?!domain\/)/ },
    { from: 'control-plane/store/', never: /^control-plane\/(services|api|delivery|usage)\// },
    { from: 'control-plane/delivery/', never: /^control-plane\/(services|api|usage)\// },
    { from: 'control-plane/usage/', never: /^control-plane\/(services|api|delivery)\// },
    { from: 'control-plane/health/', never: /^control-plane\/(?!health\/)/ },
    { from: 'control-plane/services/', never: /^control-plane\/api\// },
    { from: 'data-plane/turn/', never: /^data-plane\/(?!turn\/)/ },
    { from: 'data-plane/framing/', never: /^data-plane\/(?!framing\/)/ },
    { from: 'data-plane/json/', never: /^data-plane\/(?!json\/)/ },
    { from: 'data-plane/rules/', never: /^data-plane\/(?!rules\/)/ },
    { from: 'data-plane/dialects/', never: /^data-plane\/(?!dialects\/|turn\/|framing\/|json\/)/ },
    { from: 'data-plane/services/', never: /^data-plane\/(?!services\/|dialects\/|turn\/|framing\/|json\/)/ },
    {
      // Of the upstream client what credentials need to fetch a token.
      from: 'data-plane/providers/',
      never: /^data-plane\/((http|routing|policy|meter|snapshot)\/|upstream\/(?!client\.ts|fetch-text\.ts))/,
    },
    { from: 'data-plane/routing/', never: /^data-plane\/(http|dialects|providers|meter|upstream)\// },
    { from: 'data-plane/policy/', never: /^data-plane\/(http|dialects|providers|meter|upstream)\// },
    {
      from: 'data-plane/meter/',
      never: /^data-plane\/(http|dialects|providers|routing|policy|upstream|snapshot)\//,
    },
    { from: 'data-plane/responses/', never: /^data-plane\/(?!responses\/|json\/)/ },
    { from: 'data-plane/upstream/', never: /^data-plane\/(?!upstream\/)/ },
    { from: 'data-plane/files/', never: /^data-plane\/(http|policy|providers|routing|upstream)\// },
    { from: 'data-plane/realtime/', never: /^data-plane\/(http|policy|providers|routing)\// },
    { from: 'data-plane/attempt/', never: /^data-plane\/(http|policy)\// },
    { from: 'data-plane/snapshot/', never: /^data-plane\/(http|attempt|policy|routing|meter)\// },
  ];

  test.each(walls)('$from keeps its walls', ({ from, never }) => {
    const breaches = product
      .filter((source) => source.path.startsWith(from))
      .flatMap((source) =>
        source.imports.filter((path) => never.test(path)).map((path) => `${source.path} -> ${path}`),
      );
    expect(breaches).toEqual([]);
  });

  test('a dialect never imports another dialect', () => {
    const dialectOf = (path: string) => /^data-plane\/dialects\/([^/]+)\//.exec(path)?.[1];
    const breaches = product.flatMap((source) =>
      source.imports
        .filter(
          (path) => dialectOf(source.path) && dialectOf(path) && dialectOf(path) !== dialectOf(source.path),
        )
        .map((path) => `${source.path} -> ${path}`),
    );
    expect(breaches).toEqual([]);
  });

  test('no file imports itself through others', () => {
    expect(findCycles(product)).toEqual([]);
  });
});

describe('one door per dependency', () => {
  const doors: readonly { readonly packages: RegExp; readonly door: RegExp }[] = [
    { packages: /^(kysely|pg)(\/|$)/, door: /^control-plane\/store\// },
    { packages: /^(fastify|@fastify\/.*|fastify-type-provider-zod)$/, door: /^control-plane\/api\// },
    { packages: /^@nats-io\//, door: /^shared\/bus\// },
    { packages: /^prom-client$/, door: /^shared\/metrics\.ts$/ },
    { packages: /^(pino|pino-pretty)$/, door: /^shared\/log\.ts$/ },
    { packages: /^yaml$/, door: /^shared\/configuration\// },
    { packages: /^(@connectrpc\/.*|node:http2)$/, door: /^(control-plane\/delivery|data-plane\/snapshot)\// },
    { packages: /^@peculiar\/x509$/, door: /^control-plane\/delivery\/authority\.ts$/ },
    {
      packages: /^(node:net|node:tls)$/,
      door: /^(data-plane\/(upstream|snapshot|http)|control-plane\/(delivery|api)|cli)\//,
    },
    { packages: /^ws$/, door: /^data-plane\/(upstream\/(upgrade|message-socket)|http\/upgrade)\.ts$/ },
    { packages: /^ioredis$/, door: /^shared\/redis\.ts$/ },
    { packages: /^commander$/, door: /^cli\// },
    { packages: /^node:child_process$/, door: /^cli\// },
  ];

  test.each(doors)('$packages', ({ packages, door }) => {
    const breaches = product
      .filter((source) => !door.test(source.path))
      .flatMap((source) =>
        source.imports.filter((name) => packages.test(name)).map((name) => `${source.path} -> ${name}`),
      );
    expect(breaches).toEqual([]);
  });

  test('every dependency of package.json is used', () => {
    const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const used = new Set(product.flatMap((source) => source.imports.map(packageName)));
    expect(Object.keys(manifest.dependencies).filter((name) => !used.has(name))).toEqual([]);
  });
});

describe('words that are not used, and what to use instead', () => {
  const bans: readonly {
    readonly word: RegExp;
    readonly instead: string;
    readonly where?: RegExp;
    readonly except?: RegExp;
  }[] = [
    {
      word: /process\.env\b/,
      instead: 'settings handed in by cli',
      where: /^(shared|control-plane|data-plane)\//,
    },
    {
      word: /console\.(log|error|warn|info)/,
      instead: 'the logger',
      where: /^(shared|control-plane|data-plane)\//,
    },
    { word: /\bas any\b(?! of)|: any\b(?=[;,)=[])/, instead: 'unknown, and a check' },
    { word: /\bTODO\b|\bFIXME\b|\bXXX\b|not implemented/i, instead: 'finishing it, or leaving it out' },
    { word: /\b(test|it|describe)\.(skip|todo|only)\(/, instead: 'a test that runs' },
    {
      word: /\bthrow new Error\(/,
      instead: 'SignalboxError with a code',
      where: /^(control-plane\/(api|services|domain)|data-plane\/(http|policy|routing))\//,
    },
    {
      word: /Math\.random\(/,
      instead: 'an injected random, or node:crypto',
      where: /^(control-plane|shared)\//,
    },
    {
      word: /(?<!\.)\b(msg|cfg|req|res|ctx|opts|cb)\b(?=\s*[:,)=])/,
      instead: 'the whole word',
      where: /./,
      except: /log|shutdown|\berr:/,
    },
  ];

  test.each(bans)('$word -> $instead', ({ word, where, except }) => {
    const places = written
      .filter(
        ({ path, isTest }) =>
          path !== 'test/tidy.test.ts' && (where === undefined || (!isTest && where.test(path))),
      )
      .flatMap((source) =>
        source.text
          .split('\n')
          .map((line, index) => ({ line, place: `${source.path}:${index + 1}` }))
          .filter(({ line }) => word.test(line) && !(except?.test(line) ?? false))
          .map(({ place, line }) => `${place}: ${line.trim()}`),
      );
    expect(places).toEqual([]);
  });
});

describe('files', () => {
  test('each opens by saying what it is for', () => {
    const silent = written
      .filter((source) => !/^(#!.*\n)?(\/\/|\/\*)/.test(source.text))
      .map((source) => source.path);
    expect(silent.filter((path) => !path.endsWith('.test.ts'))).toEqual([]);
  });

  test('none is unused', () => {
    const entries = [
      'cli/main.ts',
      'bench/run.ts',
      'test/checks/run.ts',
      'test/checks/generate.ts',
      'test/conformance/write-matrix.ts',
    ];
    const starts = [
      ...entries,
      ...sources.filter((source) => source.path.endsWith('.test.ts')).map((source) => source.path),
    ];
    const reached = reach([...starts, ...startedByPath()]);
    expect(written.map((source) => source.path).filter((path) => !reached.has(path))).toEqual([]);
  });

  test('what the product exports is used by another file', () => {
    const unused = product.flatMap((source) =>
      exportedNames(source.text)
        .filter(
          (name) =>
            !written.some(
              (other) => other.path !== source.path && new RegExp(`\\b${name}\\b`).test(other.text),
            ),
        )
        .filter((name) => source.text.split(new RegExp(`\\b${name}\\b`)).length <= 2)
        .map((name) => `${source.path}: ${name}`),
    );
    expect(unused).toEqual([]);
  });
});

describe('documents and code say the same', () => {
  const tables: readonly {
    readonly document: string;
    readonly what: string;
    readonly names: () => readonly string[];
  }[] = [
    { document: 'docs/errors.md', what: 'error codes', names: () => Object.keys(errorTable) },
    { document: 'docs/limits.md', what: 'limits', names: () => Object.keys(limits) },
    { document: 'docs/metrics.md', what: 'metrics', names: () => Object.keys(metricTable) },
    {
      document: 'docs/environment.md',
      what: 'environment variables',
      names: () => Object.keys(environmentTable),
    },
    { document: 'docs/configuration.md', what: 'configuration keys', names: configurationKeys },
  ];

  test.each(tables)('$document lists the $what', ({ document, names }) => {
    expect(firstColumn(read(document)).toSorted()).toEqual([...names()].toSorted());
  });

  test('every limit has an effect', () => {
    const unused = Object.keys(limits).filter(
      (name) =>
        !product.some(
          ({ path, text }) => path !== 'shared/limits.ts' && new RegExp(`\\b${name}\\b`).test(text),
        ),
    );
    expect(unused).toEqual([]);
  });

  test('every metric is measured', () => {
    const unused = Object.keys(metricTable).filter(
      (name) =>
        !product.some((source) => source.path !== 'shared/metrics.ts' && source.text.includes(`'${name}'`)) &&
        name !== 'signalbox_build_info',
    );
    expect(unused).toEqual([]);
  });

  test('every error code is raised somewhere', () => {
    const unused = Object.keys(errorTable).filter(
      (code) =>
        !product.some((source) => source.path !== 'shared/errors.ts' && source.text.includes(`'${code}'`)),
    );
    expect(unused).toEqual([]);
  });

  test('links between documents lead somewhere', () => {
    const documents = [
      'README.md',
      'ARCHITECTURE.md',
      'STYLE.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'CHANGELOG.md',
      ...listFiles('docs', /\.md$/),
    ];
    const broken = documents.flatMap((document) =>
      [...read(document).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)(#[^)]*)?\)/g)]
        .map((match) => normalize(join(dirname(document), match[1]!)))
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${document} -> ${target}`),
    );
    expect(broken).toEqual([]);
  });
});

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function listFiles(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length).split(sep).join('/'))
    .filter((path) => !path.includes('node_modules/'));
}

function readSources(folder: string): Source[] {
  return listFiles(folder, /\.(ts|js)$/).map((path) => {
    const text = read(path);
    return {
      path,
      text,
      imports: importsOf(path, text),
      isTest: path.endsWith('.test.ts') || path.startsWith('test/'),
    };
  });
}

function importsOf(path: string, text: string): string[] {
  const specifiers = [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s+'([^']+)'|import\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g,
    ),
  ];
  return specifiers.map((match) => resolveImport(path, match[1] ?? match[2] ?? match[3]!));
}

function resolveImport(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return normalize(join(dirname(path), specifier));
  if (specifier.startsWith('#proto/')) return specifier.replace('#proto/', 'proto/gen/');
  return specifier.startsWith('#') ? specifier.slice(1) : specifier;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Files that are started as processes by their path and so are imported by nobody. */
function startedByPath(): string[] {
  const named = written.filter((source) =>
    written.some((other) => other !== source && other.text.includes(source.path)),
  );
  const beside = written.filter((source) =>
    written.some(
      (other) =>
        other !== source &&
        new RegExp(`new URL\\('[^']*${source.path.split('/').at(-1)!.replaceAll('.', '\\.')}'`).test(
          other.text,
        ),
    ),
  );
  const scripts = read('package.json');
  return [...named, ...beside, ...written.filter((source) => scripts.includes(source.path))].map(
    (source) => source.path,
  );
}

function reach(starts: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const waiting = [...starts];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    waiting.push(...(byPath.get(path)?.imports ?? []));
  }
  return reached;
}

function findCycles(files: readonly Source[]): string[] {
  const cycles: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (path: string, trail: readonly string[]) => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      return;
    }
    state.set(path, 'open');
    for (const next of valueImports(path)) visit(next, [...trail, path]);
    state.set(path, 'done');
  };
  for (const file of files) visit(file.path, []);
  return cycles;
}

/** Type-only imports vanish before the program runs and cannot make it start in the wrong order. */
function valueImports(path: string): string[] {
  const source = byPath.get(path);
  if (source === undefined) return [];
  return importsOf(path, source.text.replaceAll(/(?:^|\n)(?:import|export) type [^;]*;/g, '')).filter(
    (target) => byPath.has(target),
  );
}

function exportedNames(text: string): string[] {
  return [...text.matchAll(/^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm)].map(
    (match) => match[1]!,
  );
}

/** The names in backticks in the first column of a document's tables. */
function firstColumn(markdown: string): string[] {
  return [...markdown.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1]!);
}
