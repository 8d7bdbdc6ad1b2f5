// One run of one candidate: what is done before, what is timed, what is looked at afterwards.
// Each function here makes a run(server) -> answer out of who is asked what.
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { allDone, allWait, commandTimes, redisBytes, redisCpu, sleepers } from './observe.mjs';
import { cpuOf, launch, soon, startBeanstalkd } from './servers.mjs';

export const makeRuns = ({ build, limit_s }) => {
  const begin = (who, mode, socket, options) => launch(build, who, mode, socket, { limit_s, ...options });
  // What runs before the timed part is as long as that, at most.
  const warmth = (jobs) => Math.min(4000, Math.ceil(jobs / 5));

  const fill = async (who, socket, options) => {
    const { answer, go } = begin(who, 'bulk', socket, { ...options, prefilled: false });
    go();
    await answer;
  };

  // `look` sees the server right before the timed part, and what that returns right after it.
  const timed = async (who, mode, socket, options, look = async () => async () => ({})) => {
    const { ready, go, answer } = begin(who, mode, socket, { warm: mode === 'latency' ? 50 : warmth(options.jobs), ...options });
    await ready;
    const after = await look();
    go();
    const said = await answer;
    return { ...said, ...(await after()) };
  };

  const ofRedis = ({ redis }, jobs) => async () => {
    await redis.config('RESETSTAT');
    const cpu = await redisCpu(redis);
    return async () => {
      const used = (await redisCpu(redis)) - cpu;
      const { scripts, inside, calls } = await commandTimes(redis);
      // Where commands are sent without a script the share of scripts says nothing.
      const share = scripts > inside ? { redis_us: scripts / jobs, inside_us: inside / jobs, calls: calls / jobs } : {};
      return { ...share, server_100k: (used * 1e5) / jobs };
    };
  };

  const adding = (who, mode, options) => async (server) => {
    const answer = await timed(who, mode, server.socket, options);
    return { ...answer, exact: answer.exact && (await allWait(server.redis, who, options.jobs)) };
  };

  const finished = async (answer, who, redis, { jobs, drop }) => ({
    ...answer,
    worker_100k: (answer.cpu_s * 1e5) / jobs,
    exact: answer.exact && (await allDone(redis, who, jobs, drop)),
  });

  // Filled by one process, worked on by another, whose memory is then that of a worker alone.
  const working = (who, mode, options) => async (server) => {
    const { redis, socket } = server;
    const { jobs } = options;
    const apart = mode === 'process' && who !== 'sidekiq';
    const bytes = await redisBytes(redis);
    if (apart) await fill(who, socket, options);
    const answer = await timed(who, mode, socket, apart ? { ...options, prefilled: true } : options, ofRedis(server, jobs));
    const kept = (((await redisBytes(redis)) - bytes) * 1e5) / jobs / 2 ** 20;
    return finished({ ...answer, redis_mb: kept }, who, redis, options);
  };

  // On a server of its own; the client itself takes all out again and says what was exact.
  const beanstalkd = (mode, options) => async () => {
    const server = await startBeanstalkd();
    try {
      const { jobs } = options;
      const answer = await timed('beanstalkd', mode, server.socket, options, async () => {
        const cpu = cpuOf(server.pid);
        return async () => ({ server_100k: ((cpuOf(server.pid) - cpu) * 1e5) / jobs });
      });
      return { ...answer, worker_100k: (answer.cpu_s * 1e5) / jobs };
    } finally {
      await server.stop();
    }
  };

  // Several worker processes on one queue, until all jobs are done. They start while it is
  // paused, so that none works before the last is there; from the first tenth on it counts.
  const together = (who, count, options) => async ({ redis, socket }) => {
    const { jobs } = options;
    const limit = Date.now() + limit_s * 1000;
    const until = async (what, reached) => {
      for (; !(await reached()); await soon(10)) {
        if (Date.now() > limit) throw new Error(`${who}: ${what}: not within ${limit_s} s; was a job lost?`);
      }
    };
    const producer = who === 'children' ? 'ox' : who;
    const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
    const queue = new Queue('bench', { connection });
    await queue.pause();
    await fill(producer, socket, options);
    const each = { warm: Math.ceil(warmth(jobs) / count), ...options };
    const workers = Array.from({ length: count }, () => begin(who, 'serve', socket, each));
    try {
      if (who !== 'children') await Promise.all(workers.map((worker) => worker.ready));
      for (const worker of workers) worker.go();
      await until('sleeping workers', async () => (await sleepers(redis)) >= count);
      if (options.ahead > 0) await soon(1500); // it takes nothing ahead in its first second
      await queue.resume();
      const past = async (wanted) => {
        let found = 0;
        await until('all done', async () => (found = await redis.zcard('bull:bench:completed')) >= wanted);
        return { at: performance.now(), count: found };
      };
      const first = await past(jobs / 10);
      const last = await past(jobs);
      const seconds = (last.at - first.at) / 1000;
      for (const worker of workers) worker.child.kill('SIGTERM');
      await Promise.all(workers.map((worker) => worker.answer));
      const exact = await allDone(redis, producer, jobs);
      return { seconds, per_s: (last.count - first.count) / seconds, exact };
    } finally {
      for (const worker of workers) worker.child.kill('SIGKILL');
      await queue.close();
      connection.disconnect();
    }
  };

  // On a queue that `make` has made large. What else is in it stays, so the worker alone says
  // what ran.
  const grown = (make, options) => async (server) => {
    const { socket, redis } = server;
    await make(server, (jobs) => fill('ox', socket, { ...options, jobs }));
    if (!(await redis.exists('bull:bench:wait'))) await fill('ox', socket, options);
    return timed('ox', 'process', socket, { ...options, prefilled: true });
  };

  return { adding, working, beanstalkd, together, grown };
};
