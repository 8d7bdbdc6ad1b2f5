// Peers of the benchmarks of streams, with the options and answers of ox_streams.c.
//
//   xadd   ioredis: an event an XADD, 100 in a pipeline, as Node programs log events
//   xread  ioredis: a group reads 1,000 events at a time and acknowledges them
//   adds   BullMQ: three adds an event, each to a queue of its own, 100 events at once
//   relay  BullMQ's Relay: an event at a time, some ms apart, from one node to another that waits
import { Queue, Relay } from 'bullmq';
import { Redis } from 'ioredis';
import { answer, counter, latency, pad, readOptions } from './common.mjs';

const options = readOptions();
const redis = new Redis({ path: options.socket, maxRetriesPerRequest: null });
const key = (name) => `log-${name}`;

// The event as Ox writes it; the attributes have about 160 bytes.
const event = (n) =>
  JSON.stringify({
    specversion: '1.0', id: '019acfe5-6800-7000-8000-000000000000', source: '/s', type: 'c',
    time: '2026-11-29T08:50:00.123Z', datacontenttype: 'application/json', data: pad(n, options.payload - 160),
  });

// That of the event, which is not parsed, as in ox_streams.c.
const numberIn = (text) => parseInt(text.slice(text.indexOf('"n":') + 4), 10);

const xadd = async (name, jobs) => {
  for (let i = 0; i < jobs; i += 100) {
    const pipeline = redis.pipeline();
    for (let n = i; n < Math.min(jobs, i + 100); n += 1) pipeline.xadd(key(name), '*', 'e', event(n));
    await pipeline.exec();
  }
};

const queues = ['bench1', 'bench2', 'bench3'].map((name) => new Queue(name, { connection: redis }));

const modes = {
  xadd: { run: xadd },
  xread: {
    before: async (name, jobs, prefilled) => {
      if (!prefilled) await xadd(name, jobs);
      await redis.xgroup('CREATE', key(name), 'bench', '0');
    },
    run: async (name, jobs) => {
      const work = counter(jobs);
      for (let seen = 0; seen < jobs; ) {
        const [[, entries]] = await redis.xreadgroup(
          'GROUP', 'bench', 'one', 'COUNT', 1000, 'STREAMS', key(name), '>');
        for (const [, [, text]] of entries) work.handle({ data: { n: numberIn(text) } });
        seen += entries.length;
        await redis.xack(key(name), 'bench', ...entries.map(([id]) => id));
      }
      return { ...work, close: async () => {} };
    },
  },
  adds: {
    run: async (name, jobs) => {
      for (let i = 0; i < jobs; i += 100) {
        const events = Array.from({ length: Math.min(100, jobs - i) }, (_, k) => JSON.parse(event(i + k)));
        await Promise.all(events.flatMap((data) => queues.map((queue) => queue.add('c', data))));
      }
    },
  },
};

// Two nodes of one process, so that what is heard has come through Redis.
const relay = async (name, jobs) => {
  const nodes = [0, 1].map(() => new Relay({ connection: { path: options.socket, maxRetriesPerRequest: null }, namespace: name }));
  const [publisher, listener] = nodes;
  await Promise.all(nodes.map((node) => node.waitUntilReady()));
  const start = async (sample) => {
    const work = counter(jobs, sample);
    await listener.subscribe('c', (message) => {
      // The data is that of the event, as in ox_streams.c, and the rest what makes it as long.
      work.handle({ data: message.data.data });
      work.ended();
    });
    return { ...work, close: () => Promise.all(nodes.map((node) => node.close())) };
  };
  return latency(jobs, start, (n) => publisher.publish('c', JSON.parse(event(n))));
};
modes.relay = { run: relay };

await answer(modes, options);
