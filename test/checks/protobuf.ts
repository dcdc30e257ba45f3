// The protobuf toolchain. `buf` is installed on first use into proto/buf, apart from the main install, because it weighs
// 140 MB and neither running nor testing Signalbox needs it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** The schema that nodes in the field may still speak; replaced at a release, never to silence a failure. */
export const schemaBaseline = join('proto', 'baseline.binpb');

const generatedFolder = join(repositoryRoot, 'proto', 'gen');

/** The path of the compiler, installed if it was not there. */
export function ensureBuf(): string {
  const folder = join(repositoryRoot, 'proto', 'buf');
  const program = join(folder, 'node_modules', '.bin', 'buf');
  if (!existsSync(program))
    mustSucceed('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund']);
  return program;
}

export function generateInto(folder: string): void {
  const template = {
    version: 'v2',
    plugins: [
      {
        local: 'protoc-gen-es',
        out: folder,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  };
  mustSucceed(ensureBuf(), ['generate', '--template', JSON.stringify(template)]);
}

/** Generated files that are not what the contract generates today. */
export function generatedDifferences(): string[] {
  const fresh = mkdtempSync(join(tmpdir(), 'signalbox-gen-'));
  try {
    generateInto(fresh);
    const expected = readTree(fresh);
    const actual = readTree(generatedFolder);
    const paths = new Set([...expected.keys(), ...actual.keys()]);
    return [...paths]
      .filter((path) => expected.get(path) !== actual.get(path))
      .map((path) => join('proto/gen', path));
  } finally {
    rmSync(fresh, { recursive: true });
  }
}

export function regenerate(): void {
  rmSync(generatedFolder, { recursive: true, force: true });
  generateInto(generatedFolder);
}

function readTree(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path, 'utf8')];
    }),
  );
}

function mustSucceed(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, {
    cwd: repositoryRoot,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`${program} ${args[0]} failed`, { cause: error });
}
