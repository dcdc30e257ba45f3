// The reference tables of the documents, cell by cell: what the code knows as a table, the documents must repeat without a
// mistake. That every row is there is for test/tidy.test.ts to say.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { environmentTable } from '#shared/configuration/environment.ts';
import { errorTable } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { metricTable } from '#shared/metrics.ts';
import { type ProviderType, providerTypes } from '#shared/provider-types.ts';
import { strategyAliases, strategyNames } from '#shared/routing-strategies.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('docs/errors.md: status and type of every code', () => {
  const shown = rowsOf('docs/errors.md').map(([code, status, type]) => [code, Number(status), type]);
  const real = Object.entries(errorTable).map(([code, { status, type }]) => [code, status, type]);
  expect(sorted(shown)).toEqual(sorted(real));
});

test('docs/metrics.md: kind, labels and meaning of every metric', () => {
  const real = Object.entries<{ kind: string; labels?: readonly string[]; help: string }>(metricTable).map(
    ([name, { kind, labels = [], help }]) => [name, kind, labels.join(', '), help],
  );
  expect(sorted(rowsOf('docs/metrics.md'))).toEqual(sorted(real));
});

test('docs/environment.md: default, readers and meaning of every variable', () => {
  const shown = rowsOf('docs/environment.md').filter(([name]) => name!.startsWith('SIGNALBOX_'));
  const real = Object.entries<{ default?: string; commands: readonly string[]; meaning: string }>(
    environmentTable,
  ).map(([name, row]) => [
    name,
    row.default ? `\`${row.default}\`` : '',
    row.commands.map((command) => `\`${command}\``).join(', '),
    row.meaning,
  ]);
  expect(sorted(shown)).toEqual(sorted(real));
});

describe('docs/limits.md', () => {
  const unitBytes = { KiB: 1024, MiB: 1024 * 1024 } as const;
  const unitMs = { ms: 1, s: 1000, min: 60_000 } as const;
  const units: Readonly<Record<string, number>> = { ...unitBytes, ...unitMs };

  test.each(rowsOf('docs/limits.md'))('%s is %s', (name, value) => {
    const [amount = '', unit = ''] = value!.replaceAll(',', '').split(' ');
    expect(Number(amount) * (units[unit] ?? 1)).toBe(limits[name as keyof typeof limits]);
  });

  test('says why, in the words of the code', () => {
    const source = readFileSync(`${root}/shared/limits.ts`, 'utf8');
    const reasons = [...source.matchAll(/\/\*\* (.*) \*\/\n\s+(\w+):/g)].map(([, why, name]) => [name, why]);
    const shown = new Map(rowsOf('docs/limits.md').map(([name, , why]) => [name, why]));
    for (const [name, why] of reasons) expect({ name, why: shown.get(name!) }).toEqual({ name, why });
  });
});

test('docs/configuration.md: address and keys of every provider type', () => {
  const shown = tableRows('docs/configuration.md').filter(([name]) => Object.hasOwn(providerTypes, name!));
  const real = Object.entries<ProviderType>(providerTypes).map(([name, row]) => {
    const { family, baseUrl, needsKey, addressFromSettings } = row;
    if (family === 'local') return [name, 'none', 'none'];
    const unnamed = addressFromSettings === true ? 'by its settings' : 'required';
    return [name, baseUrl === undefined ? unnamed : `\`${baseUrl}\``, needsKey ? 'required' : 'optional'];
  });
  expect(sorted(shown)).toEqual(sorted(real));
});

test('docs/environment.md: variable and names of every vendor', () => {
  const shown = tableRows('docs/environment.md').filter(([name]) => Object.hasOwn(providerTypes, name!));
  const real = Object.entries<ProviderType>(providerTypes).flatMap(
    ([name, { environmentKey, modelPatterns }]) => {
      const names = [...modelPatterns, `${name}/…`].map((pattern) => `\`${pattern}\``).join(', ');
      return environmentKey === undefined ? [] : [[name, `\`${environmentKey}\``, names]];
    },
  );
  expect(sorted(shown)).toEqual(sorted(real));
});

test('docs/routing.md: every strategy, and what others call some of them', () => {
  const shown = rowsOf('docs/routing.md').map(([name]) => name);
  expect(strategyNames.filter((name) => !shown.includes(name))).toEqual([]);
  const text = readFileSync(`${root}/docs/routing.md`, 'utf8').replaceAll('\n', ' ');
  const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``);
  const list = (names: readonly string[]) => `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  const [others, ours] = [Object.keys(strategyAliases), Object.values(strategyAliases)].map(quoted);
  expect(text).toContain(`${list(others!)} is understood and means ${list(ours!)}`);
});

/** The rows whose first cell is a name in backticks, without these. */
function rowsOf(document: string): string[][] {
  return tableRows(document).flatMap(([first = '', ...others]) => {
    const name = /^`([^`]+)`$/.exec(first)?.[1];
    return name === undefined ? [] : [[name, ...others]];
  });
}

function tableRows(document: string): string[][] {
  return readFileSync(`${root}/${document}`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

function sorted<Row extends readonly unknown[]>(rows: readonly Row[]): Row[] {
  return rows.toSorted((one, other) => String(one[0]).localeCompare(String(other[0])));
}
