// run.mjs BUILD [--quick|--smoke] [--only NAME,..] [--repeat N] [--peers all] [--write FILE]
//
// Measures Ox and its peers, one question after the other. For each question all candidates
// take turns on the same private Redis, so that a machine whose speed drifts slows all of them;
// a figure is the median of the turns, a ratio the median of the ratios within each turn. Every
// run must have handled every job exactly once, or the benchmark fails.
//
// --quick takes under two minutes; --smoke only shows that everything still runs. --write puts
// the tables into FILE between its two marker lines.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    only: { type: 'string' },
    repeat: { type: 'string' },
    peers: { type: 'string', default: '' },
    write: { type: 'string' },
  },
});
const build = resolve(positionals[0] ?? 'build');
const size = flags.smoke ? 'smoke' : flags.quick ? 'quick' : 'full';
const repeat = Number(flags.repeat ?? { smoke: 1, quick: 3, full: 5 }[size]);
// How many jobs, by size.
const n = (full, quick) => ({ full, quick, smoke: 50 })[size];

// ---- servers and programs ------------------------------------------------------------------

const startRedis = async (extra = []) => {
  const dir = mkdtempSync(join(tmpdir(), 'ox-bench-'));
  const socket = join(dir, 'redis.sock');
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--dir', dir, '--save', '', ...extra],
    { stdio: 'ignore' }
  );
  const redis = new Redis({ path: socket, lazyConnect: true, retryStrategy: (t) => (t < 200 ? 25 : null) });
  redis.on('error', () => {});
  await new Promise((done) => redis.once('ready', done).connect().catch(() => {}));
  const stop = async () => {
    redis.disconnect();
    server.kill('SIGTERM');
    await new Promise((done) => server.once('exit', done));
    rmSync(dir, { recursive: true, force: true });
  };
  return { redis, socket, stop };
};

const toArgs = (options) =>
  Object.entries(options).flatMap(([k, v]) => (v === true ? [`--${k}`] : v === false ? [] : [`--${k}`, String(v)]));

const commands = {
  ox: (mode, socket, o) => [join(build, 'tests/bench/ox_bench'), [mode, '--url', `unix://${socket}`, ...toArgs(o)]],
  bullmq: (mode, socket, { quiet, ...o }) => [
    process.execPath,
    [join(here, 'peer_bullmq.mjs'), mode, '--socket', socket, ...toArgs(o)],
  ],
  bee: (mode, socket, { quiet, ...o }) => [
    process.execPath,
    [join(here, 'peer_bee.mjs'), mode, '--socket', socket, ...toArgs(o)],
  ],
};

const launch = (who, mode, socket, options) => {
  const [command, args] = commands[who](mode, socket, options);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  const answer = new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => {
      // One that was told to end before it listened has done its part as well.
      if (code === 0 || (mode === 'serve' && signal === 'SIGTERM')) done(out === '' ? {} : JSON.parse(out));
      else fail(new Error(`${who} ${mode}: exit status ${code}`));
    });
  });
  return { child, answer };
};

// ---- what Redis says -----------------------------------------------------------------------

const commandTimes = async (redis) => {
  const text = await redis.info('commandstats');
  let scripts = 0;
  let inside = 0;
  let calls = 0;
  for (const [, name, count, usec] of text.matchAll(/cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g)) {
    if (name.startsWith('eval')) scripts += Number(usec);
    else if (!/^(config|info|ping|client|select|flushall|script)/.test(name)) {
      inside += Number(usec);
      calls += Number(count);
    }
  }
  return { scripts, inside, calls };
};

const redisCpu = async (redis) => {
  const text = await redis.info('cpu');
  return [...text.matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)].reduce((sum, m) => sum + Number(m[1]), 0);
};

// Jobs that are kept must have been started once each and be in `completed`.
const NOT_ONCE = `
local bad = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1] .. 'completed', ARGV[1], ARGV[2])) do
    if redis.call('HGET', KEYS[1] .. id, 'ats') ~= '1' then bad = bad + 1 end
end
return bad`;

const countOnce = async (redis, jobs) => {
  const base = 'bull:bench:';
  if ((await redis.zcard(`${base}completed`)) !== jobs) return false;
  for (let i = 0; i < jobs; i += 1000) {
    if ((await redis.eval(NOT_ONCE, 1, base, i, i + 999)) !== 0) return false;
  }
  return true;
};

// ---- numbers -------------------------------------------------------------------------------

const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
const short = (x) =>
  x >= 10000 ? `${(x / 1000).toFixed(x >= 100000 ? 0 : 1)}k` : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);

const tables = [];
const problems = [];
const say = (line) => {
  tables.push(line);
  console.log(line);
};

// Runs the candidates in turn. `figures` name what is read off an answer; a candidate is
// {label, run(server) -> answer}; the first is the one that others are compared with.
const ask = async ({ name, title, note, figures, candidates, compare, goal, redisArgs }) => {
  const server = await startRedis(redisArgs);
  const turns = candidates.map(() => []);
  for (let turn = 0; turn < repeat; turn += 1) {
    for (const [i, candidate] of candidates.entries()) {
      await server.redis.flushall();
      await server.redis.config('RESETSTAT');
      const answer = await candidate.run(server);
      if (!answer.exact) problems.push(`${name}: ${candidate.label}: a job was lost or ran twice`);
      turns[i].push(answer);
    }
  }
  await server.stop();
  say(`\n### ${title}\n`);
  if (note) say(`${note}\n`);
  say(`| | ${figures.map((f) => f.title).join(' | ')} | ratio |`);
  say(`|---|${figures.map(() => '---:').join('|')}|---:|`);
  for (const [i, candidate] of candidates.entries()) {
    const cells = figures.map((f) => {
      const values = turns[i].map(f.of);
      if (values.some((value) => value === undefined || Number.isNaN(value))) return '';
      const spread = values.length > 1 ? ` (${short(Math.min(...values))}–${short(Math.max(...values))})` : '';
      return `${short(median(values))}${spread}`;
    });
    const against = candidate.against ?? 0;
    const ratio = i === against || !compare ? '' : `${median(turns[i].map((a, t) => compare.of(a) / compare.of(turns[against][t]))).toFixed(2)}×`;
    say(`| ${candidate.label} | ${cells.join(' | ')} | ${ratio} |`);
  }
  if (goal) say(`\nGoal: ${goal}`);
};

const perSecond = { title: 'jobs/s', of: (a) => a.per_s };
const p50 = { title: 'p50 ms', of: (a) => a.p50_ms };
const p99 = { title: 'p99 ms', of: (a) => a.p99_ms };

const plain = (who, mode, options) => async (server) => launch(who, mode, server.socket, options).answer;
// With what Redis says of the same run.
const observed = (who, options) => async ({ redis, socket }) => {
  await launch(who, 'bulk', socket, { ...options, concurrency: 1 }).answer;
  await redis.config('RESETSTAT');
  const before = await redisCpu(redis);
  const answer = await launch(who, 'process', socket, { ...options, prefilled: true }).answer;
  const cpu = (await redisCpu(redis)) - before;
  const times = await commandTimes(redis);
  const once = options.drop || (await countOnce(redis, options.jobs));
  return {
    ...answer,
    exact: answer.exact && once,
    redis_us: times.scripts / options.jobs,
    inside_us: times.inside / options.jobs,
    calls: times.calls / options.jobs,
    worker_100k: (answer.cpu_s * 1e5) / options.jobs,
    redis_100k: (cpu * 1e5) / options.jobs,
  };
};

// Several worker processes on one queue, until all jobs are done.
const together = (who, count, options) => async ({ redis, socket }) => {
  await launch(who === 'children' ? 'ox' : who, 'bulk', socket, options).answer;
  const workers = Array.from({ length: count }, () => launch(who, 'serve', socket, options));
  const done = () => redis.zcard('bull:bench:completed');
  const until = async (wanted) => {
    while ((await done()) < wanted) await new Promise((next) => setTimeout(next, 5));
    return { at: performance.now(), count: await done() };
  };
  // The start of the processes is not what is asked: from the first tenth on.
  const first = await until(options.jobs / 10);
  const last = await until(options.jobs);
  for (const worker of workers) worker.child.kill('SIGTERM');
  await Promise.all(workers.map((worker) => worker.answer));
  const seconds = (last.at - first.at) / 1000;
  return { seconds, per_s: (last.count - first.count) / seconds, exact: await countOnce(redis, options.jobs) };
};
// ox-worker stands in for `serve`; it prints nothing.
commands.children = (mode, socket, o) => [
  join(build, 'ox-worker'),
  ['--redis', `unix://${socket}`, '--concurrency', String(o.concurrency), '--log-level', 'warn', 'bench=noop'],
];

// ---- what makes a queue large --------------------------------------------------------------

const many = async (redis, count, each) => {
  for (let i = 0; i < count; i += 1000) {
    const pipeline = redis.pipeline();
    for (let k = i; k < Math.min(count, i + 1000); k += 1) each(pipeline, k);
    await pipeline.exec();
  }
};
const far = Date.now() + 86400000;
const growths = {
  'empty queue': async () => {},
  '1 M waiting': async ({ socket }, jobs) =>
    launch('ox', 'bulk', socket, { jobs: n(1e6, 1e5) + jobs }).answer,
  '1 M delayed': async ({ redis }) =>
    many(redis, n(1e6, 1e5), (p, k) => {
      p.zadd('bull:bench:delayed', (far + k) * 4096, `d${k}`);
      p.hset(`bull:bench:d${k}`, 'name', 'x', 'data', '{}', 'opts', '{}', 'timestamp', far, 'delay', 1, 'priority', 0);
    }),
  '1 M completed': async ({ redis }) =>
    many(redis, n(1e6, 1e5), (p, k) => {
      p.zadd('bull:bench:completed', 1e12 + k, `c${k}`);
      p.hset(`bull:bench:c${k}`, 'name', 'x', 'data', '{}', 'opts', '{}', 'timestamp', 1, 'delay', 0, 'priority', 0, 'finishedOn', 1e12 + k);
    }),
  '10k active elsewhere': async ({ redis }) =>
    many(redis, n(1e4, 1e4), (p, k) => {
      p.rpush('bull:bench:active', `a${k}`);
      p.hset(`bull:bench:a${k}`, 'name', 'x', 'data', '{}', 'opts', '{}', 'timestamp', 1, 'processedOn', 1);
      p.set(`bull:bench:a${k}:lock`, 'other', 'PX', 3600000);
    }),
  '1,000 queues': async ({ redis }) =>
    many(redis, n(1e5, 2e4), (p, k) => {
      const base = `bull:other${k % 1000}:`;
      p.lpush(`${base}wait`, `w${k}`);
      p.hset(`${base}w${k}`, 'name', 'x', 'data', '{}', 'opts', '{}', 'timestamp', 1);
    }),
};

const grown = (make, options) => async (server) => {
  await make(server, options.jobs);
  if (!(await server.redis.exists('bull:bench:wait'))) {
    await launch('ox', 'bulk', server.socket, options).answer;
  }
  return launch('ox', 'process', server.socket, { ...options, prefilled: true }).answer;
};

// ---- the questions -------------------------------------------------------------------------

const both = (mode, options, more = []) => [
  { label: 'bullmq 6.7.0', run: plain('bullmq', mode, options) },
  { label: 'Ox', run: plain('ox', mode, options) },
  ...more,
];
const processing = (options, bullOptions = options) => [
  { label: `bullmq 6.7.0, c=${bullOptions.concurrency}`, run: observed('bullmq', bullOptions) },
  { label: `Ox, c=${options.concurrency}`, run: observed('ox', options) },
];
const full = size === 'full';

const questions = [
  {
    name: 'single', title: 'Adding one job at a time, each awaited', compare: perSecond, figures: [perSecond],
    candidates: both('single', { jobs: n(10000, 3000) }, [
      { label: 'bee-queue 2.0.0', run: plain('bee', 'single', { jobs: n(10000, 3000) }) },
    ]),
  },
  {
    name: 'bulk', title: 'Adding many jobs', compare: perSecond, figures: [perSecond],
    goal: 'at least 6× `addBulk`, at least 4× a hundred awaited adds at once.',
    candidates: [
      { label: 'bullmq 6.7.0, addBulk of 1,000', run: plain('bullmq', 'bulk', { jobs: n(50000, 20000) }) },
      { label: 'bullmq 6.7.0, 100 awaited at once', run: plain('bullmq', 'concurrent', { jobs: n(50000, 20000) }) },
      { label: 'bee-queue 2.0.0, saveAll of 1,000', run: plain('bee', 'bulk', { jobs: n(50000, 20000) }) },
      { label: 'Ox, to addBulk', run: plain('ox', 'bulk', { jobs: n(200000, 50000) }) },
      { label: 'Ox, to 100 awaited', against: 1, run: plain('ox', 'bulk', { jobs: n(200000, 50000) }) },
    ],
  },
  {
    name: 'process', title: 'Processing: events on, results kept', compare: perSecond,
    goal: 'at least 5× bullmq 6 at its best; Redis time at most 1.7× of the commands inside; worker CPU at most 0.6 s for 100k jobs; at most 12 MB.',
    figures: [
      perSecond,
      { title: 'µs Redis/job', of: (a) => a.redis_us },
      { title: 'µs inside', of: (a) => a.inside_us },
      { title: 'calls/job', of: (a) => a.calls },
      { title: 'worker CPU s/100k', of: (a) => a.worker_100k },
      { title: 'Redis CPU s/100k', of: (a) => a.redis_100k },
      { title: 'worker MB', of: (a) => a.rss_kb / 1024 },
    ],
    candidates: processing({ jobs: n(100000, 30000), concurrency: 100 }, { jobs: n(50000, 15000), concurrency: 50 }).concat(
      { label: 'bee-queue 2.0.0, c=50', run: plain('bee', 'process', { jobs: n(50000, 15000), concurrency: 50 }) }),
  },
  {
    name: 'lean', title: 'Processing: results dropped; for Ox no events either', compare: perSecond, figures: [perSecond],
    goal: 'at least 8× bullmq 6 with removeOnComplete.',
    candidates: processing({ jobs: n(200000, 50000), concurrency: 100, drop: true, quiet: true },
      { jobs: n(50000, 15000), concurrency: 50, drop: true }).concat(
      { label: 'Ox, events on', run: observed('ox', { jobs: n(200000, 50000), concurrency: 100, drop: true }) },
      { label: 'Ox, results kept, events off', run: observed('ox', { jobs: n(200000, 50000), concurrency: 100, quiet: true }) }),
  },
  ...[1, 10, 50, 100].map((c) => ({
    name: `concurrency-${c}`, only: full || size === 'smoke', title: `Processing at concurrency ${c}`, compare: perSecond, figures: [perSecond],
    candidates: processing({ jobs: n(c > 1 ? 50000 : 20000, 2000), concurrency: c }, { jobs: n(c > 1 ? 30000 : 10000, 2000), concurrency: c }),
  })),
  ...[[10000, 20000], [1000000, 300]].map(([payload, jobs]) => ({
    name: `payload-${payload}`, only: full || size === 'smoke', title: `Processing with ${payload / 1000} kB of data`, compare: perSecond, figures: [perSecond],
    candidates: processing({ jobs: n(jobs, 100), concurrency: 50, payload }),
  })),
  {
    name: 'aof', title: 'Processing with AOF everysec', compare: perSecond, figures: [perSecond],
    goal: 'at least 3.5× bullmq 6.', redisArgs: ['--appendonly', 'yes', '--appendfsync', 'everysec'],
    candidates: processing({ jobs: n(100000, 20000), concurrency: 100 }, { jobs: n(50000, 10000), concurrency: 50 }),
  },
  {
    name: 'latency', title: 'From add to the start of the handler, idle worker', compare: p50, figures: [p50, p99],
    goal: 'at most 0.4× bullmq 6, at p50 and p99.',
    candidates: both('latency', { jobs: n(1000, 200), concurrency: 1 }, [
      { label: 'bee-queue 2.0.0', run: plain('bee', 'latency', { jobs: n(1000, 200), concurrency: 1 }) },
    ]),
  },
  {
    name: 'delayed', title: 'Lateness of delayed jobs', compare: p50, figures: [p50, p99],
    note: `${n(20000, 5000)} jobs that become due within ${n(5000, 1250)} ms.`,
    goal: 'at most 3 / 15 ms.',
    candidates: both('delayed', { jobs: n(20000, 5000), spread: n(5000, 1250), concurrency: 100 }),
  },
  {
    name: 'growth', title: 'A queue a thousand times as large', compare: perSecond, figures: [perSecond],
    goal: 'within 25 % of the empty queue.', only: full || size === 'smoke',
    candidates: Object.entries(growths).map(([label, make]) => ({
      label, run: grown(make, { jobs: n(50000, 20000), concurrency: 100 }),
    })),
  },
  {
    name: 'workers', title: 'Several worker processes on one queue', compare: perSecond, figures: [perSecond],
    only: full || size === 'smoke',
    candidates: [1, 2, 4, 8].flatMap((count) => [
      { label: `bullmq 6.7.0, ${count} of c=50`, run: together('bullmq', count, { jobs: n(30000, 6000), concurrency: 50 }) },
      { label: `Ox, ${count} of c=50`, run: together('ox', count, { jobs: n(100000, 40000), concurrency: 50 }) },
    ]).map((candidate, i) => ({ ...candidate, against: i - (i % 2) })),
  },
  {
    name: 'children', title: 'ox-worker: no-op jobs through isolated child processes', figures: [perSecond],
    goal: 'at least 15k/s with one child a core.',
    candidates: [{ label: `ox-worker, ${cpus().length} children`, run: together('children', 1, { jobs: n(50000, 10000), concurrency: cpus().length }) }],
  },
];

const wanted = flags.only?.split(',') ?? questions.filter((q) => q.only !== false).map((q) => q.name);
const unknown = wanted.filter((name) => !questions.some((q) => q.name === name));
if (unknown.length > 0) {
  console.error(`run.mjs: no question ${unknown.join(', ')}; there are ${questions.map((q) => q.name).join(', ')}`);
  process.exit(2);
}
let passed = 0;
for (const question of questions.filter((q) => wanted.includes(q.name))) {
  const before = problems.length;
  await ask(question);
  passed += problems.length === before ? 1 : 0;
}

if (flags.write) {
  const text = readFileSync(flags.write, 'utf8');
  const [begin, end] = ['<!-- tables: begin -->', '<!-- tables: end -->'];
  const version = execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).match(/v=([\d.]+)/)[1];
  const where = `Measured with ${cpus().length} cores (${cpus()[0].model.trim()}), Redis ${version}, Node ${process.versions.node}; ${repeat} turns each.`;
  const at = text.indexOf(begin);
  if (at < 0) throw new Error(`${flags.write}: no line ${begin}`);
  writeFileSync(flags.write, `${text.slice(0, at + begin.length)}\n\n${where}\n${tables.join('\n')}\n\n${text.slice(text.indexOf(end))}`);
}
for (const problem of problems) console.error(problem);
console.log(`\n${passed} passed, ${wanted.length - passed} failed`);
process.exit(problems.length > 0 ? 1 : 0);
