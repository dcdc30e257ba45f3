// Two plain HTML pages made from what the program already knows: the list of operations, and the list of error codes that
// the `type` of every problem points into. No script, no outside file.
import { errorTable } from '#shared/errors.ts';

export interface OpenApiOperation {
  operationId?: string;
  tags?: string[];
  summary?: string;
  responses?: Record<string, unknown>;
}

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string };
  paths?: Record<string, Record<string, OpenApiOperation>>;
  components?: { schemas?: Record<string, object> };
}

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .8rem .35rem 0;vertical-align:top;
border-bottom:1px solid #ddd}code{font:14px ui-monospace,monospace}a{color:#0b5fcc}
@media(prefers-color-scheme:dark){body{background:#111418;color:#e6e8ea}td,th{border-color:#333}a{color:#7ab4ff}}`;

export function renderIndexPage(document: OpenApiDocument): string {
  const rows = Object.entries(document.paths ?? {}).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { tags, summary }]) => ({
      tag: tags?.[0] ?? '',
      cells: [`<code>${method.toUpperCase()} ${escapeHtml(path)}</code>`, escapeHtml(summary ?? '')],
    })),
  );
  const sections = [...Map.groupBy(rows, (row) => row.tag)].map(
    ([tag, group]) => `<h2>${escapeHtml(tag)}</h2>${table(group.map((row) => row.cells))}`,
  );
  return page(
    `${escapeHtml(document.info.title)} ${escapeHtml(document.info.version)}`,
    `<p>Try them in <a href="/swagger">Swagger UI</a>, generate a client from
<a href="/api/openapi.json">the OpenAPI document</a>, or look up <a href="/docs/errors">an error code</a>.</p>
<p>Send the admin key as <code>Authorization: Bearer …</code>.</p>${sections.join('')}`,
  );
}

export function renderErrorPage(): string {
  const rows = Object.entries(errorTable).map(([code, { status, title }]) => [
    `<code id="${code}">${code}</code>`,
    String(status),
    escapeHtml(title),
  ]);
  return page('Error codes', table(rows));
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>${style}</style><h1>${title}</h1>${body}</html>`;
}

function table(rows: readonly (readonly string[])[]): string {
  const lines = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`);
  return `<table>${lines.join('')}</table>`;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}
