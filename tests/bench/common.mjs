// What the JavaScript peers share: options, a job's data, the timed part, and the answer.
//
// A peer makes a row of modes, {before, run, after, warm}: `before` and `after` are not timed,
// `warm` names the mode that warms up for it, on a queue of its own. Node compiles what runs
// often, so a cold program would be measured at its worst; every candidate warms up alike.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

export const readOptions = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      socket: { type: 'string' },
      jobs: { type: 'string', default: '10000' },
      warm: { type: 'string', default: '0' },
      concurrency: { type: 'string', default: '50' },
      payload: { type: 'string', default: '100' },
      spread: { type: 'string', default: '5000' },
      program: { type: 'string', default: '' },
      stream: { type: 'boolean', default: false },
      drop: { type: 'boolean', default: false },
      prefilled: { type: 'boolean', default: false },
    },
  });
  const { socket, drop, prefilled, program, stream, ...numbers } = values;
  const read = Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, Number(v)]));
  return { mode: positionals[0], socket, drop, prefilled, program, stream, ...read };
};

// {n, pad} whose JSON has about `bytes` bytes; measure.c makes the same.
export const pad = (n, bytes) => ({
  n,
  pad: 'x'.repeat(Math.max(0, bytes - `{"n":${n},"pad":""}`.length)),
});

// What a worker does: counts runs by number, takes a sample (ms), and knows when all are done.
export const counter = (jobs, sample) => {
  const runs = new Uint8Array(jobs);
  const samples = new Float64Array(jobs);
  let done = 0;
  let finished;
  const all = new Promise((resolve) => (finished = resolve));
  return {
    all,
    samples,
    handle: async (job) => {
      runs[job.data.n] += 1;
      if (sample) samples[job.data.n] = sample(job);
    },
    ended: () => {
      done += 1;
      if (done === jobs) finished();
    },
    exact: () => runs.every((times) => times === 1),
  };
};

// Adds one job at a time to an idle worker: `start(sample)` starts it, `add(n)` adds.
export const latency = async (jobs, start, add) => {
  let addedAt = 0;
  let seen;
  const work = await start(() => {
    const ms = performance.now() - addedAt;
    seen();
    return ms;
  });
  for (let i = 0; i < jobs; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const ran = new Promise((resolve) => (seen = resolve));
    addedAt = performance.now();
    await add(i);
    await ran;
  }
  await work.all;
  return work;
};

const percentiles = (samples) => {
  const sorted = Float64Array.from(samples).sort();
  const at = (p) => sorted[Math.round(p * (sorted.length - 1))];
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
};

const toldToGo = () =>
  new Promise((resolve) => {
    console.log('ready');
    process.stdin.once('data', resolve).once('end', resolve);
  });

const nothing = async () => {};

// `modes` are functions of a queue's name and its number of jobs. What `run` returns, if
// anything, is a counter (above) to be closed and asked.
export const answer = async (modes, options) => {
  const { mode, warm, jobs } = options;
  if (!modes[mode] || !options.socket) {
    console.error(`one mode of ${Object.keys(modes).join(', ')}, and --socket`);
    process.exit(2);
  }
  const { before = nothing, run, warm: warmer = mode } = modes[mode];
  if (warm > 0) {
    const { before: fill = nothing, run: work } = modes[warmer];
    const own = `warm-${process.pid}`;
    await fill(own, warm, false);
    await (await work(own, warm))?.close();
  }
  await before('bench', jobs, options.prefilled);
  await toldToGo();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const work = await run('bench', jobs);
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  await work?.close();
  console.log(
    JSON.stringify({
      jobs,
      seconds,
      per_s: jobs / seconds,
      exact: work?.exact() ?? true,
      cpu_s: (used.user + used.system) / 1e6,
      // Not resourceUsage(): that survives exec, so it may be the one of who started us.
      rss_kb: Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)[1]),
      ...(work?.samples ? percentiles(work.samples) : {}),
    })
  );
  process.exit(0);
};
