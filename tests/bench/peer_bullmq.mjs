// The BullMQ side of the benchmarks: the same questions, options and answers as ox_bench.c.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { measure, percentiles, pad, exactness } from './common.mjs';

const { values: o, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    socket: { type: 'string' },
    jobs: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '50' },
    payload: { type: 'string', default: '100' },
    spread: { type: 'string', default: '5000' },
    drop: { type: 'boolean', default: false },
    prefilled: { type: 'boolean', default: false },
  },
});
const jobs = Number(o.jobs);
const payload = Number(o.payload);
const concurrency = Number(o.concurrency);
const connect = () => new Redis({ path: o.socket, maxRetriesPerRequest: null });
const options = o.drop ? { removeOnComplete: true } : {};
const queue = new Queue('bench', { connection: connect() });
await queue.waitUntilReady();

const chunks = async (size, each) => {
  for (let i = 0; i < jobs; i += size) {
    await each(Array.from({ length: Math.min(size, jobs - i) }, (_, k) => i + k));
  }
};

const fill = () =>
  chunks(1000, (numbers) =>
    queue.addBulk(numbers.map((n) => ({ name: 'bench', data: pad(n, payload), opts: options })))
  );

// Runs a worker until every job has completed; `sample` turns a job into a number of ms.
const work = async (sample) => {
  const runs = new Uint8Array(jobs);
  const samples = new Float64Array(jobs);
  let done = 0;
  let finished;
  const all = new Promise((resolve) => (finished = resolve));
  const worker = new Worker(
    'bench',
    async (job) => {
      runs[job.data.n] += 1;
      if (sample) samples[job.data.n] = sample(job);
    },
    { connection: connect(), concurrency, name: randomUUID() }
  );
  worker.on('completed', () => {
    done += 1;
    if (done === jobs) finished();
  });
  await worker.waitUntilReady();
  return { worker, all, runs, samples };
};

const modes = {
  async single() {
    return measure(jobs, async () => {
      for (let i = 0; i < jobs; i += 1) await queue.add('bench', pad(i, payload), options);
    });
  },

  async bulk() {
    return measure(jobs, fill);
  },

  // A hundred adds at once, each awaited.
  async concurrent() {
    return measure(jobs, () =>
      chunks(100, (numbers) =>
        Promise.all(numbers.map((n) => queue.add('bench', pad(n, payload), options)))
      )
    );
  },

  async process() {
    if (!o.prefilled) await fill();
    let w;
    const result = await measure(jobs, async () => {
      w = await work();
      await w.all;
    });
    await w.worker.close();
    return { ...result, exact: exactness(w.runs) };
  },

  // Runs what there is until SIGTERM; whoever started it counts.
  async serve() {
    const worker = new Worker('bench', async () => {}, { connection: connect(), concurrency });
    return measure(jobs, async () => {
      await new Promise((resolve) => process.once('SIGTERM', resolve));
      await worker.close();
    });
  },

  async latency() {
    let addedAt = 0;
    let seen;
    const w = await work(() => {
      const ms = performance.now() - addedAt;
      seen();
      return ms;
    });
    const result = await measure(jobs, async () => {
      for (let i = 0; i < jobs; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const ran = new Promise((resolve) => (seen = resolve));
        addedAt = performance.now();
        await queue.add('bench', pad(i, payload), options);
        await ran;
      }
      await w.all;
    });
    await w.worker.close();
    return { ...result, ...percentiles(w.samples), exact: exactness(w.runs) };
  },

  async delayed() {
    const begin = Date.now() + 2000;
    const spread = Number(o.spread);
    await chunks(1000, (numbers) =>
      queue.addBulk(
        numbers.map((n) => {
          const timestamp = Date.now();
          const due = begin + Math.floor((n * spread) / jobs);
          const delay = Math.max(due - timestamp, 0);
          return { name: 'bench', data: pad(n, payload), opts: { ...options, timestamp, delay } };
        })
      )
    );
    const now = () => performance.timeOrigin + performance.now();
    let w;
    const result = await measure(jobs, async () => {
      w = await work((job) => now() - (job.timestamp + job.opts.delay));
      await w.all;
    });
    await w.worker.close();
    return { ...result, ...percentiles(w.samples), exact: exactness(w.runs) };
  },
};

const mode = modes[positionals[0]];
if (!mode || !o.socket) {
  console.error(`peer_bullmq: one mode of ${Object.keys(modes).join(', ')}, and --socket`);
  process.exit(2);
}
console.log(JSON.stringify(await mode()));
await queue.close();
process.exit(0);
