// The `signalbox` command. Its flags are the rows of the table of environment variables, so that whatever can be set one
// way can be set the other; secrets have no flags, because command lines can be read by other users.
import { Argument, Command, Option } from 'commander';
import { version } from '#shared/build.ts';
import {
  type Command as CommandName,
  environmentTable,
  type Flags,
  flagOf,
  readSettings,
  type Settings,
  type Variable,
} from '#shared/configuration/environment.ts';
import { explainFailure } from './exit.ts';

/** Takes the settings and its own options, and gives the exit code. */
type Run = (settings: Settings, options: Readonly<Record<string, string>>) => Promise<number>;

interface CommandRow {
  readonly name: CommandName;
  readonly summary: string;
  readonly arguments?: readonly Argument[];
  readonly options?: readonly Option[];
  /** Loaded only when it is the one, so that `check` does not wait for the planes. */
  readonly load: () => Promise<Run>;
}

const commandTable: readonly CommandRow[] = [
  {
    name: 'up',
    summary: 'start everything in one process, with its own database',
    load: async () => (await import('./commands/up.ts')).up,
  },
  {
    name: 'control-plane',
    summary: 'start one control plane',
    load: async () => (await import('./commands/control-plane.ts')).controlPlane,
  },
  {
    name: 'data-plane',
    summary: 'start one data plane',
    load: async () => (await import('./commands/data-plane.ts')).dataPlane,
  },
  {
    name: 'join-token',
    summary: 'make a token with which a data plane can join',
    options: [
      new Option('--url <url>', 'the admin API of a control plane').default('http://127.0.0.1:8081'),
      new Option('--label <text>', 'what the token is for').default('signalbox join-token'),
      new Option('--expires-in <duration>', 'for how long it can be used, such as 30m or 24h').default('1h'),
    ],
    load: async () => (await import('./commands/join-token.ts')).joinToken,
  },
  {
    name: 'explain',
    summary: 'say where a request would go and why, without sending it',
    arguments: [new Argument('<model>', 'what the request would ask for')],
    options: [
      new Option('--url <url>', 'the admin API').default('http://127.0.0.1:8080'),
      new Option('--api <name>', 'the operation or dialect that the request would use').default('chat'),
      new Option('--key <id>', 'whose request it would be'),
      new Option('--stream', 'as a stream'),
      new Option('--body <file>', 'the request as a client would send it'),
      new Option('--input-tokens <count>', 'how long the prompt would be'),
      new Option('--tools', 'with tools').conflicts('body'),
      new Option('--vision', 'with a picture').conflicts('body'),
      new Option('--node <id>', 'the data plane that shall answer'),
      new Option('--json', 'print the answer as it is'),
    ],
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    name: 'check',
    summary: 'check a configuration file',
    load: async () => (await import('./commands/check.ts')).check,
  },
];

interface FlagRow {
  readonly setting: keyof Settings;
  readonly option: Option;
}

/** A command's flags, made from the variables it reads. */
function flagsFor(command: CommandName): FlagRow[] {
  return (Object.keys(environmentTable) as Variable[]).flatMap((variable) => {
    const row: (typeof environmentTable)[Variable] & { isSecret?: true; default?: string } =
      environmentTable[variable];
    const isOurs = (row.commands as readonly CommandName[]).includes(command);
    if (!isOurs || row.isSecret === true) return [];
    const fallback = row.default ? ` (default: ${row.default})` : '';
    const option = new Option(`${flagOf(variable)} <value>`, `${row.meaning} [${variable}]${fallback}`);
    return [{ setting: row.setting, option }];
  });
}

function define(program: Command, row: CommandRow): void {
  const { name, summary, arguments: places = [], options = [], load } = row;
  const command = program.command(name).summary(summary).description(summary);
  const flags = flagsFor(name);
  for (const option of [...flags.map((flag) => flag.option), ...options]) command.addOption(option);
  for (const place of places) command.addArgument(place);
  command.action(async (...values: readonly unknown[]) => {
    const given = textsOf(places, values);
    const chosen: Flags = Object.fromEntries(
      flags.flatMap(({ setting, option }) => {
        const value = given[option.attributeName()];
        return value === undefined ? [] : [[setting, value]];
      }),
    );
    const run = await load();
    process.exit(await run(readSettings(process.env, chosen), given));
  });
}

/** Arguments by their names, then options; one without a value is "true". */
function textsOf(places: readonly Argument[], values: readonly unknown[]): Record<string, string> {
  const named = places.map((place, index) => [place.name(), values[index]]);
  const all = [...named, ...Object.entries(values[places.length] as object)];
  return Object.fromEntries(all.map(([name, value]) => [name, String(value)]));
}

const program = new Command('signalbox').version(version).description('A self-hosted LLM gateway.');
for (const row of commandTable) define(program, row);

try {
  await program.parseAsync();
} catch (error) {
  const { text, exitCode } = explainFailure(error);
  process.stderr.write(`${text}\n`);
  process.exit(exitCode);
}
