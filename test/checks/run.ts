// Everything that can be said about the code without running it, in one command: `npm run check`. Each step is a row; all
// run even when one fails, so that one run tells everything.
import { spawnSync } from 'node:child_process';
import { styleText } from 'node:util';
import { ensureBuf, generatedDifferences, repositoryRoot, schemaBaseline } from './protobuf.ts';

interface Step {
  readonly name: string;
  readonly promise: string;
  run(): boolean;
}

const command =
  (program: string, ...args: string[]) =>
  () =>
    spawnSync(program, args, { cwd: repositoryRoot, stdio: 'inherit' }).status === 0;

const steps: readonly Step[] = [
  { name: 'types', promise: 'the program type-checks', run: command('tsc', '-p', '.') },
  { name: 'format and lint', promise: 'one formatting, no known mistakes', run: command('biome', 'ci', '.') },
  {
    name: 'promises',
    promise: 'no promise is left floating; files and functions stay short',
    run: command('oxlint', '--type-aware', '--deny-warnings', '.'),
  },
  {
    name: 'tidy',
    promise: 'layers, doors, sizes, documents and code agree',
    run: command('vitest', 'run', '--project', 'unit', 'test/tidy.test.ts'),
  },
  {
    name: 'buf lint',
    promise: 'the contract between planes follows the rules',
    run: () => command(ensureBuf(), 'lint')(),
  },
  {
    name: 'buf breaking',
    promise: 'nodes in the field still understand the contract',
    run: () => command(ensureBuf(), 'breaking', '--against', schemaBaseline)(),
  },
  {
    name: 'generated code',
    promise: 'proto/gen is what the contract generates',
    run() {
      const differences = generatedDifferences();
      for (const path of differences) console.error(`  ${path} differs; run \`npm run generate\``);
      return differences.length === 0;
    },
  },
];

const failed: string[] = [];
for (const step of steps) {
  console.log(styleText('bold', `\n${step.name}`) + styleText('dim', ` — ${step.promise}`));
  if (!step.run()) failed.push(step.name);
}
console.log(
  failed.length === 0
    ? styleText('green', '\nall checks pass')
    : styleText('red', `\nfailed: ${failed.join(', ')}`),
);
process.exitCode = failed.length === 0 ? 0 : 1;
