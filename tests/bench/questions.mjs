// The questions: what is asked of whom, how many jobs, and which goal it has.
//
// A candidate is {label, run}; the first of a question, or the one at `against`, is the one it
// is compared with. Counts differ where speeds do, so that each runs for a second or so.
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { makeImages } from './images.mjs';
import { makeRuns } from './runs.mjs';
import { makeStreams } from './streams.mjs';

export const makeQuestions = ({ build, beside, size, limit_s, versions, photosFrom }) => {
  const { adding, working, beanstalkd, together, grown } = makeRuns({ build, limit_s });
  // How many jobs, by size. A question with `rare` is not asked in the quick form;
  // one with `turns` has no more turns than that.
  const n = (full, quick) => ({ full, quick, smoke: 50 })[size];
  const names = {
    bullmq: `bullmq ${versions.bullmq}`,
    bee: `bee-queue ${versions.bee}`,
    sidekiq: `Sidekiq ${versions.sidekiq}`,
    beanstalkd: `beanstalkd ${versions.beanstalkd}`,
  };
  const when = (who, ...candidates) => (versions[who] ? candidates : []);

  const perSecond = { title: 'jobs/s', of: (a) => a.per_s };
  const p50 = { title: 'p50 ms', of: (a) => a.p50_ms };
  const p99 = { title: 'p99 ms', of: (a) => a.p99_ms };
  const costs = [
    { title: 'µs Redis/job', of: (a) => a.redis_us },
    { title: 'µs inside', of: (a) => a.inside_us },
    { title: 'calls/job', of: (a) => a.calls },
    { title: 'worker CPU s/100k', of: (a) => a.worker_100k },
    { title: 'server CPU s/100k', of: (a) => a.server_100k },
    { title: 'worker MB', of: (a) => a.rss_kb / 1024 },
    { title: 'Redis MB/100k kept', of: (a) => a.redis_mb },
  ];

  const processing = (options, bullOptions = options) => [
    { label: `${names.bullmq}, c=${bullOptions.concurrency}`, run: working('bullmq', 'process', bullOptions) },
    { label: `Ox, c=${options.concurrency}`, run: working('ox', 'process', options) },
  ];

  // ---- what makes a queue large ------------------------------------------------------------

  const many = async (redis, count, each) => {
    for (let i = 0; i < count; i += 1000) {
      const pipeline = redis.pipeline();
      for (let k = i; k < Math.min(count, i + 1000); k += 1) each(pipeline, k);
      await pipeline.exec();
    }
  };
  const far = Date.now() + 86400000;
  const plain = ['name', 'x', 'data', '{}', 'opts', '{}', 'priority', 0];
  // Beyond 2^20 keys, so that no table of the server grows while a run is timed.
  const million = n(1.25e6, 1e5);
  const grownJobs = n(50000, 20000);
  const large = million.toLocaleString('en');
  const growths = {
    'empty queue': async () => {},
    [`${large} waiting`]: async (server, fill) => fill(million + grownJobs),
    [`${large} delayed`]: async ({ redis }) =>
      many(redis, million, (p, k) => {
        p.zadd('bull:bench:delayed', (far + k) * 4096, `d${k}`);
        p.hset(`bull:bench:d${k}`, ...plain, 'timestamp', far, 'delay', 1);
      }),
    [`${large} completed`]: async ({ redis }) =>
      many(redis, million, (p, k) => {
        p.zadd('bull:bench:completed', 1e12 + k, `c${k}`);
        p.hset(`bull:bench:c${k}`, ...plain, 'timestamp', 1, 'delay', 0, 'finishedOn', 1e12 + k);
      }),
    '10k active elsewhere': async ({ redis }) =>
      many(redis, n(1e4, 1e4), (p, k) => {
        p.rpush('bull:bench:active', `a${k}`);
        p.hset(`bull:bench:a${k}`, ...plain, 'timestamp', 1, 'processedOn', 1);
        p.set(`bull:bench:a${k}:lock`, 'other', 'PX', 3600000);
      }),
    '1,000 queues': async ({ redis }) =>
      many(redis, n(1e5, 2e4), (p, k) => {
        const base = `bull:other${k % 1000}:`;
        p.lpush(`${base}wait`, `w${k}`);
        p.hset(`${base}w${k}`, ...plain, 'timestamp', 1);
      }),
  };

  // ---- adding ------------------------------------------------------------------------------

  const single = { jobs: n(10000, 3000) };
  const bulk = { jobs: n(50000, 20000) };
  const oxBulk = { jobs: n(200000, 60000) };
  const questionsOfAdding = [
    {
      name: 'single', title: 'Adding one job at a time, each awaited', compare: [perSecond], figures: [perSecond],
      candidates: [
        { label: names.bullmq, run: adding('bullmq', 'single', single) },
        { label: 'Ox', run: adding('ox', 'single', single) },
        { label: 'Ox, looking for its answer for 50 µs', run: adding('ox', 'single', { ...single, spin: 50 }) },
        { label: names.bee, run: adding('bee', 'single', single) },
        ...when('sidekiq', { label: names.sidekiq, run: adding('sidekiq', 'single', single) }),
        ...when('beanstalkd', { label: names.beanstalkd, run: beanstalkd('single', single) }),
      ],
    },
    {
      name: 'bulk', title: 'Adding many jobs', compare: [perSecond], figures: [perSecond],
      goal: 'at least 6× `addBulk`, at least 4× a hundred awaited adds at once.',
      candidates: [
        { label: `${names.bullmq}, addBulk of 1,000`, run: adding('bullmq', 'bulk', bulk) },
        { label: `${names.bullmq}, 100 awaited at once`, run: adding('bullmq', 'concurrent', bulk) },
        { label: `${names.bee}, saveAll of 1,000`, run: adding('bee', 'bulk', bulk) },
        { label: 'Ox, to addBulk', run: adding('ox', 'bulk', oxBulk) },
        { label: 'Ox, to 100 awaited', against: 1, run: adding('ox', 'bulk', oxBulk) },
        ...when('sidekiq', { label: `${names.sidekiq}, push_bulk of 1,000`, run: adding('sidekiq', 'bulk', bulk) }),
        ...when('beanstalkd', { label: `${names.beanstalkd}, pipelined`, run: beanstalkd('bulk', oxBulk) }),
      ],
    },
  ];

  // ---- processing --------------------------------------------------------------------------

  const programOf = (...words) => ({ program: JSON.stringify(words), concurrency: 2 * cpus().length });
  const work = [process.execPath, fileURLToPath(new URL('work.mjs', import.meta.url))];
  const cat = programOf('cat');
  const starts = size === 'smoke' ? 10 : n(200, 60); // of Node, which take a core each for 40 ms
  const node = programOf(...work);
  const nodeStream = { ...programOf(...work, 'stream'), stream: true };
  const bull = { jobs: n(50000, 15000), concurrency: 50 };
  const ox = { jobs: n(100000, 40000), concurrency: 100 };
  const lean = { jobs: n(200000, 60000), concurrency: 100 };
  // Jobs get their lock and start after 30 ms, so none of these does; see docs/performance.md.
  const late = { 'lock-after': 30, 'late-start': true };
  // Its best, as 50 jobs at once are bullmq's: then Redis always has the next call.
  const best = { ...ox, concurrency: 400, calls: 8 };
  const otherwise = [
    { label: `Ox, c=${best.concurrency}`, run: working('ox', 'process', best) },
    { label: `Ox, c=${ox.concurrency}, lock after 30 ms`, run: working('ox', 'process', { ...ox, ...late }) },
    { label: `Ox, c=${best.concurrency}, lock after 30 ms`, run: working('ox', 'process', { ...best, ...late }) },
  ];
  const questionsOfProcessing = [
    {
      name: 'process', title: 'Processing: events on, results kept', compare: [perSecond], figures: [perSecond, ...costs],
      goal: 'at least 5× bullmq 6 at its best; Redis time at most 1.7× of the commands inside; worker CPU at most 0.6 s for 100k jobs; at most 12 MB.',
      note: versions.sidekiq || versions.beanstalkd
        ? 'Sidekiq and beanstalkd keep nothing of a finished job and write no events; Sidekiq loses what a worker that dies holds; beanstalkd, a server of its own, keeps all in memory.' : undefined,
      candidates: [
        ...processing(ox, bull),
        ...otherwise,
        { label: `${names.bee}, c=50`, run: working('bee', 'process', bull) },
        ...when('sidekiq', {
          label: `${names.sidekiq}, 10 threads`, run: working('sidekiq', 'process', { jobs: n(20000, 5000), concurrency: 10 }),
        }),
        ...when('beanstalkd', { label: `${names.beanstalkd}, 100 reserves`, run: beanstalkd('process', ox) }),
      ],
    },
    {
      name: 'lean', title: 'Processing: results dropped; for Ox no events either', compare: [perSecond], figures: [perSecond],
      goal: 'at least 8× bullmq 6 with removeOnComplete.',
      candidates: [
        ...processing({ ...lean, drop: true, quiet: true }, { ...bull, drop: true }),
        { label: 'Ox, events on', run: working('ox', 'process', { ...lean, drop: true }) },
        { label: 'Ox, results kept, events off', run: working('ox', 'process', { ...lean, quiet: true }) },
      ],
    },
    ...[1, 10, 50, 100].map((concurrency) => ({
      name: `concurrency-${concurrency}`, rare: true, turns: 3, title: `Processing at concurrency ${concurrency}`,
      compare: [perSecond], figures: [perSecond],
      candidates: processing(
        { jobs: n(concurrency > 1 ? 60000 : 20000, 2000), concurrency },
        { jobs: n(concurrency > 1 ? 30000 : 10000, 2000), concurrency }
      ),
    })),
    ...[[10000, 20000, 2], [100000, 3000, 3], [1000000, 300, 4]].map(([payload, jobs, goal]) => ({
      name: `payload-${payload}`, rare: true, turns: 3, title: `Processing with ${payload / 1000} kB of data`,
      compare: [perSecond], figures: [perSecond, ...costs.slice(-4, -1)], goal: `at least ${goal}× bullmq 6.`,
      candidates: processing({ jobs: n(jobs, 100), concurrency: 50, payload }),
    })),
    {
      name: 'aof', turns: 3, title: 'Processing with AOF everysec', compare: [perSecond], figures: [perSecond],
      goal: 'at least 3.5× bullmq 6.',
      // The file is rewritten between the runs, and never within one.
      redisArgs: ['--appendonly', 'yes', '--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0'],
      candidates: [...processing(ox, bull), ...otherwise],
    },
    {
      name: 'growth', rare: true, title: 'A queue a thousand times as large', compare: [perSecond], figures: [perSecond],
      goal: 'within 25 % of the empty queue.', turns: 3,
      candidates: Object.entries(growths).map(([label, make]) => ({
        label, run: grown(make, { jobs: grownJobs, concurrency: 100 }),
      })),
    },
    {
      name: 'workers', rare: true, turns: 3, title: 'Several worker processes on one queue', compare: [perSecond], figures: [perSecond],
      candidates: [1, 2, 4, 8].flatMap((count) => [
        { label: `${names.bullmq}, ${count} of c=50`, run: together('bullmq', count, { jobs: n(30000, 6000), concurrency: 50 }) },
        { label: `Ox, ${count} of c=50`, run: together('ox', count, { jobs: n(100000, 40000), concurrency: 50 }) },
      ]).map((candidate, i) => ({ ...candidate, against: i - (i % 2) })),
    },
    {
      name: 'children', turns: 3, title: 'ox-worker: no-op jobs through isolated child processes', figures: [perSecond],
      goal: 'at least 15k/s with one child a core.',
      candidates: [1, 2, 4].map((share) => share * cpus().length).flatMap((children) =>
        [0, children, 3 * children].map((ahead) => ({
          label: `ox-worker, ${children} children${ahead > 0 ? `, ${ahead} ahead` : ''}`,
          run: together('children', 1, { jobs: n(50000, 10000), concurrency: children, ahead }),
        })),
      ),
    },
    {
      name: 'exec', rare: true, turns: 3, title: 'A program for each job, or one for many', compare: [perSecond], figures: [perSecond],
      goal: 'at least as many as a BullMQ worker that spawns the same program; stream mode at least 50× a Node program for each job.',
      note: 'The programs give the data back. Where bullmq keeps node, its worker writes the same lines to as many processes as jobs run at once.',
      candidates: [
        { label: `${names.bullmq}, spawns cat`, run: together('bullmq', 1, { jobs: n(4000, 1000), ...cat }) },
        { label: 'Ox, exec:cat', run: together('children', 1, { jobs: n(4000, 1000), ...cat }) },
        { label: `${names.bullmq}, spawns node`, run: together('bullmq', 1, { jobs: starts, ...node }) },
        { label: 'Ox, exec:node', against: 2, run: together('children', 1, { jobs: starts, ...node }) },
        { label: `${names.bullmq}, keeps node`, against: 2, run: together('bullmq', 1, { jobs: n(30000, 10000), ...nodeStream }) },
        { label: 'Ox, stream mode, node', against: 2, run: together('children', 1, { jobs: n(50000, 10000), ...nodeStream }) },
        { label: 'Ox, stream mode, to bullmq that keeps node', against: 4, run: together('children', 1, { jobs: n(50000, 10000), ...nodeStream }) },
      ],
    },
    {
      name: 'sandbox', rare: true, title: 'ox-worker with its sandbox and without', compare: [perSecond], figures: [perSecond],
      candidates: Object.entries({
        'no-op': { jobs: n(50000, 10000), concurrency: 2 * cpus().length },
        'exec:cat': { jobs: n(4000, 1000), ...cat },
        'stream mode, node': { jobs: n(30000, 10000), ...nodeStream },
      }).flatMap(([label, options]) => ['off', 'on'].map((sandbox) => ({
        label: `${label}, sandbox ${sandbox}`, run: together('children', 1, { ...options, sandbox }),
      }))).map((candidate, i) => ({ ...candidate, against: i - (i % 2) })),
    },
  ];

  // ---- times -------------------------------------------------------------------------------

  const one = { jobs: n(1000, 200), concurrency: 1 };
  const delayed = { jobs: n(20000, 5000), spread: n(5000, 1250), concurrency: 100 };
  const questionsOfTime = [
    {
      name: 'latency', title: 'From add to the start of the handler, idle worker', compare: [p50, p99], figures: [p50, p99],
      goal: 'at most 0.4× bullmq 6, at p50 and p99.',
      candidates: [
        { label: names.bullmq, run: working('bullmq', 'latency', one) },
        { label: 'Ox', run: working('ox', 'latency', one) },
        { label: names.bee, run: working('bee', 'latency', one) },
        ...when('sidekiq', { label: names.sidekiq, run: working('sidekiq', 'latency', one) }),
        ...when('beanstalkd', { label: names.beanstalkd, run: beanstalkd('latency', one) }),
      ],
    },
    {
      name: 'delayed', turns: 3, title: 'Lateness of delayed jobs', compare: [p50, p99], figures: [p50, p99],
      note: `${delayed.jobs} jobs that become due within ${delayed.spread} ms.`, goal: 'at most 3 / 15 ms.',
      candidates: [
        { label: names.bullmq, run: working('bullmq', 'delayed', delayed) },
        { label: 'Ox', run: working('ox', 'delayed', delayed) },
      ],
    },
  ];

  const questionsOfImages = makeImages({ build, beside, size, limit_s, versions, photosFrom });
  const questionsOfStreams = makeStreams({ build, limit_s, size, versions });
  return [...questionsOfAdding, ...questionsOfProcessing, ...questionsOfTime, ...questionsOfStreams, ...questionsOfImages];
};
