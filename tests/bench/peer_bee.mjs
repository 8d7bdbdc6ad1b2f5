// The bee-queue side of the benchmarks: the questions that it can answer.
import { createRequire } from 'node:module';
import { answer, counter, latency, pad, readOptions } from './common.mjs';

const Queue = createRequire(import.meta.url)('bee-queue');
const options = readOptions();
const { concurrency, payload } = options;

const queues = new Map();
const open = async (name) => {
  if (!queues.has(name)) {
    const settings = {
      redis: { path: options.socket },
      sendEvents: false,
      getEvents: false,
      storeJobs: false,
      removeOnSuccess: options.drop,
    };
    queues.set(name, new Queue(name, settings));
  }
  return queues.get(name).ready();
};

const saveAll = async (name, jobs) => {
  const queue = await open(name);
  for (let i = 0; i < jobs; i += 1000) {
    const batch = [];
    for (let n = i; n < Math.min(i + 1000, jobs); n += 1) batch.push(queue.createJob(pad(n, payload)));
    const errors = await queue.saveAll(batch);
    if (errors.size > 0) throw new Error(`${errors.size} jobs were not saved`);
  }
};

const fill = async (name, jobs, prefilled) => {
  if (!prefilled) await saveAll(name, jobs);
};

const start = async (name, jobs, sample) => {
  const queue = await open(name);
  const work = counter(jobs, sample);
  queue.on('succeeded', work.ended);
  queue.process(concurrency, work.handle);
  return { ...work, samples: sample && work.samples, close: () => queue.close() };
};

const modes = {
  single: {
    before: open,
    run: async (name, jobs) => {
      const queue = await open(name);
      for (let n = 0; n < jobs; n += 1) await queue.createJob(pad(n, payload)).save();
    },
  },
  bulk: { before: open, run: saveAll },
  process: {
    before: fill,
    run: async (name, jobs) => {
      const work = await start(name, jobs);
      await work.all;
      return work;
    },
  },
  latency: {
    before: open,
    run: async (name, jobs) => {
      const queue = await open(name);
      const add = (n) => queue.createJob(pad(n, payload)).save();
      return latency(jobs, (sample) => start(name, jobs, sample), add);
    },
  },
};

await answer(modes, options);
