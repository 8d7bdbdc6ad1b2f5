// The BullMQ side of the benchmarks: the same questions, options and answers as ox_bench.c.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { answer, counter, latency, pad, readOptions } from './common.mjs';

const options = readOptions();
const { concurrency, payload } = options;
const connect = () => new Redis({ path: options.socket, maxRetriesPerRequest: null });
const opts = options.drop ? { removeOnComplete: true } : {};

const queues = new Map();
const open = async (name) => {
  if (!queues.has(name)) queues.set(name, new Queue(name, { connection: connect() }));
  await queues.get(name).waitUntilReady();
  return queues.get(name);
};

const chunks = async (jobs, size, each) => {
  for (let i = 0; i < jobs; i += size) {
    await each(Array.from({ length: Math.min(size, jobs - i) }, (_, k) => i + k));
  }
};

const addBulk = async (name, jobs) => {
  const queue = await open(name);
  await chunks(jobs, 1000, (numbers) =>
    queue.addBulk(numbers.map((n) => ({ name: 'bench', data: pad(n, payload), opts })))
  );
};

const fill = async (name, jobs, prefilled) => {
  if (!prefilled) await addBulk(name, jobs);
};

// A worker for `jobs` jobs; `sample` turns a job into a number of ms.
const start = async (name, jobs, sample) => {
  const work = counter(jobs, sample);
  const worker = new Worker(name, work.handle, {
    connection: connect(),
    concurrency,
    name: randomUUID(),
  });
  worker.on('completed', work.ended);
  await worker.waitUntilReady();
  return { ...work, samples: sample && work.samples, close: () => worker.close() };
};

const runAll = async (name, jobs, sample) => {
  const work = await start(name, jobs, sample);
  await work.all;
  return work;
};

// Runs the program for a job, as Ox's handler exec does: data in, the return value out.
const spawned = (words) => (job) =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, OX_JOB_ID: job.id, OX_JOB_NAME: job.name, OX_QUEUE: job.queueName };
    const child = spawn(words[0], words.slice(1), { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => job.log(String(text)));
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`status ${code}`))));
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(job.data));
  });

// Keeps a program for each job that runs at once, and gives it lines as Ox's mode stream does.
const kept = (words) => {
  const idle = [];
  const begin = () => {
    const { stdin, stdout } = spawn(words[0], words.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const program = { stdin };
    const lines = createInterface({ input: stdout });
    lines.on('line', (line) => program.take(JSON.parse(line)));
    lines.on('close', () => program.end?.(new Error('the program ended')));
    stdin.on('error', () => {});
    return program;
  };
  const run = (job) =>
    new Promise((resolve, reject) => {
      const program = idle.pop() ?? begin();
      program.end = reject;
      program.take = ({ id, result, error }) => {
        idle.push(program);
        if (id === job.id && error === undefined) resolve(result);
        else reject(new Error(error ?? `an answer for job ${id}`));
      };
      const { id, name, queueName: queue, data } = job;
      program.stdin.write(`${JSON.stringify({ id, name, queue, attempt: job.attemptsMade + 1, deadline: null, data })}\n`);
    });
  const close = () => idle.forEach(({ stdin }) => stdin.end());
  return { run, close };
};

const programs = () => {
  const words = options.program ? JSON.parse(options.program) : undefined;
  if (words && options.stream) return kept(words);
  return { run: words ? spawned(words) : async () => {}, close: () => {} };
};

const modes = {
  single: {
    before: open,
    run: async (name, jobs) => {
      const queue = await open(name);
      for (let n = 0; n < jobs; n += 1) await queue.add('bench', pad(n, payload), opts);
    },
  },

  bulk: { before: open, run: addBulk },

  // A hundred adds at once, each awaited.
  concurrent: {
    before: open,
    run: async (name, jobs) => {
      const queue = await open(name);
      await chunks(jobs, 100, (numbers) =>
        Promise.all(numbers.map((n) => queue.add('bench', pad(n, payload), opts)))
      );
    },
  },

  process: { before: fill, run: runAll },

  // Runs what there is until SIGTERM; whoever started it counts.
  serve: {
    warm: 'process',
    run: async (name) => {
      const { run, close } = programs();
      const worker = new Worker(name, run, { connection: connect(), concurrency });
      await new Promise((resolve) => process.once('SIGTERM', resolve));
      await worker.close();
      close();
    },
  },

  latency: {
    before: open,
    run: async (name, jobs) => {
      const queue = await open(name);
      const add = (n) => queue.add('bench', pad(n, payload), opts);
      return latency(jobs, (sample) => start(name, jobs, sample), add);
    },
  },

  delayed: {
    warm: 'process',
    // Due from when all of them are surely there.
    before: async (name, jobs) => {
      const queue = await open(name);
      const begin = Date.now() + 500 + jobs / 5;
      await chunks(jobs, 1000, (numbers) =>
        queue.addBulk(
          numbers.map((n) => {
            const timestamp = Date.now();
            const delay = Math.max(Math.floor(begin + (n * options.spread) / jobs) - timestamp, 0);
            return { name: 'bench', data: pad(n, payload), opts: { ...opts, timestamp, delay } };
          })
        )
      );
      if (Date.now() > begin) throw new Error('the first jobs were due before the last were added');
    },
    run: (name, jobs) => {
      const now = () => performance.timeOrigin + performance.now();
      return runAll(name, jobs, (job) => now() - (job.timestamp + job.opts.delay));
    },
  },
};

await answer(modes, options);
