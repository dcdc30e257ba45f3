// Installs what is missing before `npm start` and `npm test`, and does nothing when nothing is. Plain JavaScript without
// dependencies, because it runs before they exist, on whatever Node the machine has.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
const EX_UNAVAILABLE = 69;

/** What each flavour hands to npm, and which flavours' installations it can use. */
const flavours = {
  run: { parameters: ['--omit=dev'], satisfiedBy: ['run', 'develop'] },
  develop: { parameters: ['--include=dev'], satisfiedBy: ['develop'] },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.signalbox-installed');
const flavour = process.argv[2] ?? '';

if (!Object.hasOwn(flavours, flavour)) {
  fail(`usage: node cli/ensure.js ${Object.keys(flavours).join('|')}`, 64);
} else if (!isInstalled()) {
  if (isInstalledByHand()) stamp();
  else install();
}
checkNode();

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function isInstalled() {
  const [installed, hash] = readText(stampFile).trim().split(' ');
  return flavours[flavour].satisfiedBy.includes(installed) && hash === lockHash();
}

/** Whether a plain `npm ci` or `npm install` has been here: npm leaves a list of what it installed. */
function isInstalledByHand() {
  const installed = readPackages(join(modules, '.package-lock.json'));
  const wanted = Object.entries(readPackages(join(root, 'package-lock.json'))).filter(
    ([path, entry]) => path !== '' && !entry.optional && !entry.link && (flavour === 'develop' || !entry.dev),
  );
  return wanted.length > 0 && wanted.every(([path, { version }]) => installed[path]?.version === version);
}

function install() {
  const startedMs = Date.now();
  process.stdout.write('Installing dependencies (only when they have changed) …\n');
  const { parameters } = flavours[flavour];
  const quiet = ['--include=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const [program, ...before] = findNpm();
  const result = spawnSync(program, [...before, 'ci', ...parameters, ...quiet], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.error !== undefined || result.status !== 0) {
    fail(explain(result), EX_UNAVAILABLE);
    return;
  }
  stamp();
  process.stdout.write(`Installed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.\n`);
}

function stamp() {
  writeFileSync(stampFile, `${flavour} ${lockHash()}\n`);
}

/** The npm that runs this script, or the one on PATH. */
function findNpm() {
  const path = process.env.npm_execpath ?? '';
  if (basename(path).startsWith('npm') && existsSync(path)) return [process.execPath, path];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
}

function explain({ error, stdout, stderr }) {
  const said = `${stdout ?? ''}${stderr ?? ''}`.trim();
  if (error?.code === 'ENOENT') return 'npm is not installed; it comes with Node (https://nodejs.org).';
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network/i.test(said))
    return `The package registry cannot be reached, and dependencies are missing. Connect to the network, or point npm at a mirror (npm config set registry …).\n${said}`;
  if (/EACCES|EPERM|EROFS/.test(said))
    return `${modules} cannot be written; make it writable for this account.\n${said}`;
  return `"npm ci" failed.\n${said || error?.message}`;
}

/** npm brings a Node for the common platforms; elsewhere the machine's own has to be new enough. */
function checkNode() {
  if (process.exitCode !== undefined) return;
  const isNew = Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN;
  if (isNew || existsSync(join(modules, '.bin', 'node')) || existsSync(join(modules, '.bin', 'node.cmd')))
    return;
  fail(
    `Node ${NODE_MAJOR_MIN} is needed, this is ${process.version}, and npm has none for ${process.platform}-${process.arch}. Install it from https://nodejs.org.`,
    EX_UNAVAILABLE,
  );
}

function fail(text, exitCode) {
  process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readPackages(path) {
  return JSON.parse(readText(path) || '{}').packages ?? {};
}
