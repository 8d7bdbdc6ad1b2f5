/*
 * schedulers.test.mjs - items 61, 63 and 64: job schedulers. (62, the times of cron patterns,
 * is cron_parity.mjs.)
 */
import { assert, inTime, item, json } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const delayedIds = (ctx) => ctx.redis.zrange(ctx.key('delayed'), 0, -1);
const iterationOf = (id) => Number(id.split(':')[2]);

/* The jobs of scheduler s: all have its name and data, and were made one `every` apart. */
async function assertIterations(ctx, ids, every) {
    const times = ids.map(iterationOf);
    times.slice(1).forEach((ms, i) => assert.equal(ms - times[i], every, `${times}`));
    for (const [i, id] of ids.entries()) {
        const hash = await ctx.hash(id);
        assert.equal(hash.name, 'tick');
        assert.deepEqual(json(hash.data), { from: 'template' });
        assert.equal(hash.rjk, 's');
        const opts = json(hash.opts);
        assert.equal(opts.jobId, id);
        assert.equal(opts.repeatJobKey, 's');
        assert.equal(opts.repeat.every, every);
        assert.equal(opts.repeat.count, i + 1);
        assert.equal(opts.attempts, 2);
    }
}

const template = { name: 'tick', data: { from: 'template' }, opts: { attempts: 2 } };

async function assertEvery(ctx, upsert) {
    const first = await upsert({ every: 1000 });
    const worker = await ctx.oxWorker();
    await ctx.untilEvent((e) => e.event === 'completed', 'the first run');
    await waitFor(() => worker.starts().length === 5, 'five runs', 20000);
    await ctx.untilCount('completed', 5);
    const done = await ctx.redis.zrange(ctx.key('completed'), 0, -1);
    assert.equal(done[0], first);
    await assertIterations(ctx, done, 1000);
    assert.equal(await ctx.redis.hget(ctx.key('repeat:s'), 'ic'), '6');
    const pending = await delayedIds(ctx);
    assert.equal(pending.length, 1);
    assert.equal(iterationOf(pending[0]), iterationOf(done[4]) + 1000);
    assert.equal(await ctx.redis.zscore(ctx.key('repeat'), 's'), pending[0].split(':')[2]);
    /* the first was due before there was a worker */
    for (const start of worker.starts().slice(1)) {
        const late = start.at - iterationOf(start.job);
        assert.ok(late >= 0, `early: ${late} ms`);
        inTime(late, 200, 'lateness');
    }
}

item(61, 'worker', 'an every-1000 scheduler of BullMQ run by Ox alone: five runs, one pending',
    {}, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await assertEvery(ctx, async (repeat) =>
            (await queue.upsertJobScheduler('s', repeat, template)).id);
    });

item(61, 'operator', 'a scheduler of Ox run by BullMQ alone: the same', {}, async (ctx) => {
    const first = await ctx.ox.call('scheduler_set', { queue: ctx.q, scheduler: 's',
        schedule: { every: 300 }, ...template });
    await ctx.N.worker(ctx.q);
    await waitFor(async () => (await ctx.redis.zcard(ctx.key('completed'))) >= 5, 'five runs');
    const done = await ctx.redis.zrange(ctx.key('completed'), 0, 4);
    assert.equal(done[0], first);
    await assertIterations(ctx, done, 300);
});

item(61, 'worker', 'a job that is retried does not make its next iteration twice', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.upsertJobScheduler('s', { every: 3600000 }, { name: 'tick',
            data: { starts: [[{ do: 'fail', reason: 'once' }], []] }, opts: { attempts: 2 } });
        const worker = await ctx.oxWorker();
        await ctx.untilCount('completed', 1);
        assert.equal(worker.starts().length, 2);
        assert.equal((await delayedIds(ctx)).length, 1);
        assert.equal(await ctx.redis.hget(ctx.key('repeat:s'), 'ic'), '2');
    });

item(61, 'worker', 'a next time that is taken does not end the schedule',
    { differs: 'its schedule stops' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker();
        await worker.call('worker_pause', { worker: worker.worker });
        const first = await queue.upsertJobScheduler('s', { every: 300 }, template);
        const taken = `repeat:s:${iterationOf(first.id) + 300}`;
        await ctx.redis.hset(ctx.key(taken), 'name', 'in the way');
        await worker.call('worker_resume', { worker: worker.worker });
        await waitFor(() => worker.starts().length >= 3, 'three runs');
        const times = worker.starts().map((start) => iterationOf(start.job) -
            iterationOf(first.id));
        assert.deepEqual(times.slice(0, 3), [0, 600, 900]);
    });

item(61, 'worker', 'a cron scheduler of BullMQ goes on in an Ox worker', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const repeat = { pattern: '* * * * * *', tz: 'Europe/Berlin' };
    await queue.upsertJobScheduler('s', repeat, template);
    await ctx.oxWorker();
    await waitFor(async () => (await ctx.redis.zcard(ctx.key('completed'))) >= 3, 'three runs');
    const times = (await ctx.redis.zrange(ctx.key('completed'), 0, 2)).map(iterationOf);
    assert.deepEqual(times.map((ms) => ms % 1000), [0, 0, 0]);
    assert.deepEqual([times[1] - times[0], times[2] - times[1]], [1000, 1000]);
    const [pending] = await delayedIds(ctx);
    const opts = json((await ctx.hash(pending)).opts);
    assert.equal(opts.repeat.pattern, repeat.pattern);
    assert.equal(opts.repeat.tz, repeat.tz);
    assert.equal(opts.prevMillis, iterationOf(pending));
});

item(63, 'worker',
    'limit 2: two runs, nothing pending, the template stays', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.upsertJobScheduler('s', { every: 100, limit: 2 }, template);
    const worker = await ctx.oxWorker();
    await ctx.untilCount('completed', 2);
    assert.deepEqual(await delayedIds(ctx), []);
    assert.deepEqual(await ctx.wait(), []);
    assert.equal(await ctx.redis.exists(ctx.key('repeat:s')), 1);
    const [last] = await ctx.redis.zrevrange(ctx.key('completed'), 0, 0);
    await waitFor(() => Date.now() > iterationOf(last) + 150, 'the time of a third');
    assert.equal(worker.starts().length, 2);
    assert.deepEqual(await delayedIds(ctx), []);
});

item(63, 'worker', 'an end date passed: no further run', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const worker = await ctx.oxWorker();
    const endDate = Date.now() + 250;
    await queue.upsertJobScheduler('s', { every: 100, endDate }, template);
    await waitFor(async () => Date.now() > endDate + 300 && (await delayedIds(ctx)).length === 0,
        'the end of the schedule');
    const runs = worker.starts().length;
    assert.ok(runs >= 2 && runs <= 4, `${runs} runs`);
    assert.equal(await ctx.redis.exists(ctx.key('repeat:s')), 1);
});

item(64, 'operator', 'a scheduler of Ox is listed by BullMQ, and removed with its job', {},
    async (ctx) => {
        const before = Date.now();
        const schedule = { pattern: '0 15 3 * * *', tz: 'Europe/Berlin', limit: 7,
            endDate: before + 864000000 };
        const id = await ctx.ox.call('scheduler_set',
            { queue: ctx.q, scheduler: 's', schedule, ...template });
        const queue = await ctx.N.queue(ctx.q);
        /* the measure: the same from BullMQ */
        const theirs = await queue.upsertJobScheduler('t', schedule, template);
        const [ours, other] = await Promise.all(['s', 't'].map((s) => queue.getJobScheduler(s)));
        /* BullMQ writes an offset of 0 where there is none */
        assert.deepEqual({ offset: 0, ...ours, key: 't' }, other);
        assert.equal((await queue.getJobSchedulers()).length, 2);
        assert.equal(iterationOf(id), iterationOf(theirs.id));
        const [mine, its] = [await ctx.hash(id), await ctx.hash(theirs.id)];
        const plain = (hash) => ({ ...json(hash.opts), jobId: 0, repeatJobKey: 0, timestamp: 0,
            delay: 0 });
        assert.deepEqual(plain(mine), plain(its));
        assert.equal(mine.data, its.data);
        assert.equal(await queue.removeJobScheduler('s'), true);
        assert.deepEqual(await delayedIds(ctx), [theirs.id]);
        assert.equal(await ctx.redis.exists(ctx.key(id), ctx.key('repeat:s')), 0);
    });

item(64, 'operator', 'a scheduler of BullMQ is listed, changed and removed by Ox', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const job = await queue.upsertJobScheduler('s', { every: 60000, offset: 1000 }, template);
        const [seen] = await ctx.ox.call('schedulers', { queue: ctx.q });
        assert.equal(seen.id, 's');
        assert.equal(Number(seen.every), 60000);
        assert.equal(Number(seen.offset), 1000);
        assert.equal(Number(seen.next), iterationOf(job.id));
        /* the same again keeps the time; another period takes a new one */
        const same = await ctx.ox.call('scheduler_set', { queue: ctx.q, scheduler: 's',
            schedule: { every: 60000, offset: 1000 }, ...template });
        assert.equal(same, job.id);
        assert.equal((await delayedIds(ctx)).length, 1);
        const other = await ctx.ox.call('scheduler_set', { queue: ctx.q, scheduler: 's',
            schedule: { every: 3600000, offset: 1000 }, ...template });
        assert.notEqual(other, job.id);
        assert.deepEqual(await delayedIds(ctx), [other]);
        assert.equal(await ctx.ox.call('scheduler_remove', { queue: ctx.q, scheduler: 's' }), 1);
        assert.equal(await ctx.ox.call('scheduler_remove', { queue: ctx.q, scheduler: 's' }), 0);
        assert.deepEqual(await queue.getJobSchedulers(), []);
        assert.equal((await delayedIds(ctx)).length + (await ctx.wait()).length, 0);
    });

item(64, 'operator', 'a re-upsert while the queue is paused leaves one job, not two',
    { differs: 'it looks for the waiting one in the wrong list' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const set = () => ctx.ox.call('scheduler_set', { queue: ctx.q, scheduler: 's',
            schedule: { every: 5000 }, ...template });
        await set();
        await queue.pause();
        await set();
        assert.equal((await ctx.wait()).length + (await delayedIds(ctx)).length, 1);
    });
