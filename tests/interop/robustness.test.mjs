/*
 * robustness.test.mjs - items 66 to 69: odd values, the dashboard, mixed majors, a script
 * cache that is emptied under load. (65, the mixed fleet, is fleet.test.mjs.)
 */
import { openBoard } from './support/board.mjs';
import { assert, inTime, item, json, selfCheck } from './support/suite.mjs';
import { pause, waitFor } from './support/wait.mjs';

/* QueueEvents of both majors, with what they said. */
async function listen(ctx) {
    const events = await ctx.N.events(ctx.q);
    const seen = [];
    for (const name of ['completed', 'failed', 'progress'])
        events.on(name, (event) => seen.push({ name, ...event }));
    const of = (id, name) => seen.filter((e) => e.jobId === id && e.name === name);
    return { events, seen, of };
}

/* The reader still reads: a job that ends now is heard of. */
async function assertAlive(ctx, listener, worker) {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('last', { do: 'return', value: 'alive' });
    await waitFor(() => listener.of(id, 'completed').length === 1, 'QueueEvents to hear more');
    assert.equal(listener.of(id, 'completed')[0].returnvalue, 'alive');
    assert.deepEqual(ctx.N.errors, []);
    assert.ok(!worker.gone);
}

const odd = ['', ' ', 'null', '"', '{', '\u2028', '\\', 'line\nline', '\u0000',
    '🚗'.repeat(1000)];

item(66, 'worker', 'QueueEvents lives through odd values, reasons, progress and logs', {},
    async (ctx) => {
        const listener = await listen(ctx);
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker({ concurrency: 4 });
        const values = [...odd, 0, -0.5, 1e300, [], {}, [[null]], { '': { '\n': 1 } }];
        const jobs = await queue.addBulk(values.map((value) => ({ name: 'odd', data: { steps: [
            { do: 'progress', value }, { do: 'return', value }] } })));
        const reasons = odd.filter((text) => !text.includes('\u0000'));
        const failing = await queue.addBulk(reasons.map((reason) => ({ name: 'odd',
            data: { steps: [{ do: 'log', row: reason }, { do: 'fail', reason }] } })));
        await ctx.untilCount('completed', values.length);
        await ctx.untilCount('failed', reasons.length);
        for (const [i, job] of jobs.entries()) {
            await waitFor(() => listener.of(job.id, 'completed').length === 1, `job ${job.id}`);
            assert.deepEqual(listener.of(job.id, 'completed')[0].returnvalue, values[i]);
            assert.deepEqual(listener.of(job.id, 'progress')[0].data, values[i]);
        }
        for (const [i, job] of failing.entries()) {
            await waitFor(() => listener.of(job.id, 'failed').length === 1, `job ${job.id}`);
            assert.equal(listener.of(job.id, 'failed')[0].failedReason, reasons[i]);
            assert.deepEqual((await queue.getJobLogs(job.id)).logs, [reasons[i]]);
        }
        await assertAlive(ctx, listener, worker);
    });

item(66, 'worker', 'a return value or progress that is no JSON is never written',
    { differs: 'a Node processor cannot return such text' }, async (ctx) => {
        const listener = await listen(ctx);
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker();
        for (const text of ['', '{', 'no json', '{"a":1}x', '[1,]', 'NaN', '\u0000', '"\n"'])
            await queue.add('odd', { steps: [{ do: 'progress', text }, { do: 'return', text }] });
        await ctx.untilCount('failed', 8);
        for (const event of await ctx.events())
            for (const field of ['returnvalue', 'data'])
                if (event[field] !== undefined) json(event[field]);
        assert.deepEqual(listener.seen.filter((e) => e.name === 'progress'), []);
        assert.match((await ctx.hash('2')).failedReason, /JSON/);
        await assertAlive(ctx, listener, worker);
    });

item(66, 'operator', 'data and progress that are no JSON are refused, nothing is written', {},
    async (ctx) => {
        if (selfCheck) return; /* the agent would have to parse the text itself */
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('job', { good: true });
        const before = [await ctx.hash('1'), await ctx.events()];
        for (const text of ['{', 'x', '{"a":1}}', '\u0000', '[1,2'])
            for (const op of ['add', 'update_data', 'update_progress'])
                await assert.rejects(
                    ctx.ox.call(op, { queue: ctx.q, job: '1', name: 'bad', text }),
                    { code: 'EINVAL' }, `${op} ${text}`);
        assert.deepEqual([await ctx.hash('1'), await ctx.events()], before);
        assert.deepEqual(await ctx.wait(), ['1']);
    });

/* Jobs as no producer should write them, put into `wait` by hand. */
async function plant(ctx, id, fields) {
    await ctx.redis.hset(ctx.key(id), { name: id, data: '{}', opts: '{}', timestamp: Date.now(),
        delay: 0, priority: 0, ...fields });
    await ctx.redis.lpush(ctx.key('wait'), id);
    await ctx.redis.zadd(ctx.key('marker'), 0, '0');
}

item(66, 'worker', 'broken options, fractions and missing fields stop nothing and no one',
    { differs: 'its worker leaves a job with broken options active' }, async (ctx) => {
        const listener = await listen(ctx);
        const worker = await ctx.oxWorker();
        await plant(ctx, 'bad-opts', { opts: '{"attempts":' });
        await plant(ctx, 'opts-no-object', { opts: '[1]' });
        await plant(ctx, 'fractions', { timestamp: '1700000000000.75', delay: '0.5' });
        await plant(ctx, 'huge', { timestamp: '1e300', priority: '99999999999999999999' });
        await plant(ctx, 'odd-opts', { opts: '{"attempts":1e300,"backoff":"x","removeOnComplete":' +
            '{"count":-5,"age":"y"},"keepLogs":-1,"own":[1]}' });
        await ctx.redis.hset(ctx.key('bare'), 'name', 'bare');
        await ctx.redis.lpush(ctx.key('wait'), 'bare');
        await ctx.redis.zadd(ctx.key('marker'), 0, '0');
        await waitFor(async () => (await ctx.redis.zcard(ctx.key('completed'))) +
            (await ctx.redis.zcard(ctx.key('failed'))) === 6, 'six ends');
        await ctx.assertQuiet();
        for (const id of ['fractions', 'huge', 'bare'])
            assert.ok(await ctx.redis.zscore(ctx.key('completed'), id), id);
        await assertAlive(ctx, listener, worker);
    });

/* Each state of BullMQ's, and what it keeps beside: a worker that looks for jobs without a state
 * takes none of it for one, and finds the one that was lost. */
item(66, 'worker', 'a job in no state waits again, and nothing else is touched',
    { differs: 'it never looks for such jobs' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const flows = ctx.N.flows();
        await queue.add('done', {}, { removeOnComplete: false });
        const worker = await ctx.oxWorker({ metrics_points: 5, stalled_interval_ms: 50 });
        await ctx.untilCount('completed', 1);
        await queue.add('bad', { do: 'fail', reason: 'x' });
        await ctx.untilCount('failed', 1);
        await queue.add('gone', {}, { removeOnComplete: true });
        await ctx.untilEvent((e) => e.event === 'completed' && e.jobId === '3');
        await queue.add('held', { do: 'hold' });
        await waitFor(async () => (await ctx.active()).length === 1, 'a job that runs');
        await queue.addBulk([{ name: 'waits', data: {} },
            { name: 'delayed', data: {}, opts: { delay: 3600000 } },
            { name: 'ranked', data: {}, opts: { priority: 7 } }]);
        await flows.add({ name: 'parent', queueName: ctx.q, children: [
            { name: 'child', queueName: ctx.q, opts: { delay: 3600000 } }] });
        await queue.upsertJobScheduler('s', { every: 3600000 }, { name: 'tick' });
        await queue.add('dedup', {}, { delay: 3600000, deduplication: { id: 'd' } });
        const state = async () => {
            const keys = (await ctx.redis.keys(`${ctx.base}*`)).sort();
            const kept = keys.filter((key) => !/:(lock|stalled|stalled-check|events|marker)$/.test(key));
            const ids = kept.filter((key) => !key.slice(ctx.base.length).includes(':'));
            return [kept, await queue.getJobCounts(),
                await Promise.all(ids.map((key) => ctx.redis.dump(key)))];
        };
        const before = await state();
        await plant(ctx, 'lost', { opts: '{}' });
        await ctx.redis.lrem(ctx.key('wait'), 1, 'lost');
        await waitFor(async () => (await ctx.wait()).includes('lost'), 'the lost job to wait', 20000);
        await ctx.redis.lrem(ctx.key('wait'), 1, 'lost');
        await ctx.redis.del(ctx.key('lost'));
        assert.deepEqual(await state(), before);
        assert.ok(!worker.gone);
    });

item(66, 'worker', 'an unknown backoff fails the job with a clear reason',
    { differs: 'it leaves the job active' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'fail', reason: 'first' },
            { attempts: 3, backoff: { type: 'fibonacci', delay: 5 } });
        await ctx.oxWorker();
        await ctx.untilCount('failed', 1);
        const { failedReason } = await ctx.hash(id);
        assert.match(failedReason, /fibonacci/);
        await ctx.assertQuiet();
    });

item(66, 'worker', 'a custom backoff is asked for the wait', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('job', { starts: [[{ do: 'fail', reason: 'x' }], []] },
        { attempts: 2, backoff: { type: 'custom' } });
    await ctx.oxWorker({ custom_backoff_ms: 150 });
    await ctx.untilCount('completed', 1);
    const delayed = (await ctx.events((e) => e.event === 'delayed' && e.jobId === id))[0];
    const wait = Number(delayed.delay) - delayed.ms;
    assert.ok(wait <= 150, `put off by ${wait} ms`);
    inTime(150 - wait, 40, 'from the decision to the event');
});

item(66, 'operator', 'Ox reads the events that BullMQ writes', {}, async (ctx) => {
    const reader = await ctx.agent('ox');
    await reader.call('events_open', { queue: ctx.q, from: '0' });
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('job', { steps: [{ do: 'progress', value: { half: 1 } },
        { do: 'return', value: 7 }] });
    await ctx.N.worker(ctx.q);
    const seen = [];
    while (seen.at(-1)?.[0] !== 'drained')
        seen.push(await reader.call('events_next', { timeout_ms: 10000 }));
    assert.deepEqual(seen, [
        ['added', id, 'name', 'job'],
        ['waiting', id],
        ['active', id, 'prev', 'waiting'],
        ['progress', id, 'data', '{"half":1}'],
        ['completed', id, 'returnvalue', '7', 'prev', 'active'],
        ['drained', null],
    ]);
    assert.equal(await reader.call('events_next', { timeout_ms: 50 }), null);
});

/* ---- bull-board -------------------------------------------------------------------------- */

/* All states, made by Ox as producer, worker and operator. */
async function fillByOx(ctx) {
    const { ox, q } = ctx;
    const worker = await ctx.oxWorker({ name: 'board', metrics_points: 10 });
    await ox.add(q, 'good', { steps: [{ do: 'log', row: 'a row' }, { do: 'progress', value: 42 },
        { do: 'return', value: { a: [1] } }] });
    await ox.add(q, 'bad', { do: 'fail', reason: 'broken', stack: 'broken\n  at here' });
    await ctx.untilCount('completed', 1);
    await ctx.untilCount('failed', 1);
    await ox.add(q, 'active', { do: 'hold' }, { deduplication: { id: 'd' } });
    await waitFor(() => worker.starts('3').length === 1, 'the held one');
    await ox.add(q, 'waiting', { big: 'x'.repeat(5000) }, { attempts: 3, backoff: 100 });
    await ox.add(q, 'delayed', {}, { delay: 600000 });
    await ox.add(q, 'prioritized', {}, { priority: 7 });
    await ox.call('flow', { flow: { name: 'parent', queueName: q, opts: { jobId: 'p' },
        children: [{ name: 'child', queueName: q, opts: { jobId: 'c' } }] } });
    await ox.call('scheduler_set', { queue: q, scheduler: 's', name: 'tick',
        schedule: { pattern: '0 3 * * *', tz: 'Europe/Berlin' } });
    await ox.call('set_concurrency', { queue: q, max: 10 });
    return worker;
}

item(67, 'operator', 'bull-board lists every state, job, log, flow and scheduler without error',
    {}, async (ctx) => {
        const worker = await fillByOx(ctx);
        const queue = await ctx.N.queue(ctx.q);
        const ask = openBoard([queue]);
        const params = { queueName: ctx.q };
        const list = async (status) => (await ask('get', '/api/queues', { query: {
            activeQueue: ctx.q, status, page: '1', jobsPerPage: '10' } })).queues[0];
        const expected = { completed: ['1'], failed: ['2'], active: ['3'], waiting: ['4', 'c'],
            prioritized: ['6'], 'waiting-children': ['p'] };
        for (const [status, ids] of Object.entries(expected)) {
            const { jobs } = await list(status);
            assert.deepEqual(jobs.map((job) => job.id).sort(), ids, status);
        }
        const all = await list('latest');
        assert.equal(all.counts.delayed, 2);
        assert.equal(all.jobs.length, 9);
        assert.equal(all.globalConcurrency, 10);
        assert.equal(all.jobSchedulerCount, 1);
        assert.equal(all.hasWorkers, true);
        for (const job of all.jobs)
            await ask('get', '/api/queues/:queueName/:jobId',
                { params: { ...params, jobId: job.id } });
        const bad = (await list('failed')).jobs[0];
        assert.equal(bad.failedReason, 'broken');
        assert.match(bad.stacktrace[0], /at here/);
        const logs = await ask('get', '/api/queues/:queueName/:jobId/logs',
            { params: { ...params, jobId: '1' } });
        assert.deepEqual(logs, ['a row']);
        const flow = await ask('get', '/api/queues/:queueName/:jobId/flow',
            { params: { ...params, jobId: 'p' } });
        assert.match(JSON.stringify(flow), /"c"/);
        const schedulers = await ask('get', '/api/job-schedulers', { query: {} });
        assert.match(JSON.stringify(schedulers), /Europe\/Berlin/);
        await ask('get', '/api/queues/:queueName/metrics', { params });
        const workers = await ask('get', '/api/queues/:queueName/workers', { params });
        assert.match(JSON.stringify(workers), /board/);
        await ask('get', '/api/redis/stats');
        /* and what it changes, works */
        await ask('put', '/api/queues/:queueName/retry/:queueStatus',
            { params: { ...params, queueStatus: 'failed' } });
        await ask('put', '/api/queues/:queueName/promote', { params });
        await worker.go();
        await waitFor(async () => (await ctx.redis.zcard(ctx.key('completed'))) >= 6, 'the rest');
    });

/* ---- mixed majors, lost scripts ---------------------------------------------------------- */

/* Does `turn` over and over while `body` runs; gives how often. */
async function meanwhile(turn, body) {
    let going = true;
    let turns = 0;
    const turning = (async () => {
        for (; going; turns++) await turn(turns);
    })();
    turning.catch(() => {}); /* told below, when body is done */
    try {
        await body();
    } finally {
        going = false;
        await turning;
    }
    return turns;
}

item(68, 'operator', 'legacy_pause: 5.x pauses and resumes amid adds of Ox, no id is lost',
    { versions: ['5.81.5'], differs: '6.x has no such mode' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const added = [];
        const turns = await meanwhile((n) => (n % 2 ? queue.resume() : queue.pause()),
            async () => {
                for (let n = 0; n < 400; n++)
                    added.push(await ctx.ox.add(ctx.q, 'job', { n }, {}, { legacy_pause: true }));
            });
        assert.ok(turns > 10, `${turns} turns`);
        await queue.resume();
        const listed = [...await ctx.wait(), ...await ctx.redis.lrange(ctx.key('paused'), 0, -1)];
        assert.deepEqual(listed.sort(), [...added].sort());
        await ctx.N.worker(ctx.q, { concurrency: 20 });
        await ctx.untilCount('completed', 400);
    });

item(68, 'operator', 'legacy_pause: Ox pauses and resumes amid adds of 5.x, no id is lost',
    { versions: ['5.81.5'], differs: '6.x has no such mode' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const turner = await ctx.agent('ox');
        const more = { queue: ctx.q, legacy_pause: true };
        const added = [];
        const turns = await meanwhile((n) => turner.call(n % 2 ? 'resume' : 'pause', more),
            async () => {
                for (let n = 0; n < 400; n++) added.push((await queue.add('job', { n })).id);
            });
        assert.ok(turns > 10, `${turns} turns`);
        await turner.call('pause', more);
        assert.deepEqual(await ctx.wait(), []);
        assert.equal(await ctx.redis.llen(ctx.key('paused')), 400);
        assert.equal((await ctx.ox.call('counts', more)).paused, 400);
        await turner.call('resume', more);
        assert.deepEqual((await ctx.wait()).sort(), [...added].sort());
        assert.equal(await ctx.redis.exists(ctx.key('paused')), 0);
        await ctx.oxWorker({ concurrency: 20 });
        await ctx.untilCount('completed', 400);
    });

item(68, 'operator', 'a list that 5.x left behind is seen, and merged by resume', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.addBulk([1, 2, 3].map((n) => ({ name: 'job', data: { n } })));
        await ctx.redis.rename(ctx.key('wait'), ctx.key('paused'));
        await ctx.ox.add(ctx.q, 'job', { n: 4 });
        if (!selfCheck) {
            const info = await ctx.ox.call('info', { queue: ctx.q });
            assert.equal(info.stray_paused_list, true);
        }
        await ctx.ox.call('resume', { queue: ctx.q });
        assert.equal(await ctx.redis.exists(ctx.key('paused')), 0);
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 4);
    });


item(69, 'worker', 'SCRIPT FLUSH during load: nothing fails, nothing is lost',
    { differs: 'its pipelines fail with NOSCRIPT' }, async (ctx) => {
        const worker = await ctx.oxWorker({ concurrency: 8 });
        const adder = await ctx.agent('ox');
        const flush = async () => {
            await ctx.redis.script('FLUSH');
            await pause(2);
        };
        const flushes = await meanwhile(flush, async () => {
            for (let n = 0; n < 40; n++) {
                const jobs = Array.from({ length: 20 }, () => ({ name: 'job', data: { n } }));
                await adder.call('add_bulk', { queue: ctx.q, jobs });
                await adder.add(ctx.q, 'late', {}, { delay: 1 });
            }
            await ctx.untilCount('completed', 840, 20000);
        });
        assert.ok(flushes > 10, `${flushes} flushes`);
        assert.deepEqual(worker.errors(), []);
        assert.equal(worker.starts().length, 840);
        assert.deepEqual(await ctx.redis.zcard(ctx.key('failed')), 0);
        await ctx.assertQuiet();
    });
