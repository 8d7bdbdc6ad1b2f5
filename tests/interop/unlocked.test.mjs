/*
 * unlocked.test.mjs - item 72: jobs that an Ox worker locks only when they last, beside the
 * stalled checks, kills, removals and cleans of BullMQ.
 *
 * A worker that locks after LONG_MS has its jobs open, without a lock, for as long as a test
 * takes; so what can happen within milliseconds is seen in peace.
 */
import { assert, both, item, selfCheck } from './support/suite.mjs';
import { ox } from './support/programs.mjs';
import { pause, waitFor } from './support/wait.mjs';

const LONG_MS = 20000;
const open = { lock_after_ms: LONG_MS, stalled_interval_ms: 2 * LONG_MS, late_start: true,
    name: 'ox-72' };
const unlike = { differs: 'its workers lock every job when it is taken' };

/* The first job may come behind a sleep, and is locked then: so the worker has another first. */
async function openJob(ctx, steps, options = {}, jobOptions = {}) {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('first', { do: 'return', value: 0 });
    const { id } = await queue.add('held', steps, jobOptions);
    const worker = await ctx.oxWorker({ ...open, ...options });
    await waitFor(() => worker.starts(id).length === 1, 'the start');
    return { queue, id, worker };
}

async function states(ctx, id) {
    const places = [];
    for (const list of ['wait', 'active', 'paused'])
        places.push(...(await ctx.redis.lrange(ctx.key(list), 0, -1)).filter((one) => one === id)
            .map(() => list));
    for (const set of ['completed', 'failed', 'delayed', 'prioritized', 'waiting-children'])
        if (await ctx.redis.zscore(ctx.key(set), id) !== null) places.push(set);
    return places;
}

item(72, 'worker', 'a job that ends before it is locked is stored as any other', unlike,
    async (ctx) => {
        const { queue, id, worker } = await openJob(ctx, { do: 'hold' });
        assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
        const running = await ctx.hash(id);
        assert.equal(running.processedOn, undefined);
        assert.equal(running.ats, undefined);
        assert.equal(await queue.getJobState(id), 'active');
        await worker.go();
        await ctx.untilCount('completed', 2);
        const hash = await ctx.hash(id);
        assert.ok(Number(hash.processedOn) >= Number(hash.timestamp));
        assert.ok(Number(hash.finishedOn) >= Number(hash.processedOn));
        assert.deepEqual([hash.ats, hash.atm, hash.pb], ['1', '1', 'ox-72']);
        assert.deepEqual((await ctx.events((e) => e.jobId === id)).map((e) => e.event),
            ['added', 'waiting', 'active', 'completed']);
        await ctx.assertQuiet();
    });

item(72, 'worker', 'its retry counts the start, and keeps the reason', unlike, async (ctx) => {
    const { id, worker } = await openJob(ctx,
        { starts: [[{ do: 'hold' }, { do: 'fail', reason: 'no' }], [{ do: 'return', value: 1 }]] },
        {}, { attempts: 2 });
    await worker.go();
    await ctx.untilCount('completed', 2);
    const hash = await ctx.hash(id);
    assert.deepEqual([hash.ats, hash.atm, hash.failedReason], ['2', '2', 'no']);
    await ctx.assertQuiet();
});

item(72, 'worker', 'a job that lasts is locked, and no stalled check of BullMQ moves it', both,
    async (ctx) => {
        const { id, worker } = await openJob(ctx, { do: 'hold' },
            { lock_after_ms: 50, stalled_interval_ms: 5000 });
        await ctx.N.stalledChecker(ctx.q, 300); /* longer than the 100 ms without a lock */
        await waitFor(() => ctx.redis.exists(ctx.key(`${id}:lock`)), 'the lock');
        assert.equal((await ctx.hash(id)).ats, '1');
        await pause(1000);
        assert.equal((await ctx.hash(id)).stc, undefined);
        assert.deepEqual(await states(ctx, id), ['active']);
        await worker.go();
        await ctx.untilCount('completed', 2);
        assert.deepEqual(worker.starts(id).length, 1);
        await ctx.assertQuiet();
    });

item(72, 'worker', 'BullMQ can remove a running job that has no lock yet; its end revives nothing',
    { ...both, ...unlike }, async (ctx) => {
        const { queue, id, worker } = await openJob(ctx, { do: 'hold' });
        assert.equal(await queue.remove(id), 1);
        await worker.go();
        await waitFor(() => worker.errors().length > 0, 'the refusal');
        assert.deepEqual(await states(ctx, id), []);
        assert.deepEqual(await ctx.redis.keys(ctx.key(`${id}*`)), []);
    });

item(72, 'worker', 'so it can clean it from the active ones', { ...both, ...unlike },
    async (ctx) => {
        const { queue, id, worker } = await openJob(ctx, { do: 'hold' });
        assert.deepEqual(await queue.clean(0, 10, 'active'), [id]);
        await worker.go();
        await waitFor(() => worker.errors().length > 0, 'the refusal');
        assert.deepEqual(await states(ctx, id), []);
        assert.deepEqual(await ctx.redis.keys(ctx.key(`${id}*`)), []);
    });

item(72, 'worker', 'a worker is killed before it has locked its job: BullMQ finds the job stalled',
    { ...both, ...unlike }, async (ctx) => {
        const { id, worker } = await openJob(ctx,
            { starts: [[{ do: 'hold' }], [{ do: 'return', value: 'again' }]] },
            { late_start: false }); /* else BullMQ does not count this start */
        await worker.kill();
        await ctx.redis.del(ctx.key('stalled-check'));
        await ctx.N.worker(ctx.q, { stalledInterval: 300, lockDuration: 1000 });
        await ctx.untilCount('completed', 2);
        const hash = await ctx.hash(id);
        assert.equal(hash.returnvalue, '"again"');
        assert.equal(hash.stc, '1');
        assert.deepEqual(await states(ctx, id), ['completed']);
        await ctx.assertQuiet();
    });

item(72, 'worker',
    'a stalled interval of BullMQ that is too short moves the job: it is stored once, by its second run',
    { ...both, ...unlike }, async (ctx) => {
        const { id, worker } = await openJob(ctx,
            { starts: [[{ do: 'hold' }, { do: 'return', value: 'first' }], [{ do: 'hold' }]] });
        await ctx.redis.del(ctx.key('stalled-check'));
        await ctx.N.stalledChecker(ctx.q, 200);
        await waitFor(async () => (await ctx.hash(id)).stc === '1', 'the stall');
        const second = await ctx.nodeWorkerProcess();
        await waitFor(async () => (await ctx.redis.exists(ctx.key(`${id}:lock`))) === 1 ||
            worker.starts(id).length === 2, 'the second run');
        await worker.go();
        await second.go();
        await ctx.untilCount('completed', 2);
        await pause(300);
        assert.deepEqual(await states(ctx, id), ['completed']);
        assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
    });

item(72, 'worker', 'a worker of Ox that finds such a job counts its start', unlike, async (ctx) => {
    const { id, worker } = await openJob(ctx,
        { starts: [[{ do: 'hold' }], [{ do: 'return', value: 'again' }]] });
    await worker.kill();
    await ctx.redis.del(ctx.key('stalled-check'));
    await ctx.oxWorker({ stalled_interval_ms: 200 });
    await ctx.untilCount('completed', 2);
    const hash = await ctx.hash(id);
    assert.deepEqual([hash.returnvalue, hash.ats, hash.atm, hash.stc], ['"again"', '2', '1', '1']);
    assert.deepEqual(await states(ctx, id), ['completed']);
    await ctx.assertQuiet();
});

/* Has the job of this worker cancelled before it has a lock. */
async function cancelOpen(ctx, lockAfterMs, lateStart) {
    const { id, worker } = await openJob(ctx, { do: 'hold' },
        { lock_after_ms: lockAfterMs, late_start: lateStart });
    assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
    assert.equal((await ox(ctx.server, 'cancel', ctx.q, id, '--reason', 'enough')).status, 0);
    assert.deepEqual(await states(ctx, id), ['failed']);
    return { id, worker };
}

/* As that of a job that has its lock, and its worker learns why. */
async function assertCancelled(ctx, id, worker) {
    const error = await waitFor(() => worker.errors()[0], 'the refusal');
    assert.match(error.error, /was cancelled/);
    assert.deepEqual(await states(ctx, id), ['failed']);
    const hash = await ctx.hash(id);
    assert.deepEqual([hash.ats, hash.atm, hash.pb, hash.failedReason],
        ['1', '1', 'ox-72', 'cancelled: enough']);
    assert.ok(Number(hash.processedOn) >= Number(hash.timestamp));
    assert.ok(Number(hash.finishedOn) >= Number(hash.processedOn));
    await ctx.assertQuiet();
}

/* The self-check has no programs. */
for (const late of selfCheck ? [] : [false, true]) {
    const how = late ? ', and its start is written' : '';
    item(72, 'operator', `ox cancel stops a job that has no lock yet${how}`, async (ctx) => {
        const { id, worker } = await cancelOpen(ctx, 1000, late);
        await waitFor(() => worker.events.some((e) => e.event === 'lock_lost' && e.job === id),
            'the worker to stop the run');
        await assertCancelled(ctx, id, worker);
        await worker.go();
    });

    item(72, 'operator', `the end of a job that was cancelled so is refused${how}`, async (ctx) => {
        const { id, worker } = await cancelOpen(ctx, LONG_MS, late);
        await worker.go();
        await assertCancelled(ctx, id, worker);
    });
}
