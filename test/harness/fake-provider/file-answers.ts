// A provider that keeps files and runs batches, for tests: a real HTTP server with OpenAI's paths, one account for everybody who has its
// key, and a bill. Batches run when a test says so.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface StoredFile {
  readonly id: string;
  readonly purpose: string;
  readonly content: string;
}

export interface SeenFileRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface FakeFilesOptions {
  readonly requiredKeys?: readonly string[];
  /** Whether a batch says what it used; otherwise only its results do. */
  readonly tellsUsage?: boolean;
  /** Before `/files`, as Azure has it. */
  readonly prefix?: string;
}

type Batch = Record<string, unknown> & { readonly id: string };

const created = Math.trunc(Date.now() / 1000);

export class FakeFiles {
  readonly #server: Server;
  readonly #options: FakeFilesOptions;
  readonly #files = new Map<string, StoredFile>();
  readonly #batches = new Map<string, Batch>();
  readonly #seen: SeenFileRequest[] = [];
  #serial = 0;
  /** Answered to everything, while set. */
  failure: { readonly status: number; readonly message: string } | undefined;

  /** Content breaks off before its end. */
  cutsContent = false;

  constructor(options: FakeFilesOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return this;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  get files(): readonly StoredFile[] {
    return [...this.#files.values()];
  }

  get batches(): readonly Batch[] {
    return [...this.#batches.values()];
  }

  get seen(): readonly SeenFileRequest[] {
    return this.#seen;
  }

  /** Answers every request of the batch. Each costs 10 tokens and brings 5. */
  finish(id: string): void {
    const batch = this.#batches.get(id)!;
    const lines = this.#files.get(String(batch.input_file_id))!.content.trim().split('\n');
    const results = lines.map((line, index) => {
      const { custom_id, body } = JSON.parse(line) as { custom_id: string; body: { model: string } };
      const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
      const answer = { id: `chatcmpl-${index}`, model: body.model, usage };
      return JSON.stringify({
        id: `req_${index}`,
        custom_id,
        response: { status_code: 200, body: answer },
        error: null,
      });
    });
    const output = this.#keep('batch_output', `${results.join('\n')}\n`);
    const count = lines.length;
    const usage = { input_tokens: 10 * count, output_tokens: 5 * count, total_tokens: 15 * count };
    this.#batches.set(id, {
      ...batch,
      status: 'completed',
      output_file_id: output.id,
      ...(this.#options.tellsUsage !== false && { usage }),
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString('utf8');
    const { method = '', url = '', headers } = request;
    this.#seen.push({ method, path: url, headers, body });
    const { status, value } = this.#answer({ method, path: url, headers, body });
    const isContent = typeof value === 'string';
    const cut = this.cutsContent && isContent;
    response.writeHead(status, {
      'content-type': isContent ? 'application/octet-stream' : 'application/json',
      ...(cut && { 'content-length': String(value.length + 1) }),
    });
    if (cut) response.write(value, () => response.destroy());
    else response.end(isContent ? value : JSON.stringify(value));
  }

  #answer({ method, path, headers, body }: SeenFileRequest): Answer {
    const { requiredKeys, prefix = '/v1' } = this.#options;
    const key = String(headers.authorization ?? headers['api-key'] ?? '').replace('Bearer ', '');
    if (requiredKeys && !requiredKeys.includes(key)) return refusal(401, `Incorrect API key: ${key}`);
    if (this.failure) return refusal(this.failure.status, this.failure.message);
    if (!path.startsWith(prefix)) return refusal(404, `nothing at ${path}`);
    const [, kind, id, action] = path.split('?')[0]!.slice(prefix.length).split('/');
    if (kind === 'files')
      return this.#answerFiles({ method, id, action }, body, headers['content-type'] ?? '');
    return kind === 'batches' ? this.#answerBatches({ method, id, action }, body) : refusal(404, 'nothing');
  }

  #answerFiles({ method, id, action }: Route, body: string, type: string | string[]): Answer {
    if (method === 'POST') {
      const fields = readForm(body, type);
      return found(describe(this.#keep(fields.get('purpose') ?? '', fields.get('file') ?? '')));
    }
    if (id === undefined) return found({ object: 'list', data: this.files.map(describe), has_more: false });
    const file = this.#files.get(decodeURIComponent(id));
    if (!file) return refusal(404, `No such File object: ${id}`);
    if (action === 'content') return { status: 200, value: file.content };
    if (method !== 'DELETE') return found(describe(file));
    this.#files.delete(file.id);
    return found({ id: file.id, object: 'file', deleted: true });
  }

  #answerBatches({ method, id, action }: Route, body: string): Answer {
    if (method === 'POST' && id === undefined) {
      const asked = JSON.parse(body) as { input_file_id: string };
      if (!this.#files.has(asked.input_file_id)) return refusal(404, `No such File: ${asked.input_file_id}`);
      const state = { object: 'batch', status: 'in_progress', created_at: created };
      const batch = { ...state, ...asked, id: `batch_${++this.#serial}` };
      this.#batches.set(batch.id, batch);
      return found(batch);
    }
    const batch = this.#batches.get(id ?? '');
    if (!batch) return refusal(404, `No batch found with id '${id}'.`);
    if (action === 'cancel') this.#batches.set(batch.id, { ...batch, status: 'cancelling' });
    return found(this.#batches.get(batch.id)!);
  }

  #keep(purpose: string, content: string): StoredFile {
    const file = { id: `file-${++this.#serial}-upstream`, purpose, content };
    this.#files.set(file.id, file);
    return file;
  }
}

interface Answer {
  readonly status: number;
  /** Text is content. */
  readonly value: object | string;
}

interface Route {
  readonly method: string;
  readonly id: string | undefined;
  readonly action: string | undefined;
}

function describe({ id, purpose, content }: StoredFile): object {
  const bytes = Buffer.byteLength(content);
  return {
    id,
    object: 'file',
    bytes,
    created_at: created,
    filename: 'f.jsonl',
    purpose,
    status: 'processed',
  };
}

function readForm(body: string, type: string | string[]): Map<string, string> {
  const boundary = /boundary="?([^";]+)/.exec(String(type))?.[1] ?? '';
  const fields = new Map<string, string>();
  for (const part of body.split(`--${boundary}`)) {
    const name = /name="([^"]+)"/.exec(part)?.[1];
    const at = part.indexOf('\r\n\r\n');
    if (name !== undefined && at > 0) fields.set(name, part.slice(at + 4, -2));
  }
  return fields;
}

function found(value: object): Answer {
  return { status: 200, value };
}

function refusal(status: number, message: string): Answer {
  return { status, value: { error: { message, type: 'invalid_request_error', param: null, code: null } } };
}

export function startFakeFiles(options: FakeFilesOptions = {}): Promise<FakeFiles> {
  return new FakeFiles(options).start();
}
