/*
 * working.test.mjs - items 17 to 34: BullMQ adds, Ox processes.
 */
import { assert, both, inTime, item, json } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

/* One job, added by BullMQ, run to its end by an Ox worker. */
async function runOne(ctx, data, opts, end = 'completed', workerOptions = {}) {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('job', data, opts);
    const worker = await ctx.oxWorker(workerOptions);
    await ctx.untilCount(end, 1);
    return { queue, id, worker, hash: await ctx.hash(id) };
}

item(17, 'worker', 'a taken job is active, locked, counted and announced', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const before = Date.now();
    const { id } = await queue.add('job', { do: 'hold' });
    const worker = await ctx.oxWorker({ name: 'ox-17', lock_ms: 7000 });
    await waitFor(() => worker.starts(id).length === 1, 'the start');
    assert.deepEqual(await ctx.active(), [id]);
    assert.deepEqual(await ctx.wait(), []);
    const token = await ctx.redis.get(ctx.key(`${id}:lock`));
    assert.ok(token && token !== '0', `token ${token}`);
    const ttl = await ctx.redis.pttl(ctx.key(`${id}:lock`));
    assert.ok(ttl > 0 && ttl <= 7000, `ttl ${ttl}`);
    const hash = await ctx.hash(id);
    assert.ok(Number(hash.processedOn) >= before && Number(hash.processedOn) <= Date.now());
    assert.equal(hash.ats, '1');
    assert.equal(hash.pb, 'ox-17');
    assert.equal(hash.atm, undefined);
    assert.deepEqual((await ctx.events()).at(-1).flat,
        ['event', 'active', 'jobId', id, 'prev', 'waiting']);
    assert.equal(await queue.getJobState(id), 'active');
    await worker.go();
    await ctx.untilCount('completed', 1);
});

item(18, 'worker', 'a completed job has its score, value, count and event; no lock is left', {},
    async (ctx) => {
        const value = { sum: 3, list: [] };
        const { id, hash } = await runOne(ctx, { do: 'return', value });
        await ctx.assertQuiet();
        assert.equal(await ctx.redis.zscore(ctx.key('completed'), id), hash.finishedOn);
        assert.deepEqual(json(hash.returnvalue), value);
        assert.equal(hash.atm, '1');
        assert.equal(hash.ats, '1');
        const event = (await ctx.events((e) => e.event === 'completed'))[0];
        assert.deepEqual(event.flat, ['event', 'completed', 'jobId', id, 'returnvalue',
            event.returnvalue, 'prev', 'active']);
        assert.deepEqual(json(event.returnvalue), value);
    });

item(19, 'worker', 'waitUntilFinished gives what Ox returned: object, string, number, null', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const values = [{ a: [1, 'ü'] }, 'a string', 42, null, false, []];
        const jobs = await queue.addBulk(values.map((value) => (
            { name: 'job', data: { do: 'return', value } })));
        const ends = Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10000)));
        await ctx.oxWorker({ concurrency: 3 });
        assert.deepEqual(await ends, values);
    });

item(20, 'worker', 'a failure: state, reason, one stack, events failed, retries-exhausted', {},
    async (ctx) => {
        const reason = 'disk "full" — ü';
        const { id, hash, queue } = await runOne(ctx, { do: 'fail', reason }, {}, 'failed');
        await ctx.assertQuiet();
        assert.equal(hash.failedReason, reason);
        assert.equal(hash.returnvalue, undefined);
        const stack = json(hash.stacktrace);
        assert.equal(stack.length, 1);
        assert.ok(stack[0].includes(reason), stack[0]);
        assert.equal(hash.atm, '1');
        assert.equal(await ctx.redis.zscore(ctx.key('failed'), id), hash.finishedOn);
        const ends = (await ctx.events()).slice(-3).map((event) => event.flat);
        assert.deepEqual(ends.filter((flat) => flat[1] !== 'drained').slice(-2), [
            ['event', 'failed', 'jobId', id, 'failedReason', reason, 'prev', 'active'],
            ['event', 'retries-exhausted', 'jobId', id, 'attemptsMade', '1'],
        ]);
        assert.equal((await queue.getJob(id)).failedReason, reason);
    });

/* How long each retry was put off: due time less the moment of the event. */
async function retryDelays(ctx, id) {
    const delayed = await ctx.events((e) => e.event === 'delayed' && e.jobId === id);
    return delayed.map((event) => Number(event.delay) - event.ms);
}

/* The clocks are the same machine's, but the worker reads its own a little before the
 * server dates the event. */
const CLOCK_MS = 30;

function assertPutOff(delay, low, high) {
    assert.ok(delay <= high, `put off by ${delay} ms`);
    inTime(low - delay, CLOCK_MS, 'from the decision to the event');
}

function assertNear(delays, expected) {
    assert.equal(delays.length, expected.length, `delays ${delays}`);
    delays.forEach((delay, i) => assertPutOff(delay, expected[i], expected[i]));
}

const fail = (n) => [{ do: 'fail', reason: `failure ${n}` }];

item(21, 'worker', 'attempts 3, fixed 200: two delayed retries, three stacks', {},
    async (ctx) => {
        const opts = { attempts: 3, backoff: { type: 'fixed', delay: 200 } };
        const { id, hash, worker } = await runOne(ctx, { starts: [fail(1), fail(2), fail(3)] },
            opts, 'failed');
        assert.equal(hash.atm, '3');
        assert.equal(hash.ats, '3');
        assert.equal(json(hash.stacktrace).length, 3);
        [1, 2, 3].forEach((n) => assert.ok(json(hash.stacktrace)[n - 1].includes(`failure ${n}`)));
        assertNear(await retryDelays(ctx, id), [200, 200]);
        assert.deepEqual(worker.starts(id).map((start) => start.attempt), [1, 2, 3]);
        assert.deepEqual((await ctx.eventNames(id)).slice(2), ['active', 'delayed', 'waiting',
            'active', 'delayed', 'waiting', 'active', 'failed', 'retries-exhausted']);
        /* a number alone means fixed */
        const second = await (await ctx.N.queue(ctx.q)).add('job', { do: 'fail', reason: 'x' },
            { attempts: 2, backoff: 150 });
        await ctx.untilCount('failed', 2);
        assertNear(await retryDelays(ctx, second.id), [150]);
    });

item(21, 'worker', 'a failure asks for a longer wait than the backoff: BullMQ keeps it',
    { differs: 'a failure cannot ask for a wait there' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const job = await queue.add('job',
            { starts: [[{ do: 'fail', reason: 'busy', min_delay_ms: 700 }], [{ do: 'return' }]] },
            { attempts: 2, backoff: 50 });
        const worker = await ctx.oxWorker({ concurrency: 1 });
        await waitFor(async () => await queue.getJobState(job.id) === 'delayed', 'the failure');
        await worker.stop();
        const beside = await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        const [failed] = await ctx.events((e) => e.event === 'delayed' && e.jobId === job.id);
        assert.equal(beside.started.length, 1);
        assertPutOff(Number(failed.delay) - failed.ms, 700, 700);
        assert.ok(beside.started[0].at >= Number(failed.delay), 'not before it is due');
        assert.equal((await queue.getJob(job.id)).attemptsMade, 2);
        assert.equal((await ctx.hash(job.id)).atm, '2');
    });

item(22, 'worker', 'exponential 100: retries after 100 and 200 ms', {}, async (ctx) => {
    const opts = { attempts: 3, backoff: { type: 'exponential', delay: 100 } };
    const { id } = await runOne(ctx, { do: 'fail', reason: 'again' }, opts, 'failed');
    assertNear(await retryDelays(ctx, id), [100, 200]);
});

item(22, 'worker', 'with jitter 0.5, within [50,100] and [100,200], and not all alike', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const opts = { attempts: 3, backoff: { type: 'exponential', delay: 100, jitter: 0.5 } };
        const jobs = await queue.addBulk(Array.from({ length: 20 }, () => (
            { name: 'job', data: { do: 'fail', reason: 'again' }, opts })));
        await ctx.oxWorker({ concurrency: 5 });
        await ctx.untilCount('failed', 20);
        const firsts = new Set();
        for (const job of jobs) {
            const [first, second] = await retryDelays(ctx, job.id);
            assertPutOff(first, 50, 100);
            assertPutOff(second, 100, 200);
            firsts.add(first);
        }
        assert.ok(firsts.size > 3, `first retries after ${[...firsts]}`);
    });

item(23, 'worker', 'without backoff: retried at once, behind those that wait', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('first', { starts: [fail(1), []] }, { attempts: 2 });
        await queue.addBulk([{ name: 'b', data: {} }, { name: 'c', data: {} }]);
        const worker = await ctx.oxWorker();
        await ctx.untilCount('completed', 3);
        assert.deepEqual(worker.starts().map((start) => start.job), ['1', '2', '3', '1']);
        const back = await ctx.events((e) => e.event === 'waiting' && e.prev === 'active');
        assert.deepEqual(back.map((event) => event.jobId), ['1']);
        const hash = await ctx.hash('1');
        assert.equal(hash.atm, '2');
        assert.equal(hash.failedReason, 'failure 1');
        assert.equal(json(hash.stacktrace).length, 1);
    });

item(24, 'worker', 'unrecoverable: failed after one try, retries not called exhausted', {},
    async (ctx) => {
        const { id, hash } = await runOne(ctx,
            { do: 'fail', reason: 'hopeless', unrecoverable: true }, { attempts: 5 }, 'failed');
        assert.equal(hash.atm, '1');
        assert.equal(hash.failedReason, 'hopeless');
        const names = await ctx.eventNames(id);
        assert.equal(names.at(-1), 'failed');
        assert.ok(!names.includes('retries-exhausted'));
    });

item(25, 'worker', 'stackTraceLimit 1 keeps the last, 0 none', both, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const data = { starts: [fail(1), fail(2), fail(3)] };
    await queue.add('one', data, { attempts: 3, stackTraceLimit: 1 });
    await queue.add('none', data, { attempts: 3, stackTraceLimit: 0 });
    await ctx.oxWorker();
    await ctx.untilCount('failed', 2);
    const stacks = json((await ctx.hash('1')).stacktrace);
    assert.equal(stacks.length, 1);
    assert.ok(stacks[0].includes('failure 3'));
    assert.equal((await ctx.hash('2')).stacktrace, '[]');
});

item(26, 'worker', 'one drained event when the last job is done', both, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const drained = () => ctx.events((e) => e.event === 'drained');
    await queue.addBulk([1, 2, 3].map((n) => ({ name: 'job', data: n })));
    const worker = await ctx.oxWorker();
    for (let round = 1; round <= 3; round++) {
        await ctx.untilCount('completed', 2 + round);
        await waitFor(async () => (await drained()).length === round, `drained ${round}`);
        assert.deepEqual((await drained())[0].flat, ['event', 'drained']);
        await queue.add('one more', {});
    }
    await ctx.untilCount('completed', 6);
    assert.equal(worker.starts().length, 6);
});

item(26, 'worker', 'no drained event while a delayed job waits', both, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('later', {}, { delay: 600000 });
    await ctx.oxWorker();
    for (let n = 1; n <= 3; n++) {
        await queue.add('now', {});
        await ctx.untilCount('completed', n);
    }
    assert.deepEqual(await ctx.events((e) => e.event === 'drained'), []);
});

item(27, 'worker', 'removeOnComplete true: nothing is left but the event with its value', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job',
            { steps: [{ do: 'log', row: 'x' }, { do: 'return', value: { gone: true } }] },
            { removeOnComplete: true });
        await ctx.oxWorker();
        const event = await ctx.untilEvent((e) => e.event === 'completed', 'completed');
        assert.deepEqual(json(event.returnvalue), { gone: true });
        assert.equal(await ctx.redis.exists(ctx.key(id), ctx.key(`${id}:logs`),
            ctx.key(`${id}:lock`), ctx.key('completed'), ctx.key('active')), 0);
    });

item(27, 'worker', 'removeOnFail true: nothing is left but the event with its reason', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'fail', reason: 'gone' },
            { removeOnFail: true });
        await ctx.oxWorker();
        const event = await ctx.untilEvent((e) => e.event === 'failed', 'failed');
        assert.equal(event.failedReason, 'gone');
        assert.equal(await ctx.redis.exists(ctx.key(id), ctx.key('failed')), 0);
    });

item(28, 'worker', 'removeOnComplete 2: the newest two of four remain, logs as well', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const data = { steps: [{ do: 'log', row: 'a row' }] };
        for (let i = 0; i < 4; i++) await queue.add('job', data, { removeOnComplete: 2 });
        await ctx.oxWorker();
        await waitFor(async () => (await ctx.events((e) => e.event === 'completed')).length === 4,
            'four completed');
        assert.deepEqual(await ctx.redis.zrange(ctx.key('completed'), 0, -1), ['3', '4']);
        const keys = ['1', '2', '3', '4'].flatMap((id) => [ctx.key(id), ctx.key(`${id}:logs`)]);
        const left = [];
        for (const key of keys) if (await ctx.redis.exists(key)) left.push(key);
        assert.deepEqual(left, keys.slice(4));
    });

item(28, 'worker', 'the worker says how many to keep where the job does not', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.addBulk(Array.from({ length: 4 }, () => ({ name: 'job', data: {} })));
        await queue.add('kept', {}, { removeOnComplete: false });
        await ctx.oxWorker({ removeOnComplete: { count: 1 } });
        await waitFor(async () => (await ctx.events((e) => e.event === 'completed')).length === 5,
            'five completed');
        assert.deepEqual(await ctx.redis.zrange(ctx.key('completed'), 0, -1), ['4', '5']);
    });

item(29, 'worker', 'removeOnFail {age:1}: an older one is gone after the next failure', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const opts = { removeOnFail: { age: 1 } };
        await queue.add('old', { do: 'fail', reason: 'old' }, opts);
        await ctx.oxWorker();
        await ctx.untilCount('failed', 1);
        const finishedOn = Number((await ctx.hash('1')).finishedOn);
        await waitFor(() => Date.now() > finishedOn + 1010, 'a second to pass');
        assert.equal(await ctx.redis.exists(ctx.key('1')), 1);
        await queue.add('new', { do: 'fail', reason: 'new' }, opts);
        await ctx.untilEvent((e) => e.event === 'failed' && e.jobId === '2', 'the second failure');
        assert.deepEqual(await ctx.redis.zrange(ctx.key('failed'), 0, -1), ['2']);
        assert.equal(await ctx.redis.exists(ctx.key('1')), 0);
    });

item(30, 'worker', 'keepLogs 2: three rows from the job leave the newest two', both,
    async (ctx) => {
        const rows = ['one', 'two', 'three — ü'];
        const { queue, id } = await runOne(ctx,
            { steps: rows.map((row) => ({ do: 'log', row })) }, { keepLogs: 2 });
        assert.deepEqual(await queue.getJobLogs(id), { logs: rows.slice(1), count: 2 });
    });

item(30, 'operator', 'adding three log rows, two kept, returns 1, 2, 2', both, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('job', {});
    const counts = [];
    for (const row of ['one', 'two', 'three'])
        counts.push(await ctx.ox.call('add_log', { queue: ctx.q, job: id, row, keep: 2 }));
    assert.deepEqual(counts, [1, 2, 2]);
    assert.deepEqual(await queue.getJobLogs(id), { logs: ['two', 'three'], count: 2 });
    assert.deepEqual(await ctx.ox.call('logs', { queue: ctx.q, job: id }),
        { rows: ['two', 'three'], total: 2 });
    await ctx.ox.call('clear_logs', { queue: ctx.q, job: id, keep: 1 });
    assert.deepEqual((await queue.getJobLogs(id)).logs, ['three']);
});

item(31, 'worker', 'progress 42, an object, a text: events parse, the job shows the last', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const seen = [];
        events.on('progress', ({ jobId, data }) => seen.push([jobId, data]));
        const values = [42, { step: 'two/3', list: [] }, 'half'];
        const { id } = await queue.add('job',
            { steps: values.map((value) => ({ do: 'progress', value })) });
        await ctx.oxWorker();
        await ctx.untilCount('completed', 1);
        await waitFor(() => seen.length === 3, 'three progress events');
        assert.deepEqual(seen, values.map((value) => [id, value]));
        assert.deepEqual((await queue.getJob(id)).progress, 'half');
        await ctx.ox.call('update_progress', { queue: ctx.q, job: id, data: { late: 1 } });
        await waitFor(() => seen.length === 4, 'the fourth progress event');
        assert.deepEqual((await queue.getJob(id)).progress, { late: 1 });
    });

item(32, 'worker', 'a job of three lock times completes and is never called stalled', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const stalled = [];
        events.on('stalled', ({ jobId }) => stalled.push(jobId));
        await ctx.N.stalledChecker(ctx.q, 150);
        const { id } = await queue.add('long', { do: 'sleep', ms: 1800 });
        const worker = await ctx.oxWorker({ lock_ms: 600 });
        await ctx.untilCount('completed', 1);
        assert.equal(worker.starts(id).length, 1);
        assert.deepEqual(stalled, []);
        assert.equal((await ctx.hash(id)).stc, undefined);
        assert.deepEqual(await ctx.events((e) => e.event === 'stalled'), []);
    });

const LOCK_MS = 500;
const STALLED_INTERVAL_MS = 400;

/* The job of a killed worker ran again, and its events tell so. */
async function assertRecovered(ctx, id, killedAt) {
    await ctx.untilCount('completed', 1);
    const hash = await ctx.hash(id);
    assert.equal(hash.stc, '1');
    assert.equal(hash.ats, '2');
    const events = await ctx.events((e) => e.jobId === id);
    const stalledAt = events.findIndex((e) => e.event === 'stalled');
    assert.deepEqual(events.slice(stalledAt - 1, stalledAt + 1).map((e) => e.flat), [
        ['event', 'waiting', 'jobId', id, 'prev', 'active'],
        ['event', 'stalled', 'jobId', id],
    ]);
    /* at most two stalled checks after the lock ran out; timers of a busy machine add their bit */
    const took = events[stalledAt].ms - killedAt;
    inTime(took, LOCK_MS + 2 * STALLED_INTERVAL_MS + 300, 'the recovery');
    await ctx.assertQuiet();
}

const holdOnce = { starts: [[{ do: 'hold' }], [{ do: 'return', value: 'again' }]] };

item(33, 'worker', 'an Ox worker is killed: BullMQ recovers its job within two stalled checks', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', holdOnce);
        const doomed = await ctx.oxWorker({ lock_ms: LOCK_MS, stalled_interval_ms: STALLED_INTERVAL_MS });
        await waitFor(() => doomed.starts(id).length === 1, 'the first start');
        await ctx.N.worker(ctx.q, { stalledInterval: STALLED_INTERVAL_MS, lockDuration: LOCK_MS });
        await doomed.kill();
        await assertRecovered(ctx, id, Date.now());
    });

item(33, 'worker', 'a BullMQ worker is killed: Ox recovers its job within two stalled checks', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', holdOnce);
        const doomed = await ctx.nodeWorkerProcess({ lock_ms: LOCK_MS, stalled_interval_ms: 60000 });
        await waitFor(() => doomed.starts(id).length === 1, 'the first start');
        await ctx.redis.del(ctx.key('stalled-check'));
        await ctx.oxWorker({ stalled_interval_ms: STALLED_INTERVAL_MS, lock_ms: LOCK_MS });
        await doomed.kill();
        await assertRecovered(ctx, id, Date.now());
    });

const TOO_OFTEN = 'job stalled more than allowable limit';

/* Lets the job stall once more, recovered by `stalledChecker` (a BullMQ one that takes nothing). */
async function stallOnce(ctx, id, times) {
    const doomed = await ctx.oxWorker({ lock_ms: 300, stalled_interval_ms: 200 });
    await waitFor(() => doomed.starts(id).length === 1, 'the start');
    await doomed.kill();
    await waitFor(async () => (await ctx.hash(id)).stc === String(times), `stall ${times}`);
}

item(34, 'worker', 'stalled twice: deferred failure, failed unrun with the standard text', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'hold' }, { attempts: 5 });
        await ctx.N.stalledChecker(ctx.q, 200);
        await stallOnce(ctx, id, 1);
        await stallOnce(ctx, id, 2);
        assert.equal((await ctx.hash(id)).defa, TOO_OFTEN);
        assert.deepEqual(await ctx.wait(), [id]);
        const worker = await ctx.oxWorker();
        await ctx.untilCount('failed', 1);
        const hash = await ctx.hash(id);
        assert.equal(hash.failedReason, TOO_OFTEN);
        assert.equal(hash.defa, undefined);
        assert.deepEqual(worker.starts(id), []);
        await ctx.assertQuiet();
    });

item(34, 'worker', 'the Ox stalled check defers the failure, and BullMQ fails the job unrun', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'hold' }); /* no attempts left */
        const checker = await ctx.agent('ox');
        for (const times of [1, 2]) {
            const doomed = await ctx.nodeWorkerProcess({ lock_ms: 300, stalled_interval_ms: 60000 });
            await waitFor(() => doomed.starts(id).length === 1, 'the start');
            await doomed.kill();
            await ctx.redis.del(ctx.key('stalled-check'));
            /* A paused queue: the Ox worker checks for stalled jobs and takes nothing. */
            await ctx.redis.hset(ctx.key('meta'), 'paused', 1);
            const worker = await checker.startWorker(ctx.q, { stalled_interval_ms: 200 });
            await waitFor(async () => (await ctx.hash(id)).stc === String(times),
                `stall ${times}`);
            await checker.call('worker_close', { worker });
            await queue.resume();
        }
        assert.equal((await ctx.hash(id)).defa, TOO_OFTEN);
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('failed', 1);
        assert.equal((await ctx.hash(id)).failedReason, TOO_OFTEN);
        assert.deepEqual(worker.started, []);
    });
