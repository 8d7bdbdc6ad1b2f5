// What a server says of a run: the time it spent, and whether every job is where it belongs.

// Time inside a command that waits is waiting, not work.
const WAITING = /^(bzpopmin|brpop|blpop|brpoplpush|blmove|xread)$/;
const OURS = /^(config|info|ping|client|hello|select|flushall|script|subscribe|dbsize)/;

// Microseconds in scripts, those of them in commands, and how many commands.
export const commandTimes = async (redis) => {
  const times = { scripts: 0, inside: 0, calls: 0 };
  const text = await redis.info('commandstats');
  for (const [, name, count, usec] of text.matchAll(/cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g)) {
    if (/^f?(eval|call)/.test(name)) times.scripts += Number(usec);
    else if (!OURS.test(name) && !WAITING.test(name)) {
      times.inside += Number(usec);
      times.calls += Number(count);
    }
  }
  return times;
};

const number = async (redis, section, pattern) => {
  const text = await redis.info(section);
  return [...text.matchAll(pattern)].reduce((sum, m) => sum + Number(m[1]), 0);
};
export const redisCpu = (redis) => number(redis, 'cpu', /used_cpu_(?:sys|user):([\d.]+)/g);
export const redisBytes = (redis) => number(redis, 'memory', /used_memory:(\d+)/g);
export const sleepers = (redis) => number(redis, 'clients', /blocked_clients:(\d+)/g);

// Empties the server; with AOF, its file as well, which would else grow from run to run.
export const empty = async (redis, soon) => {
  await redis.flushall();
  await redis.config('RESETSTAT');
  if (/aof_enabled:0/.test(await redis.info('persistence'))) return;
  await redis.bgrewriteaof();
  const busy = /aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/;
  while (busy.test(await redis.info('persistence'))) await soon(10);
};

// ---- exactness -----------------------------------------------------------------------------

// The numbers of the jobs that wait: in a list, as ids of hashes, or as fields of one hash.
const NUMBERS = `
local numbers = {}
for i, item in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
    local data = item
    if ARGV[3] == 'keys' then data = redis.call('HGET', KEYS[2] .. item, 'data') end
    if ARGV[3] == 'fields' then data = redis.call('HGET', KEYS[2], item) end
    numbers[i] = tonumber(string.match(data or '', '"n":(%d+)') or -1)
end
return numbers`;
const waiting = {
  ox: ['bull:bench:wait', 'bull:bench:', 'keys'],
  bullmq: ['bull:bench:wait', 'bull:bench:', 'keys'],
  bee: ['bq:bench:waiting', 'bq:bench:jobs', 'fields'],
  sidekiq: ['queue:bench', 'queue:bench', 'list'],
};

// After adding: every number waits, once.
export const allWait = async (redis, who, jobs) => {
  const [list, from, how] = waiting[who];
  if ((await redis.llen(list)) !== jobs) return false;
  const seen = new Uint8Array(jobs);
  for (let i = 0; i < jobs; i += 1000) {
    for (const n of await redis.eval(NUMBERS, 2, list, from, i, i + 999, how)) seen[n] += 1;
  }
  return seen.every((times) => times === 1);
};

const NOT_ONCE = `
local bad = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1] .. 'completed', ARGV[1], ARGV[2])) do
    if redis.call('HGET', KEYS[1] .. id, 'ats') ~= '1' then bad = bad + 1 end
end
return bad`;

const none = async (redis, base, lists, sets) => {
  const counts = await Promise.all([...lists.map((k) => redis.llen(base + k)), ...sets.map((k) => redis.zcard(base + k))]);
  return counts.every((count) => count === 0);
};

// Kept jobs are in `completed`, started once each; dropped ones are gone. Nothing else is left.
const bullDone = async (redis, jobs, drop) => {
  const base = 'bull:bench:';
  if (!(await none(redis, base, ['wait', 'active'], ['failed', 'delayed', 'prioritized']))) return false;
  if ((await redis.zcard(`${base}completed`)) !== (drop ? 0 : jobs)) return false;
  if (drop) return (await redis.exists(`${base}1`, `${base}${jobs}`)) === 0;
  for (let i = 0; i < jobs; i += 1000) {
    if ((await redis.eval(NOT_ONCE, 1, base, i, i + 999)) !== 0) return false;
  }
  return true;
};
const done = {
  ox: bullDone,
  bullmq: bullDone,
  bee: async (redis, jobs, drop) =>
    (await none(redis, 'bq:bench:', ['waiting', 'active'], [])) &&
    (await redis.scard('bq:bench:succeeded')) === (drop ? 0 : jobs),
  sidekiq: async (redis) => none(redis, '', ['queue:bench', 'queue:held'], ['retry', 'dead']),
};

// After working: every job is where finished ones belong.
export const allDone = (redis, who, jobs, drop = false) => done[who](redis, jobs, drop);
