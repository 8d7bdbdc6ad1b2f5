// The questions of streams: publishing, reading, jobs of bound queues, what an event costs, and how
// soon it is seen.
//
// Here a "job" is an event. Each run looks into Redis afterwards: whether all events are in the
// log, or all jobs in the queues, whoever says that they are.
import { cpuOf, launch, startNats } from './servers.mjs';
import { redisBytes, redisCpu } from './observe.mjs';

const COUNT_EVENTS = `
local n, from = 0, '-'
repeat
    local found = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1000)
    for _, entry in ipairs(found) do
        n, from = n + (tonumber(entry[2][4]) or 1), '(' .. entry[1]
    end
until #found == 0
return n`;
const LOGS = { streams: 'bull::ox:{bench}:log', nodeStreams: 'log-bench' };

export const makeStreams = ({ build, limit_s, size, versions }) => {
  const n = (full, quick) => ({ full, quick, smoke: 200 })[size];

  // `events`: how many are in the log afterwards; `jobs`: in each of three queues.
  const asking = (who, mode, options, kept = {}) => async ({ redis, socket }) => {
    const { jobs } = options;
    const bytes = await redisBytes(redis);
    const { ready, go, answer } = launch(build, who, mode, socket, { limit_s, warm: Math.min(20000, jobs / 5), ...options });
    await ready;
    const cpu = await redisCpu(redis);
    go();
    const said = await answer;
    const used = (await redisCpu(redis)) - cpu;
    const log = await redis.eval(COUNT_EVENTS, 1, LOGS[who]);
    const lengths = await Promise.all(['bench1', 'bench2', 'bench3'].map((queue) => redis.llen(`bull:${queue}:wait`)));
    // The peer adds its warm-up to the same queues.
    const made = kept.queues ? lengths.every((length) => length >= jobs) : lengths.every((length) => length === 0);
    return {
      ...said,
      redis_us: (used * 1e6) / jobs,
      own_us: (said.cpu_s * 1e6) / jobs,
      bytes: ((await redisBytes(redis)) - bytes) / jobs,
      exact: said.exact && made && log === (kept.log === false ? 0 : jobs),
    };
  };

  // On a server of its own, whose processor time is all that is seen of it from outside.
  const askingNats = (options) => async () => {
    const server = await startNats();
    try {
      const { jobs } = options;
      const { ready, go, answer } = launch(build, 'nats', 'append', server.socket, { limit_s, warm: Math.min(20000, jobs / 5), ...options });
      await ready;
      const cpu = cpuOf(server.pid);
      go();
      const said = await answer;
      return { ...said, redis_us: ((cpuOf(server.pid) - cpu) * 1e6) / jobs, own_us: (said.cpu_s * 1e6) / jobs };
    } finally {
      await server.stop();
    }
  };

  const perSecond = { title: 'events/s', of: (a) => a.per_s };
  const costs = [
    { title: 'µs Redis/event', of: (a) => a.redis_us },
    { title: 'µs client/event', of: (a) => a.own_us },
    { title: 'Redis bytes/event', of: (a) => a.bytes },
  ];
  const serverUs = { ...costs[0], title: 'µs server/event' };
  const p50 = { title: 'p50 ms', of: (a) => a.p50_ms }, p99 = { title: 'p99 ms', of: (a) => a.p99_ms };
  const small = { payload: 175 }, whole = { payload: 320 };
  const ox = { jobs: n(400000, 100000) }, node = { jobs: n(100000, 30000) };
  const one = { jobs: n(1000, 300), warm: 50 };
  return [
    {
      name: 'streams-append', title: 'Publishing events of 175 bytes to a log', compare: [perSecond], figures: [perSecond, ...costs],
      goal: 'at least 6× an ioredis pipeline of 100 XADD, deflated 3×.',
      candidates: [
        { label: 'ioredis, 100 XADD', run: asking('nodeStreams', 'xadd', { ...node, ...small }) },
        { label: 'Ox', run: asking('streams', 'append', { ...ox, ...small }) },
        { label: 'Ox, deflated', run: asking('streams', 'append', { ...ox, ...small, deflate: true }) },
      ],
    },
    ...(versions.nats ? [{
      name: 'streams-nats', title: 'Publishing events of 175 bytes to a log, beside JetStream', compare: [perSecond], figures: [perSecond, serverUs, costs[1]],
      note: 'JetStream writes to a file, which it syncs only now and then; Redis has the log in memory and writes no file here.',
      goal: 'at least 3× an asynchronous publisher of libnats to JetStream, file store.',
      candidates: [
        { label: `nats-server ${versions.nats}, libnats`, run: askingNats({ jobs: n(200000, 50000), ...small }) },
        { label: 'Ox', run: asking('streams', 'append', { ...ox, ...small }) },
      ],
    }] : []),
    {
      name: 'streams-memory', title: 'Publishing events of 320 bytes: what they need', compare: [costs[2]], figures: [perSecond, ...costs],
      goal: 'deflated at most 0.25× the bytes of plain.',
      candidates: [
        { label: 'Ox', run: asking('streams', 'append', { ...ox, ...whole }) },
        { label: 'Ox, deflated', run: asking('streams', 'append', { ...ox, ...whole, deflate: true }) },
      ],
    },
    {
      name: 'streams-read', title: 'Reading and acknowledging events of 175 bytes', compare: [perSecond], figures: [perSecond, ...costs.slice(0, 2)],
      goal: 'at least 5× ioredis with XREADGROUP COUNT 1000 and XACK, deflated 3×.',
      candidates: [
        { label: 'ioredis, COUNT 1000', run: asking('nodeStreams', 'xread', { ...node, ...small }) },
        { label: 'Ox', run: asking('streams', 'read', { ...ox, ...small }) },
        { label: 'Ox, deflated', run: asking('streams', 'read', { ...ox, ...small, deflate: true }) },
      ],
    },
    {
      name: 'streams-bound', title: 'Publishing to three bound queues', compare: [perSecond], figures: [perSecond, ...costs.slice(0, 2)],
      goal: 'at least 4× three BullMQ adds an event.',
      candidates: [
        { label: `bullmq ${versions.bullmq}, three adds`, run: asking('nodeStreams', 'adds', { jobs: n(10000, 3000), ...small }, { queues: true, log: false }) },
        { label: 'Ox', run: asking('streams', 'bound', { jobs: n(40000, 10000), ...small }, { queues: true }) },
      ],
    },
    {
      name: 'streams-both', title: 'Publishing and one group at once', compare: [perSecond], figures: [perSecond, ...costs.slice(0, 2)],
      goal: '500k events/s of 175 bytes, 450k of 320, deflated 300k.',
      candidates: [
        { label: 'Ox, 175 bytes', run: asking('streams', 'both', { ...ox, ...small }) },
        { label: 'Ox, 320 bytes', run: asking('streams', 'both', { ...ox, ...whole }) },
        { label: 'Ox, 320 bytes, deflated', run: asking('streams', 'both', { ...ox, ...whole, deflate: true }) },
      ],
    },
    {
      name: 'streams-latency', title: 'Publishing to an idle tail, one event at a time', compare: [p50, p99], figures: [p50, p99],
      goal: 'p50 at most 0.4× that of BullMQ\'s Relay.',
      candidates: [
        { label: `bullmq ${versions.bullmq}, Relay`, run: asking('nodeStreams', 'relay', { ...one, ...small }, { log: false }) },
        { label: 'Ox', run: asking('streams', 'latency', { ...one, ...small }) },
      ],
    },
  ];
};
