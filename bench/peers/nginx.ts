// nginx, twice: as the upstream that answers every call with the same completion, and as a plain reverse proxy, the floor
// that no gateway can beat.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Program } from '#test/harness/debian.ts';

export interface NginxServer {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

interface NginxOptions {
  readonly program: Program;
  readonly port: number;
  readonly core: number;
  /** The body of the `server` block. */
  readonly locations: string;
  readonly upstream?: string;
}

/** Answers `completion` to everything. */
export function startNginxUpstream(options: {
  program: Program;
  port: number;
  core: number;
  completion: string;
}): Promise<NginxServer> {
  const answer = options.completion.replaceAll("'", "\\'");
  const locations = `location / { default_type application/json; return 200 '${answer}'; }`;
  return startNginx({ ...options, locations });
}

export function startNginxProxy(options: {
  program: Program;
  port: number;
  core: number;
  upstreamPort: number;
}): Promise<NginxServer> {
  return startNginx({
    ...options,
    upstream: `upstream provider { server 127.0.0.1:${options.upstreamPort}; keepalive 512; keepalive_requests 1000000; }`,
    locations:
      'location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }',
  });
}

async function startNginx(options: NginxOptions): Promise<NginxServer> {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-nginx-'));
  mkdirSync(join(folder, 'logs'));
  writeFileSync(join(folder, 'nginx.conf'), configuration(folder, options));
  const child = spawn(
    'taskset',
    ['-c', String(options.core), options.program.path, '-p', folder, '-c', 'nginx.conf', '-g', 'daemon off;'],
    {
      env: { ...process.env, ...options.program.environment },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const url = `http://127.0.0.1:${options.port}`;
  await answers(url, child);
  return { pid: child.pid!, url, stop: () => stop(child, folder) };
}

function configuration(folder: string, { port, locations, upstream = '' }: NginxOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  return `
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log stderr crit;
    events { worker_connections 8192; }
    http {
      access_log off;
      keepalive_requests 1000000;
      keepalive_timeout 60s;
      client_max_body_size 32m;
      ${temporary.join('\n      ')}
      ${upstream}
      server { listen 127.0.0.1:${port} reuseport; ${locations} }
    }`;
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline && child.exitCode === null) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nginx did not answer at ${url}`);
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
