// What can be asked in which dialect of which provider, found out by asking: every feature is a request, put into the words of
// every client dialect and taken to every provider as the gateway would take it. docs/conformance.md is what comes out.
import type { ClientDialectName } from '#data-plane/dialects/dialect.ts';
import { clientDialectNamed } from '#data-plane/dialects/registry.ts';
import { turnPassage } from '#data-plane/passage/turn-passage.ts';
import { createProviders } from '#data-plane/providers/registry.ts';
import { createUpstreamClient } from '#data-plane/upstream/client.ts';
import { systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { type ProviderType, providerTypes } from '#shared/provider-types.ts';
import { deploymentOf, providerOf } from '#test/harness/snapshots.ts';
import { clientDialects, type Feature, features } from './features.ts';

/** `native`: the bytes pass as they are. */
type Cell = 'native' | 'yes' | 'refused' | '';

/** A model of each kind that a provider has, where that decides how it is asked. */
const models: Readonly<Record<string, readonly string[]>> = {
  anthropic: ['claude-sonnet-5'],
  bedrock: ['anthropic.claude-sonnet-5-v1:0'],
  gemini: ['gemini-3-pro'],
  vertex: ['gemini-3-pro', 'claude-sonnet-5'],
};
const settings = { region: 'us-east-1', project: 'project' };

interface Column {
  /** Those that answer everything alike. */
  titles: string[];
  readonly cells: readonly Cell[];
}

export function conformanceMatrix(): string {
  const upstream = createUpstreamClient();
  const providers = createProviders({ upstream, clock: systemClock, environment: {} });
  const targets = Object.keys(providerTypes satisfies Record<string, ProviderType>).flatMap((type) =>
    (models[type] ?? ['model']).map((model, index) => {
      const provider = providerOf(type, {
        kind: providers(type)!,
        baseUrl: 'https://example.com/v1',
        settings,
      });
      return {
        title: index === 0 ? type : `${type} (${model.split('-')[0]})`,
        deployment: deploymentOf(model, provider),
      };
    }),
  );
  upstream.close();
  const sections = clientDialects.map(({ name, title }) => {
    const columns: Column[] = [];
    for (const { title: target, deployment } of targets) {
      const cells = features.map((feature) => cellOf(name, feature, deployment));
      const alike = columns.find((column) => column.cells.join() === cells.join());
      if (alike) alike.titles.push(target);
      else columns.push({ titles: [target], cells });
    }
    return section(title, columns);
  });
  return sections.join('\n');
}

function cellOf(
  name: ClientDialectName,
  feature: Feature,
  deployment: ReturnType<typeof deploymentOf>,
): Cell {
  const dialect = clientDialectNamed(name);
  const missing: string[] = [];
  const note = (field: string): void => void missing.push(field);
  const wire = dialect.encode(feature.request, { unsupported: note, leftOut: note });
  if (missing.length > 0) return '';
  const { stream } = feature.request;
  const head = dialect.peek(Buffer.from(JSON.stringify(wire)), { model: deployment.model, stream });
  try {
    const asked = { dialect, head, forwardedHeaders: {}, dropsUnsupported: false, clock: systemClock };
    const passage = turnPassage(asked, deployment);
    return passage.kind === 'upstream' && !passage.isTranslated ? 'native' : 'yes';
  } catch (thrown) {
    if (thrown instanceof SignalboxError && thrown.kind.status === 400) return 'refused';
    throw thrown;
  }
}

/** As many names as a column's head can hold. */
const TITLES_MAX = 3;

function section(title: string, columns: readonly Column[]): string {
  const groups = columns.filter(({ titles }) => titles.length > TITLES_MAX);
  const nameOf = (column: Column): string => {
    const group = groups.indexOf(column);
    return group === -1 ? column.titles.join(', ') : `group ${group + 1}`;
  };
  const legend = groups.flatMap((column) => [`${nameOf(column)}: ${column.titles.join(', ')}.`, '']);
  const rows = features
    .map(({ name }, index) => [name, ...columns.map(({ cells }) => cells[index]!)])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ''));
  return [`## ${title}`, '', ...legend, ...table([['', ...columns.map(nameOf)], ...rows]), ''].join('\n');
}

function table([head, ...rows]: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head!), line(head!.map(() => '---')), ...rows.map(line)];
}
