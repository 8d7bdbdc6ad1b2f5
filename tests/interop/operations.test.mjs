/*
 * operations.test.mjs - items 46 to 57: what Ox does to a queue, seen by BullMQ, and the
 * reverse.
 */
import { assert, item, json, selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const dedup = (id, more = {}) => ({ deduplication: { id, ...more } });

async function deduplicated(ctx) {
    return (await ctx.events((e) => e.event === 'deduplicated')).map((e) => e.flat);
}

const holder = (ctx, id = 'd') => ctx.redis.get(ctx.key(`de:${id}`));

item(46, 'producer',
    'a deduplicated add gives the first id, an event, and is free after the end',
    {}, async (ctx) => {
        assert.equal(await ctx.ox.add(ctx.q, 'first', {}, dedup('d')), '1');
        assert.equal(await holder(ctx), '1');
        assert.equal((await ctx.hash('1')).deid, 'd');
        assert.equal(await ctx.ox.add(ctx.q, 'second', {}, dedup('d')), '1');
        assert.deepEqual(await deduplicated(ctx), [['event', 'deduplicated', 'jobId', '1',
            'deduplicationId', 'd', 'deduplicatedJobId', '2']]);
        assert.deepEqual(await ctx.wait(), ['1']);
        assert.equal(await ctx.redis.exists(ctx.key('2')), 0);
        const queue = await ctx.N.queue(ctx.q);
        assert.equal(await queue.getDeduplicationJobId('d'), '1');
        assert.equal((await queue.add('theirs', {}, dedup('d'))).id, '1');
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        assert.equal(await holder(ctx), null);
        assert.equal(await ctx.ox.add(ctx.q, 'again', {}, dedup('d')), '4');
    });

item(46, 'worker', 'the end of a job in an Ox worker frees what BullMQ deduplicated', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('good', {}, dedup('d'));
        await queue.add('bad', { do: 'fail', reason: 'x' }, dedup('e'));
        assert.equal(await ctx.ox.add(ctx.q, 'ours', {}, dedup('d')), '1');
        await ctx.oxWorker();
        await ctx.untilCount('completed', 1);
        await ctx.untilCount('failed', 1);
        assert.equal(await holder(ctx, 'd'), null);
        assert.equal(await holder(ctx, 'e'), null);
    });

item(46, 'operator', 'Ox frees a deduplication id', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('first', {}, dedup('d'));
    assert.equal(await ctx.ox.call('remove_dedup', { queue: ctx.q, dedup: 'd' }), 1);
    assert.equal(await ctx.ox.call('remove_dedup', { queue: ctx.q, dedup: 'd' }), 0);
    assert.equal((await queue.add('second', {}, dedup('d'))).id, '2');
});

item(47, 'producer', 'with a ttl it outlives the end and expires', {}, async (ctx) => {
    const opts = dedup('d', { ttl: 700 });
    await ctx.N.worker(ctx.q);
    await ctx.ox.add(ctx.q, 'first', {}, opts);
    const ttl = await ctx.redis.pttl(ctx.key('de:d'));
    assert.ok(ttl > 0 && ttl <= 700, `ttl ${ttl}`);
    await ctx.untilCount('completed', 1);
    assert.equal(await ctx.ox.add(ctx.q, 'second', {}, opts), '1');
    await waitFor(async () => (await holder(ctx)) === null, 'the ttl to end');
    assert.equal(await ctx.ox.add(ctx.q, 'third', {}, opts), '3');
});

item(47, 'producer', 'with extend, each dropped add starts the ttl anew', {}, async (ctx) => {
    const opts = dedup('d', { ttl: 60000, extend: true });
    await ctx.ox.add(ctx.q, 'first', {}, opts);
    await ctx.redis.pexpire(ctx.key('de:d'), 5000);
    assert.equal(await ctx.ox.add(ctx.q, 'second', {}, opts), '1');
    assert.ok((await ctx.redis.pttl(ctx.key('de:d'))) > 50000);
    /* and without it, not */
    const plain = dedup('e', { ttl: 60000 });
    await ctx.ox.add(ctx.q, 'first', {}, plain);
    await ctx.redis.pexpire(ctx.key('de:e'), 5000);
    await ctx.ox.add(ctx.q, 'second', {}, plain);
    assert.ok((await ctx.redis.pttl(ctx.key('de:e'))) <= 5000);
});

item(47, 'worker', 'a ttl key outlives the end in an Ox worker', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('first', {}, dedup('d', { ttl: 60000 }));
    await ctx.oxWorker();
    await ctx.untilCount('completed', 1);
    assert.equal(await holder(ctx), '1');
    assert.ok((await ctx.redis.pttl(ctx.key('de:d'))) > 50000);
});

item(48, 'producer',
    'debounce: only the last of three delayed adds runs, the others are removed',
    {}, async (ctx) => {
        const opts = { delay: 400, ...dedup('d', { ttl: 5000, extend: true, replace: true }) };
        const worker = await ctx.N.worker(ctx.q);
        const ids = [];
        for (const n of [1, 2, 3]) ids.push(await ctx.ox.add(ctx.q, 'job', { n }, opts));
        assert.deepEqual(ids, ['1', '2', '3']);
        assert.equal(await holder(ctx), '3');
        assert.deepEqual(await ctx.redis.zrange(ctx.key('delayed'), 0, -1), ['3']);
        assert.equal(await ctx.redis.exists(ctx.key('1'), ctx.key('2')), 0);
        assert.deepEqual((await ctx.events((e) => e.event === 'removed')).map((e) => e.flat), [
            ['event', 'removed', 'jobId', '1', 'prev', 'delayed'],
            ['event', 'removed', 'jobId', '2', 'prev', 'delayed'],
        ]);
        assert.deepEqual((await deduplicated(ctx))[0], ['event', 'deduplicated', 'jobId', '2',
            'deduplicationId', 'd', 'deduplicatedJobId', '1']);
        await ctx.untilCount('completed', 1);
        assert.deepEqual(worker.started.map((start) => start.job), ['3']);
        assert.deepEqual(json((await ctx.hash('3')).data), { n: 3 });
    });

item(48, 'producer', 'reschedule moves the delayed job to the time of the last add', {},
    async (ctx) => {
        const opts = (delay) => ({ delay, ...dedup('d', { reschedule: true }) });
        await ctx.ox.add(ctx.q, 'job', { n: 1 }, opts(60000));
        const again = await ctx.ox.add(ctx.q, 'job', { n: 2 },
            { ...opts(90000), timestamp: 1700000000000 });
        assert.equal(again, '1');
        assert.equal(Number(await ctx.redis.zscore(ctx.key('delayed'), '1')),
            (1700000000000 + 90000) * 4096);
        const hash = await ctx.hash('1');
        assert.equal(hash.delay, '90000');
        assert.deepEqual(json(hash.data), { n: 1 });
    });

item(48, 'worker', 'debounced by BullMQ: Ox runs the last alone', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const opts = { delay: 300, ...dedup('d', { ttl: 5000, extend: true, replace: true }) };
    const worker = await ctx.oxWorker();
    for (const n of [1, 2, 3]) await queue.add('job', { n }, opts);
    assert.equal(await ctx.ox.add(ctx.q, 'job', { n: 4 }, opts), '4');
    await ctx.untilCount('completed', 1);
    assert.deepEqual(worker.starts().map((start) => start.job), ['4']);
});

/* Adds while job 1 runs; `release` lets it end. The last data runs once more. */
async function assertKeepLast(ctx, add, starts, release) {
    const opts = dedup('d', { keepLastIfActive: true });
    await add({ steps: [{ do: 'hold' }] }, opts);
    await waitFor(() => starts().length === 1, 'the start');
    assert.equal(await add({ n: 2 }, opts), '1');
    assert.equal(await add({ n: 3 }, opts), '1');
    const next = await ctx.hash('dn:d');
    assert.deepEqual(json(next.data), { n: 3 });
    assert.equal(next.name, 'job');
    assert.equal(await ctx.redis.pttl(ctx.key('de:d')), -1);
    await release();
    await ctx.untilCount('completed', 2);
    assert.equal(starts().length, 2);
    const last = (await ctx.redis.zrange(ctx.key('completed'), 0, -1)).find((id) => id !== '1');
    assert.deepEqual(json((await ctx.hash(last)).data), { n: 3 });
    assert.equal(await ctx.redis.exists(ctx.key('dn:d'), ctx.key('de:d')), 0);
    /* the promised job is announced before the end of the first */
    const events = (await ctx.events()).map((e) => `${e.event} ${e.jobId}`);
    assert.ok(events.indexOf(`waiting ${last}`) < events.indexOf('completed 1'), `${events}`);
}

item(49, 'producer', 'keepLastIfActive: Ox adds while it runs, BullMQ runs the last once more',
    {}, async (ctx) => {
        const worker = await ctx.N.worker(ctx.q);
        await assertKeepLast(ctx, (data, opts) => ctx.ox.add(ctx.q, 'job', data, opts),
            () => worker.started, () => ctx.N.gates.go(''));
    });

item(49, 'worker', 'keepLastIfActive: BullMQ adds while it runs, Ox runs the last once more',
    {}, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker();
        await assertKeepLast(ctx, async (data, opts) => (await queue.add('job', data, opts)).id,
            () => worker.starts(), () => worker.go());
    });

item(50, 'operator', 'remove: the job goes, event removed with its state', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('waiting', {});
    await queue.add('delayed', {}, { delay: 60000 });
    await queue.add('prioritized', {}, { priority: 2 });
    const { id } = await queue.add('logged', {});
    await (await queue.getJob(id)).log('a row');
    for (const job of ['1', '2', '3', '4'])
        assert.equal(await ctx.ox.call('remove', { queue: ctx.q, job }), 1);
    assert.deepEqual((await ctx.events((e) => e.event === 'removed')).map((e) => e.flat), [
        ['event', 'removed', 'jobId', '1', 'prev', 'wait'],
        ['event', 'removed', 'jobId', '2', 'prev', 'delayed'],
        ['event', 'removed', 'jobId', '3', 'prev', 'prioritized'],
        ['event', 'removed', 'jobId', '4', 'prev', 'wait'],
    ]);
    assert.equal(await ctx.redis.exists(ctx.key('1'), ctx.key('2'), ctx.key('3'), ctx.key('4'),
        ctx.key('4:logs'), ctx.key('wait'), ctx.key('delayed'), ctx.key('prioritized')), 0);
    assert.equal(await queue.getJob('1'), undefined);
});

item(50, 'operator', 'remove refuses what runs and what a scheduler will run', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'hold' });
        await ctx.N.worker(ctx.q);
        await ctx.N.held();
        await assert.rejects(ctx.ox.call('remove', { queue: ctx.q, job: id }), { code: 'ELOCK' });
        assert.equal(await queue.getJobState(id), 'active');
        const job = await queue.upsertJobScheduler('s', { pattern: '0 0 1 1 *' }, {});
        await assert.rejects(ctx.ox.call('remove', { queue: ctx.q, job: job.id }),
            { code: 'ESCHEDULED' });
        assert.equal(await queue.getJobState(job.id), 'delayed');
    });

item(50, 'operator', 'a job that BullMQ removed is gone for Ox', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const id = await ctx.ox.add(ctx.q, 'job', {});
    await queue.remove(id);
    assert.equal(await ctx.ox.call('state', { queue: ctx.q, job: id }), 'unknown');
    await assert.rejects(ctx.ox.call('job', { queue: ctx.q, job: id }), { code: 'ENOTFOUND' });
});

item(50, 'operator', 'an unlocked job without a worker can be removed while active', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'hold' });
        const doomed = await ctx.oxWorker();
        await waitFor(() => doomed.starts(id).length === 1, 'the start');
        await doomed.kill();
        await ctx.redis.del(ctx.key(`${id}:lock`));
        assert.equal(await ctx.ox.call('remove', { queue: ctx.q, job: id }), 1);
        assert.deepEqual(await ctx.active(), []);
        assert.equal((await ctx.events()).at(-1).prev, 'active');
    });

item(51, 'operator', 'retry of a failed job: its end is wiped, it runs again', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { starts: [[{ do: 'fail', reason: 'x' }], []] });
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('failed', 1);
        await worker.pause();
        await ctx.ox.call('retry', { queue: ctx.q, job: id, state: 'failed' });
        const hash = await ctx.hash(id);
        assert.equal(hash.failedReason, undefined);
        assert.equal(hash.finishedOn, undefined);
        assert.equal(hash.processedOn, undefined);
        assert.equal(hash.atm, '1');
        assert.deepEqual(await ctx.wait(), [id]);
        assert.deepEqual((await ctx.events()).at(-1).flat,
            ['event', 'waiting', 'jobId', id, 'prev', 'failed']);
        worker.resume();
        await ctx.untilCount('completed', 1);
        await assert.rejects(ctx.ox.call('retry', { queue: ctx.q, job: id, state: 'failed' }),
            { code: 'ESTATE' });
        await assert.rejects(ctx.ox.call('retry', { queue: ctx.q, job: 'no', state: 'failed' }),
            { code: 'ENOTFOUND' });
        await worker.pause();
        await ctx.ox.call('retry',
            { queue: ctx.q, job: id, state: 'completed', reset_made: true, reset_started: true });
        const again = await ctx.hash(id);
        assert.equal(again.returnvalue, undefined);
        assert.equal(again.atm, undefined);
        assert.equal(again.ats, undefined);
    });

item(51, 'operator',
    'a job that BullMQ retried runs again in an Ox worker', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('job', { starts: [[{ do: 'fail', reason: 'x' }], []] });
    await ctx.oxWorker();
    await ctx.untilCount('failed', 1);
    await (await queue.getJob(id)).retry();
    await ctx.untilCount('completed', 1);
    assert.equal(await ctx.ox.call('state', { queue: ctx.q, job: id }), 'completed');
});

item(51, 'operator', 'retry of all failed: those with a priority go back to prioritized',
    { differs: 'its bulk retry forgets the priority' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const data = { starts: [[{ do: 'fail', reason: 'x' }], []] };
        for (const priority of [0, 0, 4]) await queue.add('job', data, { priority });
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('failed', 3);
        await worker.pause();
        const count = await ctx.ox.call('retry_all', { queue: ctx.q, state: 'failed' });
        if (!selfCheck) assert.equal(count, 3);
        assert.deepEqual(await ctx.wait(), ['2', '1']);
        assert.deepEqual(await ctx.redis.zrange(ctx.key('prioritized'), 0, -1), ['3']);
        assert.equal(await ctx.redis.zcard(ctx.key('failed')), 0);
        worker.resume();
        await ctx.untilCount('completed', 3);
    });

item(52, 'operator', 'promote, change of delay and of priority are what BullMQ then sees', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('promoted', {}, { delay: 60000 });
        await queue.add('moved', {}, { delay: 60000 });
        await queue.add('first', {}, { priority: 9 });
        await queue.add('last', {}, { priority: 3 });
        await queue.add('plain', {});
        await ctx.ox.call('promote', { queue: ctx.q, job: '1' });
        assert.equal(await queue.getJobState('1'), 'waiting');
        assert.equal((await ctx.hash('1')).delay, '0');
        assert.deepEqual((await ctx.events()).at(-1).flat,
            ['event', 'waiting', 'jobId', '1', 'prev', 'delayed']);
        const before = Date.now();
        await ctx.ox.call('change_delay', { queue: ctx.q, job: '2', delay_ms: 500 });
        const due = Number(await ctx.redis.zscore(ctx.key('delayed'), '2')) / 4096;
        assert.ok(due >= before + 500 && due <= Date.now() + 500);
        assert.equal((await queue.getJob('2')).delay, 500);
        await ctx.ox.call('change_priority', { queue: ctx.q, job: '3', priority: 2 });
        assert.equal((await queue.getJob('3')).priority, 2);
        await ctx.ox.call('change_priority', { queue: ctx.q, job: '5', priority: 1 });
        assert.equal(await queue.getJobState('5'), 'prioritized');
        assert.deepEqual((await queue.getPrioritized()).map((job) => job.id), ['5', '3', '4']);
        await assert.rejects(ctx.ox.call('promote', { queue: ctx.q, job: '1' }),
            { code: 'ESTATE' });
        await assert.rejects(
            ctx.ox.call('change_delay', { queue: ctx.q, job: '1', delay_ms: 5 }),
            { code: 'ESTATE' });
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 5);
        assert.deepEqual(worker.started.map((start) => start.job), ['1', '5', '3', '4', '2']);
    });

item(52, 'operator', 'promote, changes of delay and priority by BullMQ are what Ox then sees',
    {}, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const state = (job) => ctx.ox.call('state', { queue: ctx.q, job });
        await ctx.ox.add(ctx.q, 'promoted', {}, { delay: 60000 });
        await ctx.ox.add(ctx.q, 'low', {}, { priority: 9 });
        await ctx.ox.add(ctx.q, 'high', {}, { priority: 3 });
        assert.deepEqual(await Promise.all(['1', '2', '3'].map(state)),
            ['delayed', 'prioritized', 'prioritized']);
        await (await queue.getJob('1')).promote();
        await (await queue.getJob('2')).changePriority({ priority: 1 });
        assert.equal(await state('1'), 'waiting');
        assert.deepEqual(await ctx.ox.call('jobs',
            { queue: ctx.q, state: 'prioritized', ascending: true }), ['2', '3']);
        const worker = await ctx.oxWorker();
        await ctx.untilCount('completed', 3);
        assert.deepEqual(worker.starts().map((start) => start.job), ['1', '2', '3']);
    });

item(52, 'operator', 'promote of all: priorities and delays are right afterwards',
    { differs: 'its bulk promotion forgets priority and delay' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('a', {}, { delay: 60000 });
        await queue.add('b', {}, { delay: 70000, priority: 5 });
        const count = await ctx.ox.call('promote_all', { queue: ctx.q });
        if (!selfCheck) assert.equal(count, 2);
        assert.deepEqual(await ctx.wait(), ['1']);
        assert.deepEqual(await ctx.redis.zrange(ctx.key('prioritized'), 0, -1), ['2']);
        assert.equal((await ctx.hash('1')).delay, '0');
        assert.equal((await ctx.hash('2')).delay, '0');
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 2);
    });

item(53, 'operator', 'drain with a scheduler job amid wait: it survives and fires',
    { differs: 'it deletes the wrong ids' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('before', {});
        const scheduled = await queue.upsertJobScheduler('s', { every: 3600000 }, { name: 's' });
        await queue.add('after', {});
        await queue.add('prioritized', {}, { priority: 1 });
        await queue.add('delayed', {}, { delay: 60000 });
        await ctx.ox.call('drain', { queue: ctx.q });
        assert.deepEqual(await ctx.wait(), [scheduled.id]);
        assert.equal(await ctx.redis.zcard(ctx.key('prioritized')), 0);
        assert.equal(await ctx.redis.zcard(ctx.key('delayed')), 1);
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        assert.deepEqual(worker.started.map((start) => start.job), [scheduled.id]);
        /* the iteration it took made the next one, which a drain of the delayed keeps, too */
        await ctx.ox.call('drain', { queue: ctx.q, delayed: true });
        const left = await ctx.redis.zrange(ctx.key('delayed'), 0, -1);
        assert.equal(left.length, 1);
        assert.ok(left[0].startsWith('repeat:s:'));
    });

item(53, 'operator', 'what BullMQ drained is gone for Ox', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    for (const opts of [{}, { priority: 2 }, { delay: 60000 }])
        await ctx.ox.add(ctx.q, 'job', {}, opts);
    await queue.drain(true);
    const counts = await ctx.ox.call('counts', { queue: ctx.q });
    assert.deepEqual(Object.values(counts).filter((count) => count !== 0), []);
    const worker = await ctx.oxWorker();
    await ctx.ox.add(ctx.q, 'after', {});
    await ctx.untilCount('completed', 1);
    assert.deepEqual(worker.starts().map((start) => start.job), ['4']);
});

item(54, 'operator', 'what BullMQ cleaned is gone for Ox', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await ctx.oxWorker();
    for (const n of [1, 2]) {
        await ctx.ox.add(ctx.q, 'job', {});
        await ctx.untilCount('completed', n);
    }
    assert.deepEqual((await queue.clean(0, 10, 'completed')).sort(), ['1', '2']);
    assert.equal(await ctx.ox.call('state', { queue: ctx.q, job: '1' }), 'unknown');
    assert.equal((await ctx.ox.call('counts', { queue: ctx.q })).completed, 0);
});

item(54, 'operator', 'clean of completed: the right ids go, event cleaned', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await ctx.N.worker(ctx.q);
    for (let n = 1; n <= 4; n++) {
        await queue.add('job', {});
        await ctx.untilCount('completed', n);
    }
    /* three are old, one is new */
    for (const id of ['1', '2', '3']) {
        await ctx.redis.zadd(ctx.key('completed'), Date.now() - 60000 + Number(id), id);
        await ctx.redis.hset(ctx.key(id), 'finishedOn', Date.now() - 60000 + Number(id));
    }
    const clean = (limit) => ctx.ox.call('clean',
        { queue: ctx.q, state: 'completed', grace_ms: 5000, limit });
    assert.deepEqual(await clean(2), ['1', '2']);
    assert.deepEqual(await clean(0), ['3']);
    assert.deepEqual(await ctx.redis.zrange(ctx.key('completed'), 0, -1), ['4']);
    assert.equal(await ctx.redis.exists(ctx.key('1'), ctx.key('2'), ctx.key('3')), 0);
    const cleaned = (await ctx.events((e) => e.event === 'cleaned')).map((e) => e.flat);
    assert.deepEqual(cleaned.slice(0, 2),
        [['event', 'cleaned', 'count', '2'], ['event', 'cleaned', 'count', '1']]);
});

item(54, 'operator', 'clean of waiting, delayed and failed jobs, locked ones left', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const clean = async (state, limit = 0) => (await ctx.ox.call('clean',
            { queue: ctx.q, state, grace_ms: 0, limit })).sort();
        await queue.add('held', { do: 'hold' });
        await ctx.N.worker(ctx.q);
        await ctx.N.held();
        for (let i = 0; i < 3; i++) await queue.add('waiting', {});
        await queue.add('delayed', {}, { delay: 60000 });
        await queue.add('prioritized', {}, { priority: 1 });
        assert.deepEqual(await clean('waiting'), ['2', '3', '4']);
        assert.deepEqual(await clean('delayed'), ['5']);
        assert.deepEqual(await clean('prioritized'), ['6']);
        assert.deepEqual(await clean('active'), []);
        assert.deepEqual(await ctx.wait(), []);
        const counts = await queue.getJobCounts();
        assert.equal(counts.active, 1);
        assert.equal(counts.waiting + counts.delayed + counts.prioritized, 0);
    });

/* Every state, a flow's parent, a limiter and a scheduler. The Node worker holds one job. */
async function fill(ctx) {
    const queue = await ctx.N.queue(ctx.q);
    const worker = await ctx.N.worker(ctx.q, { limiter: { max: 100, duration: 60000 },
        metrics: { maxDataPoints: 10 } });
    await queue.add('good', { steps: [{ do: 'log', row: 'x' }] });
    await queue.add('bad', { do: 'fail', reason: 'x' });
    await ctx.untilCount('completed', 1);
    await ctx.untilCount('failed', 1);
    await queue.add('active', { do: 'hold' }, dedup('d'));
    await ctx.N.held();
    await queue.add('waiting', {});
    await queue.add('delayed', {}, { delay: 600000 });
    await queue.add('prioritized', {}, { priority: 7 });
    await queue.upsertJobScheduler('s', { every: 3600000 }, { name: 'scheduled' });
    await ctx.N.flows().add({ name: 'parent', queueName: ctx.q, opts: { jobId: 'parent' },
        children: [
            { name: 'child', queueName: ctx.q, opts: { jobId: 'child' } },
            { name: 'child', queueName: `${ctx.q}-other`, opts: { jobId: 'elsewhere' } },
        ] });
    return { queue, worker };
}

item(55, 'operator', 'obliterate of a queue with everything leaves no key',
    { differs: 'it leaves waiting-children and the limiter' }, async (ctx) => {
        const { queue, worker } = await fill(ctx);
        assert.equal(await ctx.redis.exists(ctx.key('limiter')), 1);
        await assert.rejects(ctx.ox.call('obliterate', { queue: ctx.q }), { code: 'EACTIVE' });
        assert.equal(await queue.getJobState('parent'), 'waiting-children');
        await worker.close(true);
        await ctx.ox.call('obliterate', { queue: ctx.q, force: true });
        assert.deepEqual(await ctx.redis.keys(`${ctx.base}*`), []);
        /* the queue works as a new one does */
        await queue.waitUntilReady();
        assert.equal(await ctx.ox.add(ctx.q, 'new', {}), '1');
    });

item(55, 'operator', 'a queue that BullMQ obliterated begins anew for Ox', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await ctx.ox.add(ctx.q, 'job', {});
    const worker = await ctx.oxWorker();
    await ctx.untilCount('completed', 1);
    await queue.obliterate();
    assert.equal(await ctx.ox.add(ctx.q, 'job', {}), '1');
    await ctx.untilCount('completed', 1);
    assert.equal(worker.starts().length, 2);
});

/* A minute back, for the metrics of a queue. */
async function minuteAgo(ctx) {
    const key = ctx.key('metrics:completed');
    const then = Number(await ctx.redis.hget(key, 'prevTS')) - 60000;
    await ctx.redis.hset(key, 'prevTS', then);
}

item(56, 'worker', 'metrics: two ends in different minutes give one point', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('job', {});
    await ctx.oxWorker({ metrics_points: 60 });
    await ctx.untilCount('completed', 1);
    await minuteAgo(ctx);
    await queue.add('job', {});
    await ctx.untilCount('completed', 2);
    const metrics = await queue.getMetrics('completed');
    assert.deepEqual(metrics.data.map(Number), [1]);
    assert.equal(metrics.meta.count, 2);
    assert.equal(metrics.count, 1);
});

item(56, 'operator', 'Ox reads the metrics that a BullMQ worker kept', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('job', {});
    await ctx.N.worker(ctx.q, { metrics: { maxDataPoints: 60 } });
    await ctx.untilCount('completed', 1);
    await minuteAgo(ctx);
    await queue.add('job', {});
    await ctx.untilCount('completed', 2);
    const metrics = await ctx.ox.call('metrics', { queue: ctx.q, state: 'completed' });
    assert.equal(metrics.count, 2);
    assert.deepEqual(metrics.points, [1]);
    assert.equal(metrics.previous_ms,
        Number(await ctx.redis.hget(ctx.key('metrics:completed'), 'prevTS')));
});

item(57, 'operator', 'counts of a queue with all states are equal from both sides', {},
    async (ctx) => {
        const { queue } = await fill(ctx);
        const ours = await ctx.ox.call('counts', { queue: ctx.q });
        const theirs = await queue.getJobCounts();
        assert.ok(Object.values(theirs).every((count) => count > 0), JSON.stringify(theirs));
        for (const [state, count] of Object.entries(theirs))
            assert.equal(ours[state], count, `${state}: ${JSON.stringify(ours)}`);
        for (const state of ['completed', 'failed', 'delayed', 'prioritized', 'active',
            'waiting', 'waiting-children']) {
            const jobs = await queue.getJobs([state === 'waiting' ? 'wait' : state]);
            assert.deepEqual(await ctx.ox.call('jobs', { queue: ctx.q, state }),
                jobs.map((job) => job.id), state);
        }
        const priorities = [0, 1, 7];
        assert.deepEqual(
            await ctx.ox.call('counts_by_priority', { queue: ctx.q, priorities }),
            Object.values(await queue.getCountsPerPriority(priorities)));
        assert.deepEqual(await ctx.ox.call('queues'),
            (await ctx.redis.keys('bull:*:meta')).map((k) => k.slice(5, -5)).sort());
    });
