// The servers and programs that a benchmark starts: each on a unix socket in a folder of its
// own, each with a time limit, none of them left behind however the benchmark ends.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';

const here = dirname(fileURLToPath(import.meta.url));
const running = new Set();
const folders = new Set();

const forget = (dir) => {
  rmSync(dir, { recursive: true, force: true });
  folders.delete(dir);
};
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const dir of folders) forget(dir);
});
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.on(signal, () => process.exit(128 + number));
}

const start = (command, args, options) => {
  const child = spawn(command, args, options);
  running.add(child);
  const ended = new Promise((done) => {
    child.once('error', (error) => done({ error }));
    child.once('close', (code, signal) => done({ code, signal }));
  }).finally(() => running.delete(child));
  return { child, ended };
};

export const soon = (ms) => new Promise((next) => setTimeout(next, ms));

// Gone when the benchmark ends.
export const makeFolder = () => {
  const dir = mkdtempSync(join(tmpdir(), 'ox-bench-'));
  folders.add(dir);
  return dir;
};

// A server is {socket, pid, stop}; ready when its socket, or what `find` looks for, is there.
const startServer = async (command, argsOf, find = (path) => existsSync(path) && path) => {
  const dir = makeFolder();
  const path = join(dir, 'socket');
  const { child, ended } = start(command, argsOf(path, dir), { stdio: 'ignore' });
  let down = false;
  let socket;
  ended.then(() => (down = true));
  for (const limit = Date.now() + 10000; !(socket = find(path, dir)); await soon(5)) {
    if (down || Date.now() > limit) throw new Error(`${command} does not start`);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    forget(dir);
  };
  return { socket, pid: child.pid, stop };
};

export const startRedis = async (extra = []) => {
  const server = await startServer('redis-server', (socket, dir) => [
    ...['--port', '0', '--unixsocket', socket, '--dir', dir, '--save', ''],
    ...extra,
  ]);
  const redis = new Redis({ path: server.socket, maxRetriesPerRequest: 3 });
  redis.on('error', () => {});
  await redis.ping();
  const stop = async () => {
    redis.disconnect();
    await server.stop();
  };
  return { ...server, redis, stop };
};

export const startBeanstalkd = () => startServer('beanstalkd', (socket) => ['-l', `unix:${socket}`]);

// It knows no unix sockets: it takes a free port and writes which (`socket` is its address).
const natsServer = existsSync('/usr/sbin/nats-server') ? '/usr/sbin/nats-server' : 'nats-server';
const addressIn = (path, dir) => {
  const file = readdirSync(dir).find((name) => name.endsWith('.ports'));
  const text = file ? readFileSync(join(dir, file), 'utf8') : '';
  return text.trimEnd().endsWith('}') && JSON.parse(text).nats[0];
};
export const startNats = () =>
  startServer(natsServer, (path, dir) => ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', dir, '--ports_file_dir', dir], addressIn);

// Seconds of processor time that a process has used.
export const cpuOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

// ---- candidates ----------------------------------------------------------------------------

const script = (command, file) => (build, mode, socket, args) => [command, [join(here, file), mode, '--socket', socket, ...args]];
const programs = {
  ox: (build, mode, socket, args) => [join(build, 'tests/bench/ox_bench'), [mode, '--url', `unix://${socket}`, ...args]],
  streams: (build, mode, socket, args) => [join(build, 'tests/bench/ox_streams'), [mode, '--url', `unix://${socket}`, ...args]],
  nodeStreams: script(process.execPath, 'peer_streams.mjs'),
  bullmq: script(process.execPath, 'peer_bullmq.mjs'),
  bee: script(process.execPath, 'peer_bee.mjs'),
  sidekiq: script('ruby', 'peer_sidekiq.rb'),
  beanstalkd: (build, mode, socket, args) => [join(build, 'tests/bench/peer_beanstalkd'), [mode, '--socket', socket, ...args]],
  nats: (build, mode, url, args) => [join(build, 'tests/bench/peer_nats'), [mode, '--url', url, ...args]],
  // Stands in for `serve`; it says nothing and is not told to go. With a `program` (words, as
  // JSON) that runs the jobs, one for each or, with `stream`, one for many.
  children: (build, mode, socket, args, { concurrency, ahead = 0, program, stream, sandbox = 'on' }) => [
    join(build, 'ox-worker'),
    [
      ...['--redis', `unix://${socket}`, '--concurrency', String(concurrency), '--ahead', String(ahead), '--log-level', sandbox === 'off' ? 'error' : 'warn', '--sandbox', sandbox],
      ...(stream ? ['--mode', 'stream'] : []),
      `bench=${program ? `exec:${JSON.parse(program).map((word) => `"${word}"`).join(' ')}` : 'noop'}`,
    ],
  ],
  images: (build, mode, socket, args, { root, concurrency }) => [
    join(build, 'ox-worker'),
    ['--redis', `unix://${socket}`, '--concurrency', String(concurrency), '--log-level', 'warn', '--root', root, 'bench=image'],
  ],
  sharp: script(process.execPath, 'peer_sharp.mjs'),
};

// What only some of them know.
const known = {
  ox: ({ quiet }) => (quiet ? { quiet } : {}),
  bullmq: ({ program, stream = false }) => (program ? { program, stream } : {}),
};

const toArgs = (options) =>
  Object.entries(options).flatMap(([k, v]) => (v === true ? [`--${k}`] : v === false ? [] : [`--${k}`, String(v)]));

// Starts a candidate. `ready` resolves when it is warm, `go()` starts the timed part, `answer`
// is what it says; both fail when it ends badly or not at all, as when a job was lost.
export const launch = (build, who, mode, socket, { limit_s, ...options }) => {
  const { quiet, program, stream, sandbox, ahead, ...common } = options;
  const [command, args] = programs[who](build, mode, socket, toArgs({ ...common, ...known[who]?.(options) }), options);
  const { child, ended } = start(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  let isReady;
  let late = false;
  const warm = new Promise((resolve) => (isReady = resolve));
  child.stdin.on('error', () => {});
  child.stdout.on('data', (data) => {
    out += data;
    if (out.startsWith('ready\n')) isReady();
  });
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, limit_s * 1000);
  const answer = ended.then(({ error, code, signal }) => {
    clearTimeout(timer);
    if (error) throw error;
    if (late) throw new Error(`${who} ${mode}: not done within ${limit_s} s; was a job lost?`);
    if (code !== 0) throw new Error(`${who} ${mode}: ended by ${signal ?? `exit status ${code}`}`);
    const json = out.replace('ready\n', '');
    return json === '' ? {} : JSON.parse(json);
  });
  answer.catch(() => {});
  return { child, answer, ready: Promise.race([warm, answer]), go: () => child.stdin.end('go\n') };
};

// ---- versions ------------------------------------------------------------------------------

const ofPackage = (name) => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'))).version;
const ofCommand = (command, flag) => {
  try {
    return execFileSync(command, [flag], { encoding: 'utf8' }).match(/\d+(\.\d+)+/)[0];
  } catch {
    return undefined;
  }
};

// Its compiled part is not there for every processor and version of Node. Tried in a process of
// its own, because it changes the environment, which tells libvips where its modules are.
const ofSharp = () => {
  try {
    execFileSync(process.execPath, ['-e', 'require("sharp")'], { cwd: here, stdio: 'ignore' });
    return ofPackage('sharp');
  } catch {
    return undefined;
  }
};

// Those that are not of npm are asked for only when wanted; one that is not there has none.
export const versions = (all, build) => ({
  bullmq: ofPackage('bullmq'),
  bee: ofPackage('bee-queue'),
  redis: ofCommand('redis-server', '--version'),
  sharp: ofSharp(),
  sidekiq: all ? ofCommand('sidekiq', '--version') : undefined,
  beanstalkd: all ? ofCommand('beanstalkd', '-v') : undefined,
  // Its client is only built where libnats is.
  nats: all && existsSync(join(build, 'tests/bench/peer_nats')) ? ofCommand(natsServer, '--version') : undefined,
});
