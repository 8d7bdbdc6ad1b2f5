// The bee-queue side of the benchmarks: the questions that it can answer.
import { parseArgs } from 'node:util';
import { createRequire } from 'node:module';
import { measure, percentiles, pad, exactness } from './common.mjs';

const Queue = createRequire(import.meta.url)('bee-queue');
const { values: o, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    socket: { type: 'string' },
    jobs: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '50' },
    payload: { type: 'string', default: '100' },
    drop: { type: 'boolean', default: false },
  },
});
const jobs = Number(o.jobs);
const payload = Number(o.payload);
const queue = new Queue('bench', {
  redis: { path: o.socket },
  sendEvents: false,
  getEvents: false,
  storeJobs: false,
  removeOnSuccess: o.drop,
});
await queue.ready();

const fill = async () => {
  for (let i = 0; i < jobs; i += 1000) {
    const batch = [];
    for (let n = i; n < Math.min(i + 1000, jobs); n += 1) batch.push(queue.createJob(pad(n, payload)));
    const errors = await queue.saveAll(batch);
    if (errors.size > 0) throw new Error(`${errors.size} jobs were not saved`);
  }
};

const work = (sample) => {
  const runs = new Uint8Array(jobs);
  const samples = new Float64Array(jobs);
  let done = 0;
  let finished;
  const all = new Promise((resolve) => (finished = resolve));
  queue.on('succeeded', () => {
    done += 1;
    if (done === jobs) finished();
  });
  queue.process(Number(o.concurrency), async (job) => {
    runs[job.data.n] += 1;
    if (sample) samples[job.data.n] = sample(job);
  });
  return { all, runs, samples };
};

const modes = {
  async single() {
    return measure(jobs, async () => {
      for (let i = 0; i < jobs; i += 1) await queue.createJob(pad(i, payload)).save();
    });
  },
  async bulk() {
    return measure(jobs, fill);
  },
  async process() {
    await fill();
    let w;
    const result = await measure(jobs, async () => {
      w = work();
      await w.all;
    });
    return { ...result, exact: exactness(w.runs) };
  },
  async latency() {
    let addedAt = 0;
    let seen;
    const w = work(() => {
      const ms = performance.now() - addedAt;
      seen();
      return ms;
    });
    const result = await measure(jobs, async () => {
      for (let i = 0; i < jobs; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const ran = new Promise((resolve) => (seen = resolve));
        addedAt = performance.now();
        await queue.createJob(pad(i, payload)).save();
        await ran;
      }
      await w.all;
    });
    return { ...result, ...percentiles(w.samples), exact: exactness(w.runs) };
  },
};

const mode = modes[positionals[0]];
if (!mode || !o.socket) {
  console.error(`peer_bee: one mode of ${Object.keys(modes).join(', ')}, and --socket`);
  process.exit(2);
}
console.log(JSON.stringify(await mode()));
process.exit(0);
