// Load from wrk, pinned to its own core so that it never takes time from what is measured.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Program } from '#test/harness/debian.ts';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly core: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  readonly latencyMicrosP50: number;
  readonly latencyMicrosP99: number;
}

export async function generateLoad(wrk: Program, options: LoadOptions): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-wrk-'));
  const script = join(folder, 'request.lua');
  writeFileSync(script, requestScript(options));
  try {
    const load = [
      '-t1',
      `-c${options.connections}`,
      `-d${options.seconds}s`,
      '--timeout',
      '10s',
      '-s',
      script,
      options.url,
    ];
    const { stdout } = await promisify(execFile)('taskset', ['-c', String(options.core), wrk.path, ...load], {
      env: { ...process.env, ...wrk.environment },
    });
    const result = /^RESULT (.*)$/m.exec(stdout)?.[1];
    if (result === undefined) throw new Error(`wrk did not finish: ${stdout}`);
    return JSON.parse(result) as LoadResult;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function requestScript({ headers, body }: LoadOptions): string {
  const headerLines = Object.entries(headers).map(
    ([name, value]) => `wrk.headers[ ${quote(name)} ] = ${quote(value)}`,
  );
  return [
    'wrk.method = "POST"',
    `wrk.body = ${quote(body)}`,
    ...headerLines,
    'function done(summary, latency, requests)',
    '  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout',
    `  io.write(string.format('RESULT {"requests":%d,"errors":%d,"requestsPerSecond":%.1f,"latencyMicrosP50":%d,"latencyMicrosP99":%d}\\n',`,
    '    summary.requests, errors, summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99)))',
    'end',
  ].join('\n');
}

function quote(text: string): string {
  return `[==[${text}]==]`;
}
