/*
 * sharing.test.mjs - items 35 to 45: locks, limits, pauses and wake-ups between Ox workers
 * and the BullMQ side of the same queue.
 */
import { assert, inTime, item, json, selfCheck } from './support/suite.mjs';
import { median, pause, waitFor } from './support/wait.mjs';

const WAKE_MS = 20;
const START_MS = 100;

/* A job that an Ox worker holds. */
async function heldByOx(ctx, data = { do: 'hold' }, options = {}, jobOptions = {}) {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('held', data, jobOptions);
    const worker = await ctx.oxWorker(options);
    await waitFor(() => worker.starts(id).length === 1, 'the start');
    return { queue, id, worker };
}

async function assertFinishRefused(ctx, damage, lockAfter) {
    const { id, worker } = await heldByOx(ctx, { do: 'hold' }, { lock_ms: 30000 });
    const before = await ctx.hash(id);
    await damage(ctx.key(`${id}:lock`));
    const events = (await ctx.events()).length;
    await worker.go();
    await waitFor(() => worker.errors().length > 0, 'the refusal');
    assert.equal(worker.errors()[0].job ?? id, id);
    if (!selfCheck) assert.equal(worker.errors()[0].code, -111);
    assert.deepEqual(await ctx.hash(id), before);
    assert.deepEqual(await ctx.active(), [id]);
    assert.equal(await ctx.redis.get(ctx.key(`${id}:lock`)), lockAfter);
    assert.equal(await ctx.redis.exists(ctx.key('completed'), ctx.key('failed')), 0);
    assert.equal((await ctx.events()).length, events);
}

item(35, 'worker', 'a lock of another: the result is refused and nothing changes', {},
    (ctx) => assertFinishRefused(ctx,
        (key) => ctx.redis.set(key, 'another', 'PX', 60000), 'another'));

item(35, 'worker', 'a lock that ran out, and nobody else had the job: the result is stored',
    { differs: 'it refuses the result' }, async (ctx) => {
        const { id, worker } = await heldByOx(ctx, { do: 'hold' }, { lock_ms: 30000 });
        await ctx.redis.del(ctx.key(`${id}:lock`));
        await worker.go();
        await ctx.untilCount('completed', 1);
        assert.deepEqual(await ctx.active(), []);
        assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
    });

item(35, 'worker', 'a failure under a lock of another is refused as well', {}, async (ctx) => {
    const { id, worker } = await heldByOx(ctx,
        { steps: [{ do: 'hold' }, { do: 'fail', reason: 'late' }] }, { lock_ms: 30000 },
        { attempts: 3, backoff: 10 });
    const before = await ctx.hash(id);
    await ctx.redis.set(ctx.key(`${id}:lock`), 'another', 'PX', 60000);
    await worker.go();
    await waitFor(() => worker.errors().length > 0, 'the refusal');
    assert.deepEqual(await ctx.hash(id), before);
    assert.deepEqual(await ctx.active(), [id]);
    assert.equal(await ctx.redis.exists(ctx.key('delayed'), ctx.key('failed')), 0);
});

item(35, 'worker', 'a job that is no longer active keeps its lock when its end is refused',
    { differs: 'it drops the lock before it looks' }, async (ctx) => {
        const { id, worker } = await heldByOx(ctx, { do: 'hold' }, { lock_ms: 30000 });
        await ctx.redis.lrem(ctx.key('active'), 1, id);
        const before = [await ctx.hash(id), await ctx.redis.get(ctx.key(`${id}:lock`))];
        await worker.go();
        await waitFor(() => worker.errors().length > 0, 'the refusal');
        assert.deepEqual([await ctx.hash(id), await ctx.redis.get(ctx.key(`${id}:lock`))], before);
    });

item(36, 'worker', 'a hash that is gone while active: the stalled check makes no ghost of it',
    { differs: 'its stalled check makes a ghost job' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await ctx.redis.lpush(ctx.key('active'), 'gone');
        await ctx.redis.sadd(ctx.key('stalled'), 'gone');
        const worker = await ctx.oxWorker({ stalled_interval_ms: 100 });
        await waitFor(async () => (await ctx.active()).length === 0, 'the stalled check');
        await queue.add('job', {});
        await ctx.untilCount('completed', 1);
        assert.equal(await ctx.redis.exists(ctx.key('gone')), 0);
        assert.deepEqual(worker.starts().map((start) => start.job), ['1']);
    });

item(36, 'worker', 'a hash deleted while waiting: the id is skipped, no hash is made',
    { differs: 'it runs a ghost job' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        for (let i = 0; i < 3; i++) await queue.add('job', {});
        await queue.add('job', {}, { priority: 1 });
        await queue.add('job', {}, { priority: 2 });
        await ctx.redis.del(ctx.key('2'), ctx.key('4'));
        const worker = await ctx.oxWorker();
        await ctx.untilCount('completed', 3);
        assert.deepEqual(worker.starts().map((start) => start.job), ['1', '3', '5']);
        assert.equal(await ctx.redis.exists(ctx.key('2'), ctx.key('4')), 0);
        assert.deepEqual(await ctx.wait(), []);
        assert.equal(await ctx.redis.zcard(ctx.key('prioritized')), 0);
        await ctx.assertQuiet();
    });

/* The windows as Redis counts them: the first start opens one, which lasts `duration`. */
function assertWindows(starts, max, duration) {
    let opened = -Infinity;
    let count = 0;
    for (const ms of starts) {
        if (ms >= opened + duration) {
            opened = ms;
            count = 0;
        }
        count++;
        assert.ok(count <= max, `more than ${max} starts within ${duration} ms: ${starts}`);
    }
}

item(37, 'worker', 'a limiter of 2 in 500 ms shared by Ox and BullMQ workers holds', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const limiter = { max: 2, duration: 500 };
        const ox = await ctx.oxWorker({ limiter, concurrency: 4 });
        const node = await ctx.N.worker(ctx.q, { limiter, concurrency: 4 });
        const jobs = Array.from({ length: 10 }, () => ({ name: 'job', data: {} }));
        await queue.addBulk(jobs);
        await ctx.untilEvent((e) => e.event === 'active', 'the first start');
        const ttl = await ctx.redis.pttl(ctx.key('limiter'));
        assert.ok(ttl > 0 && ttl <= 500, `ttl ${ttl}`);
        await ctx.untilCount('completed', 10);
        const starts = (await ctx.events((e) => e.event === 'active')).map((e) => e.ms);
        assertWindows(starts, 2, 500);
        assert.equal(ox.starts().length + node.started.length, 10);
        /* five windows: the last one opens four durations after the first */
        const took = starts.at(-1) - starts[0];
        assert.ok(took >= 2000, `took ${took} ms`);
        inTime(took, 2000 + 4 * START_MS, 'five windows');
    });

item(37, 'operator', 'a rate limit set by Ox for the queue holds for both kinds of worker', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await ctx.ox.call('set_rate', { queue: ctx.q, max: 2, duration_ms: 300 });
        assert.deepEqual(await queue.getGlobalRateLimit(), { max: 2, duration: 300 });
        await ctx.oxWorker();
        await ctx.N.worker(ctx.q);
        await queue.addBulk(Array.from({ length: 8 }, () => ({ name: 'job', data: {} })));
        await ctx.untilCount('completed', 8);
        assertWindows((await ctx.events((e) => e.event === 'active')).map((e) => e.ms), 2, 300);
        await ctx.ox.call('set_rate', { queue: ctx.q, max: 0, duration_ms: 0 });
        assert.equal(await queue.getGlobalRateLimit(), null);
    });

item(38, 'worker', 'queue.rateLimit(300) of BullMQ: Ox idles 300 ms', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const worker = await ctx.oxWorker({ limiter: { max: 100, duration: 1000 } });
    const asked = Date.now(); /* the limit begins after this, and before `limited` */
    await queue.rateLimit(300);
    const limited = Date.now();
    await queue.add('job', {});
    await ctx.untilCount('completed', 1);
    const started = worker.starts()[0].at;
    assert.ok(started - asked >= 299, `started after ${started - asked} ms`);
    inTime(started - limited, 300 + START_MS, 'the start');
});

item(38, 'operator', 'rate_limit(300) of Ox: BullMQ idles 300 ms', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const worker = await ctx.N.worker(ctx.q, { limiter: { max: 100, duration: 1000 } });
    const asked = Date.now(); /* the limit begins after this, and before `limited` */
    await ctx.ox.call('rate_limit', { queue: ctx.q, duration_ms: 300 });
    const limited = Date.now();
    assert.ok((await queue.getRateLimitTtl()) > 0);
    await queue.add('job', {});
    await ctx.untilCount('completed', 1);
    const started = worker.started[0].at;
    assert.ok(started - asked >= 299, `started after ${started - asked} ms`);
    inTime(started - limited, 300 + START_MS, 'the start');
});

item(38, 'worker', 'a job that rate limits goes back to the tail, no attempt spent', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('first', { starts: [[{ do: 'rate_limit', ms: 400 }], []] });
        await queue.add('second', {});
        const worker = await ctx.oxWorker({ limiter: { max: 100, duration: 1000 } });
        await ctx.untilEvent((e) => e.event === 'waiting' && e.prev === 'active', 'the return');
        assert.deepEqual(await ctx.wait(), ['2', '1']);
        assert.ok([undefined, '0'].includes((await ctx.hash('1')).atm));
        assert.equal(await ctx.redis.exists(ctx.key('1:lock')), 0);
        await ctx.untilCount('completed', 2);
        assert.deepEqual(worker.starts().map((start) => start.job), ['1', '1', '2']);
        const [first, again] = worker.starts('1').map((start) => start.at);
        assert.ok(again - first >= 390, `again after ${again - first} ms`);
        const hash = await ctx.hash('1');
        assert.equal(hash.atm, '1');
        assert.equal(hash.ats, '2');
    });

/* The largest number of jobs active at once, by the events. */
function mostActive(events) {
    let active = 0;
    let most = 0;
    for (const { event } of events) {
        if (event === 'active') most = Math.max(most, ++active);
        if (event === 'completed' || event === 'failed') active--;
    }
    return most;
}

item(39, 'worker', 'global concurrency 1: never two active, the next starts within 100 ms', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.setGlobalConcurrency(1);
        const ox = await ctx.oxWorker({ concurrency: 3 });
        const node = await ctx.N.worker(ctx.q, { concurrency: 3 });
        await queue.addBulk(Array.from({ length: 20 }, () => (
            { name: 'job', data: { do: 'sleep', ms: 25 } })));
        await ctx.untilCount('completed', 20);
        const events = await ctx.events();
        assert.equal(mostActive(events), 1);
        const ends = events.filter((e) => e.event === 'completed').map((e) => e.ms);
        const starts = events.filter((e) => e.event === 'active').map((e) => e.ms);
        const gaps = starts.slice(1).map((ms, i) => ms - ends[i]);
        inTime(Math.max(...gaps), START_MS, `the gaps ${gaps}`);
        assert.equal(ox.starts().length + node.started.length, 20);
    });

item(39, 'worker', 'an Ox worker that closes while maxed leaves the slot to BullMQ at once',
    { differs: 'it sets no marker for the freed slot' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await ctx.ox.call('set_concurrency', { queue: ctx.q, max: 1 });
        assert.equal(await queue.getGlobalConcurrency(), 1);
        const { worker } = await heldByOx(ctx);
        const node = await ctx.N.worker(ctx.q);
        await queue.add('next', {});
        const closed = worker.call('worker_close', { worker: worker.worker });
        await worker.go();
        await closed;
        await ctx.untilCount('completed', 2);
        const [done] = await ctx.events((e) => e.event === 'completed' && e.jobId === '1');
        const took = node.started[0].at - done.ms;
        inTime(took, START_MS, 'the start');
    });

item(40, 'worker', 'BullMQ pauses: Ox takes nothing, ends what runs, starts after resume', {},
    async (ctx) => {
        const { queue, id, worker } = await heldByOx(ctx);
        await queue.pause();
        await queue.add('next', {});
        await worker.go();
        await ctx.untilCount('completed', 1);
        await pause(300); /* a while in which it could */
        assert.deepEqual(await ctx.wait(), ['2']);
        assert.equal(worker.starts().length, 1);
        const resumed = Date.now();
        await queue.resume();
        await ctx.untilCount('completed', 2);
        const took = worker.starts('2')[0].at - resumed;
        inTime(took, START_MS, 'the start');
        assert.equal(id, '1');
    });

item(40, 'operator', 'Ox pauses and resumes: BullMQ agrees, takes nothing, then starts', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await ctx.ox.call('pause', { queue: ctx.q });
        assert.equal(await queue.isPaused(), true);
        assert.equal(await ctx.ox.call('is_paused', { queue: ctx.q }), 1);
        await queue.add('next', {});
        const worker = await ctx.N.worker(ctx.q);
        await pause(300); /* a while in which it could */
        assert.deepEqual(worker.started, []);
        const resumed = Date.now();
        await ctx.ox.call('resume', { queue: ctx.q });
        assert.equal(await queue.isPaused(), false);
        await ctx.untilCount('completed', 1);
        inTime(worker.started[0].at - resumed, START_MS, 'the start');
        assert.deepEqual((await ctx.events((e) => e.jobId === undefined)).slice(0, 2)
            .map((e) => e.flat), [['event', 'paused'], ['event', 'resumed']]);
    });

item(41, 'worker', 'an idle Ox worker starts within 20 ms of an add by BullMQ', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker();
        const took = [];
        for (let n = 1; n <= 11; n++) {
            const added = Date.now();
            const { id } = await queue.add('job', {});
            await ctx.untilCount('completed', n);
            took.push(worker.starts(id)[0].at - added);
        }
        inTime(median(took), WAKE_MS, `the wake-ups ${took}`);
        inTime(Math.max(...took), 1000, `the wake-ups ${took}`);
    });

item(41, 'producer', 'an idle BullMQ worker starts within 20 ms of an add by Ox', {},
    async (ctx) => {
        const worker = await ctx.N.worker(ctx.q);
        const took = [];
        for (let n = 1; n <= 11; n++) {
            const added = Date.now();
            await ctx.ox.add(ctx.q, 'job', {});
            await ctx.untilCount('completed', n);
            took.push(worker.started.at(-1).at - added);
        }
        inTime(median(took), WAKE_MS, `the wake-ups ${took}`);
        inTime(Math.max(...took), 1000, `the wake-ups ${took}`);
    });

item(41, 'worker', 'a prioritised job that Ox gives back wakes an idle BullMQ worker',
    { differs: 'it sets no marker for it' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job',
            { starts: [[{ do: 'hold' }, { do: 'release' }], []] }, { priority: 2 });
        const worker = await ctx.oxWorker();
        await waitFor(() => worker.starts(id).length === 1, 'the start');
        const node = await ctx.N.worker(ctx.q);
        await ctx.redis.del(ctx.key('marker'));
        await worker.call('worker_pause', { worker: worker.worker });
        const given = Date.now();
        await worker.go();
        await ctx.untilCount('completed', 1);
        inTime(node.started[0].at - given, START_MS, 'the start');
    });

item(41, 'worker', 'a worker that knows when the next delayed job is due leaves word of it',
    { differs: 'it keeps that to itself' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.oxWorker();
        const delayed = await queue.add('delayed', {}, { delay: 60000 });
        await waitFor(async () => (await ctx.marker())['1'] === undefined, 'the marker to go');
        await queue.add('held', { do: 'hold' });
        await waitFor(() => worker.starts().length === 1, 'the start');
        assert.equal((await ctx.marker())['1'], String(delayed.timestamp + 60000));
    });

item(42, 'worker', 'a job that delays itself: no attempt spent, started again when due', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { starts: [[{ do: 'delay', ms: 300 }], []] },
            { attempts: 2 });
        const worker = await ctx.oxWorker();
        const event = await ctx.untilEvent((e) => e.event === 'delayed', 'the delay');
        assert.ok([undefined, '0'].includes((await ctx.hash(id)).atm));
        assert.equal(await queue.getJobState(id), 'delayed');
        assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
        await ctx.untilCount('completed', 1);
        const hash = await ctx.hash(id);
        assert.equal(hash.atm, '1');
        assert.equal(hash.ats, '2');
        const late = worker.starts(id)[1].at - Number(event.delay);
        assert.ok(late >= 0, `early: ${late} ms`);
        inTime(late, START_MS, 'lateness');
    });

item(43, 'worker', 'getWorkers lists an Ox worker once, by its name', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await ctx.oxWorker({ name: 'painter-1' });
    await ctx.oxWorker();
    await waitFor(async () => (await queue.getWorkers()).length >= 2, 'two workers');
    const list = await queue.getWorkers();
    const base64 = Buffer.from(ctx.q).toString('base64');
    assert.deepEqual(list.map((one) => one.rawname).sort(),
        [`bull:${base64}`, `bull:${base64}:w:painter-1`]);
    assert.equal(await queue.getWorkersCount(), 2);
});

item(43, 'operator', 'Ox lists BullMQ workers by name', {}, async (ctx) => {
    await ctx.N.worker(ctx.q, { name: 'node-1' });
    await ctx.N.worker(ctx.q, { name: 'node-2' });
    await ctx.N.worker(`${ctx.q}x`, { name: 'other' });
    const names = () => ctx.ox.call('workers', { queue: ctx.q });
    await waitFor(async () => (await names()).length >= 2, 'two workers');
    assert.deepEqual((await names()).sort(), ['node-1', 'node-2']);
});

item(44, 'worker', 'a graceful close ends the active job, takes no other, leaves no lock', {},
    async (ctx) => {
        const { queue, id, worker } = await heldByOx(ctx);
        await queue.add('not taken', {});
        const closed = worker.call('worker_close', { worker: worker.worker });
        await queue.add('not taken either', {});
        await worker.go();
        await closed;
        assert.equal(await queue.getJobState(id), 'completed');
        assert.deepEqual(await ctx.wait(), ['3', '2']);
        assert.equal(worker.starts().length, 1);
        await ctx.assertQuiet();
        await waitFor(async () => (await queue.getWorkers()).length === 0, 'no worker');
    });

item(45, 'worker',
    'a retried job with a priority goes back to prioritized', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('retried',
        { starts: [[{ do: 'hold', key: 'a' }, { do: 'fail', reason: 'once' }], []] },
        { priority: 3, attempts: 2 });
    const worker = await ctx.oxWorker();
    await waitFor(() => worker.starts(id).length === 1, 'the start');
    await queue.add('urgent', { do: 'hold', key: 'b' }, { priority: 1 });
    await worker.go('a');
    await waitFor(() => worker.starts('2').length === 1, 'the urgent one');
    const score = Number(await ctx.redis.zscore(ctx.key('prioritized'), id));
    assert.equal(Math.floor(score / 2 ** 32), 3);
    assert.deepEqual(await ctx.wait(), []);
    assert.equal(await queue.getJobState(id), 'prioritized');
    await worker.go('b');
    await ctx.untilCount('completed', 2);
    assert.equal(json((await ctx.hash(id)).stacktrace).length, 1);
});
