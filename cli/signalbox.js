#!/usr/bin/env node
// The launcher: plain JavaScript that any Node can run. It finds a Node that can run TypeScript (the one npm brought, or
// this one) and starts the command with it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const brought = join(fileURLToPath(new URL('..', import.meta.url)), 'node_modules', '.bin', 'node');

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  await import('./main.ts');
} else if (existsSync(brought)) {
  // The channel closes however this process ends, which is how the command learns of it.
  const parameters = ['--max-semi-space-size=16', main, ...process.argv.slice(2)];
  const child = spawn(brought, parameters, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
} else {
  process.stderr.write(
    `signalbox: Node ${NODE_MAJOR_MIN} is needed and this is ${process.version}; run "npm ci", which brings it on Linux and Windows, or install it\n`,
  );
  process.exitCode = 69;
}
