// Run by the machine's own Node (20 or newer) before anything is installed: only what Node brings may be imported here.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const MARKS = 'node_modules/.cache/lastseat';
const NODE_MAJOR_MIN = 24;

/** Installs what package-lock.json says unless exactly that is installed. */
export async function ensureDependencies() {
  const lock = hashOf(['package-lock.json']);
  if (isMarked('dependencies', lock) && existsSync('node_modules/.bin/node')) return;
  say('Installing dependencies (npm ci). This takes about a minute, once.');
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    heartbeat: 'still installing',
    cure: 'Look at the messages above. npm needs the registry: check the network, or the proxy in `npm config get registry`.',
  });
  mark('dependencies', lock);
}

/** The Node 24 that npm installed, whatever the machine's own is. */
export function node() {
  const installed = path.join(root, 'node_modules/.bin/node');
  const { stdout } = spawnSync(installed, ['--version'], { encoding: 'utf8' });
  if (Number.parseInt(stdout?.slice(1) ?? '', 10) >= NODE_MAJOR_MIN) return installed;
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) return process.execPath;
  fail(
    `Node ${NODE_MAJOR_MIN} did not install and this machine has Node ${process.versions.node}: install Node ${NODE_MAJOR_MIN}, or remove node_modules and try again.`,
  );
}

/** Makes the typed documents from the committed schema when either changed. */
export async function ensureGenerated() {
  const sources = hashOf(['codegen.yml', 'schema/schema.graphql', ...filesBelow('schema/operations')]);
  if (isMarked('generated', sources) && existsSync('schema/generated/operations.ts')) return;
  await run(node(), ['node_modules/.bin/graphql-codegen', '--config', 'codegen.yml', '--silent'], {
    cure: 'An operation in schema/operations does not fit schema/schema.graphql: run `npm run schema` if the schema changed.',
  });
  mark('generated', sources);
}

/** Compiles to dist/, about a second; what is unchanged is left alone. */
export async function ensureBuilt() {
  await ensureGenerated();
  await run(path.join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], { cure: 'Mend the type errors above.' });
}

/** Runs a program to its end; a failure ends this process with one sentence that says what to do. */
export function run(command, args, { heartbeat, cure } = {}) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env: withOwnBinaries() });
    const timer = heartbeat && setInterval(() => say(`  ${heartbeat}, ${Math.round((Date.now() - started) / 1000)} s`), 10_000);
    const ended = (problem) => {
      clearInterval(timer);
      if (problem) fail(`${path.basename(command)} ${args[0] ?? ''} failed (${problem}). ${cure ?? ''}`);
      resolve();
    };
    child.on('error', (error) => ended(error.message));
    child.on('exit', (code, signal) => ended(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
}

/** Becomes another program: its output, its signals, its exit code are ours. */
export function become(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...withOwnBinaries(), ...env } });
    // Ctrl+C in a terminal reaches the child too; it takes the second one for the first.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    // npm gives a SIGTERM to a shell that dies of it without a word to us: losing our parent means the same.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 250).unref();
    child.on('error', (error) => fail(`${command} did not start: ${error.message}.`));
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === 'SIGINT' ? 2 : 15)));
  });
}

/** `npm run …` of a child must find the Node that was installed too. */
const withOwnBinaries = () => ({ ...process.env, PATH: `${path.join(root, 'node_modules/.bin')}${path.delimiter}${process.env.PATH}` });

export const say = (text) => void process.stderr.write(`${text}\n`);

export function fail(sentence) {
  process.stderr.write(`${sentence.trim()}\n`);
  process.exit(1);
}

const filesBelow = (directory) =>
  existsSync(directory)
    ? readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
        .sort()
    : [];

const hashOf = (files) => {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
};

const isMarked = (name, value) => existsSync(`${MARKS}/${name}`) && readFileSync(`${MARKS}/${name}`, 'utf8') === value;

function mark(name, value) {
  mkdirSync(MARKS, { recursive: true });
  writeFileSync(`${MARKS}/${name}`, value);
}
