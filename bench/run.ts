// `npm run bench -- <scenario>`: measures Signalbox beside peers in one run on this machine and writes a report. Figures are
// ratios and CPU times; nothing here is remembered from another run.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureEcho } from './echo.ts';
import { describeMachine } from './measure/machine.ts';
import { measureHedging } from './routing/hedging.ts';
import { measureRouting } from './routing/routing.ts';
import { measureKeys } from './sync/keys.ts';
import { measureNodes } from './sync/nodes.ts';

interface Scenario {
  readonly about: string;
  /** Returns the report as Markdown, and where there is one, as data. */
  run(): Promise<string | Report>;
}

interface Report {
  readonly markdown: string;
  readonly data: unknown;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  echo: {
    about: 'one small request, governed and accounted, against nginx as a plain proxy',
    run: measureEcho,
  },
  hedging: {
    about: 'second attempts while one member is slow now and then: simulated, the same figures everywhere',
    run: () => Promise.resolve(measureHedging()),
  },
  routing: {
    about:
      'every strategy while members are slow, flap, refuse, limit or fall silent: simulated, the same figures everywhere',
    run: () => Promise.resolve(measureRouting()),
  },
  sync: {
    about:
      '500 nodes on one control plane: change to applied, memory, resume; and a snapshot of 100,000 keys',
    run: async () => `${await measureNodes()}\n${await measureKeys()}`,
  },
};

const reports = fileURLToPath(new URL('./reports/', import.meta.url));

const JSON_FLAG = '--json';

async function main(words: readonly string[]): Promise<void> {
  const names = words.filter((word) => word !== JSON_FLAG);
  const unknown = names.filter((name) => !Object.hasOwn(scenarios, name));
  if (names.length === 0 || unknown.length > 0) {
    const list = Object.entries(scenarios).map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`);
    console.error(`usage: npm run bench -- <scenario> … [--json]\n${list.join('\n')}`);
    process.exitCode = 64;
    return;
  }
  for (const name of names) {
    const result = await scenarios[name]!.run();
    const { markdown, data } = typeof result === 'string' ? { markdown: result, data: undefined } : result;
    const report = `# ${name}: ${scenarios[name]!.about}\n\n${describeMachine()}, ${new Date().toISOString()}\n\n${markdown}`;
    mkdirSync(reports, { recursive: true });
    writeFileSync(join(reports, `${name}.md`), report);
    const asData = words.includes(JSON_FLAG) && data !== undefined;
    console.log(asData ? JSON.stringify(data, null, 2) : report);
  }
}

await main(process.argv.slice(2));
