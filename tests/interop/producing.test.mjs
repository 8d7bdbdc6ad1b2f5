/*
 * producing.test.mjs - items 1 to 16: Ox adds, BullMQ looks and works.
 */
import { assert, both, inTime, item, json, selfCheck } from './support/suite.mjs';
import { median, waitFor } from './support/wait.mjs';

/* lateness in ms that a delayed job may have, as the median of a few */
const LATE_MS = 50;

async function nodeWorkerTakes(ctx, count, options) {
    const worker = await ctx.N.worker(ctx.q, options);
    await ctx.untilCount('completed', count);
    return worker.started.map((start) => start.job);
}

item(1, 'producer', 'the first add writes id, hash, wait list and marker', both,
    async (ctx) => {
        const before = Date.now();
        const id = await ctx.ox.add(ctx.q, 'first', { a: 1 });
        assert.equal(id, '1');
        assert.equal(await ctx.redis.get(ctx.key('id')), '1');
        const hash = await ctx.hash('1');
        assert.equal(hash.name, 'first');
        assert.deepEqual(json(hash.data), { a: 1 });
        assert.equal(typeof json(hash.opts), 'object');
        assert.ok(Number(hash.timestamp) >= before && Number(hash.timestamp) <= Date.now());
        assert.equal(hash.delay, '0');
        assert.equal(hash.priority, '0');
        assert.deepEqual(await ctx.wait(), ['1']);
        assert.deepEqual(await ctx.marker(), { 0: '0' });

        const queue = await ctx.N.queue(ctx.q);
        assert.deepEqual((await queue.getWaiting()).map((job) => job.id), ['1']);
        assert.equal(await queue.getJobState('1'), 'waiting');
    });

item(2, 'producer', 'an add emits exactly added{jobId,name} and waiting{jobId}', both,
    async (ctx) => {
        await ctx.ox.add(ctx.q, 'one', {});
        assert.deepEqual((await ctx.events()).map((event) => event.flat), [
            ['event', 'added', 'jobId', '1', 'name', 'one'],
            ['event', 'waiting', 'jobId', '1'],
        ]);
    });

const manyOptions = {
    attempts: 3,
    backoff: { type: 'exponential', delay: 100, jitter: 0.5 },
    delay: 60000,
    keepLogs: 7,
    priority: 9,
    removeOnComplete: { age: 60, count: 5 },
    removeOnFail: true,
    sizeLimit: 1000,
    stackTraceLimit: 2,
    timestamp: 1700000000000,
};

/* The same job from BullMQ is the measure. */
async function assertReadsAlike(ctx, options, more) {
    const queue = await ctx.N.queue(ctx.q);
    const data = { text: 'same', list: [1, 2] };
    const theirs = await queue.add('alike', data, options);
    const id = await ctx.ox.add(ctx.q, 'alike', data, more ? undefined : options, more);
    const [expected, got] = [await queue.getJob(theirs.id), await queue.getJob(id)];
    assert.equal(got.name, expected.name);
    assert.deepEqual(got.data, expected.data);
    assert.deepEqual(got.opts, expected.opts);
    assert.equal(got.timestamp, expected.timestamp);
    assert.equal(got.delay, expected.delay);
    assert.equal(got.priority, expected.priority);
    assert.equal(await got.getState(), await expected.getState());
}

item(3, 'producer', 'getJob returns equal name, data and options', both, async (ctx) => {
    await assertReadsAlike(ctx, manyOptions);
    await assertReadsAlike(ctx, { attempts: 5, backoff: { type: 'fixed', delay: 30 },
        lifo: true, removeOnComplete: 4, removeOnFail: false, timestamp: 1700000000000 });
});

item(3, 'producer', 'options given as BullMQ JSON arrive alike, unknown names kept', both,
    async (ctx) => {
        const options = { ...manyOptions, ownName: { kept: [true] } };
        await assertReadsAlike(ctx, options, { json: options });
        const numeric = { backoff: 250, attempts: 2, timestamp: 1700000000000 };
        await assertReadsAlike(ctx, numeric, { json: numeric });
    });

item(3, 'producer', 'telemetry, deduplication and child flags travel under BullMQ names', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const stored = async (id) => {
            const opts = json((await ctx.hash(id)).opts);
            return { ...opts, timestamp: 0, attempts: 0 };
        };
        const telemetry = { telemetry: { metadata: '{"trace":"a/b"}', omitContext: true } };
        const short = { tm: '{"trace":"a/b"}', omc: true };
        /* One option names a parent, the other is not taken by BullMQ together with it. */
        const parent = { id: (await queue.add('parent', {})).id, queue: `bull:${ctx.q}` };
        const flag = { parent, ignoreDependencyOnFailure: true };
        const alike = async (more) => {
            const long = (n) => ({ ...telemetry, ...more(n) });
            const theirs = await stored((await queue.add('job', {}, long(1))).id);
            const first = await ctx.ox.add(ctx.q, 'job', {},
                selfCheck ? long(2) : { ...short, ...more(2) });
            const second = await ctx.ox.add(ctx.q, 'job', {}, undefined, { json: long(3) });
            assert.equal(theirs.tm, '{"trace":"a/b"}');
            const but = (n) => ({ ...theirs, ...(theirs.de && { de: more(n).deduplication }) });
            assert.deepEqual(await stored(first), but(2));
            assert.deepEqual(await stored(second), but(3));
        };
        await alike((n) => ({ deduplication: { id: `d${n}`, ttl: 5000 } }));
        await alike(() => flag);
    });
item(3, 'producer', 'a prefix of its own, with colons and a hash tag, is kept to', both,
    async (ctx) => {
        const prefix = 'my:{app}';
        const queue = await ctx.N.queue(ctx.q, { prefix });
        const id = await ctx.ox.add(ctx.q, 'job', { a: 1 }, {}, { prefix });
        assert.deepEqual((await queue.getWaiting()).map((job) => job.id), [id]);
        assert.deepEqual(await ctx.redis.keys(`${ctx.base}*`), []);
        const worker = await ctx.oxWorker({ prefix });
        await waitFor(async () => (await queue.getJobState(id)) === 'completed', 'the end');
        assert.equal(worker.starts(id).length, 1);
    });

item(4, 'producer', 'three adds run in order, the tail of wait is first', both, async (ctx) => {
    for (const name of ['a', 'b', 'c']) await ctx.ox.add(ctx.q, name, {});
    assert.equal(await ctx.redis.lindex(ctx.key('wait'), -1), '1');
    assert.deepEqual(await nodeWorkerTakes(ctx, 3), ['1', '2', '3']);
});

item(5, 'producer', 'a lifo add runs before earlier ones', both, async (ctx) => {
    await ctx.ox.add(ctx.q, 'early', {});
    await ctx.ox.add(ctx.q, 'early', {});
    await ctx.ox.add(ctx.q, 'late', {}, { lifo: true });
    assert.deepEqual(await nodeWorkerTakes(ctx, 3), ['3', '1', '2']);
});

item(6, 'producer', 'a delayed job has score due*4096, marker, and runs when due', both,
    async (ctx) => {
        const worker = await ctx.N.worker(ctx.q);
        const late = [];
        for (let i = 0; i < 5; i++) {
            const id = await ctx.ox.add(ctx.q, 'later', {}, { delay: 500 });
            const hash = await ctx.hash(id);
            const due = Number(hash.timestamp) + 500;
            assert.equal(hash.delay, '500');
            assert.equal(Number(await ctx.redis.zscore(ctx.key('delayed'), id)), due * 4096);
            /* The idle worker may have popped the marker already; then it knows the time. */
            const delayMarker = (await ctx.marker())['1'];
            if (delayMarker !== undefined) assert.equal(Number(delayMarker), due);
            await ctx.untilCount('completed', i + 1);
            const done = await ctx.hash(id);
            assert.equal(done.delay, '0');
            late.push(Number(done.processedOn) - due);
        }
        assert.ok(Math.min(...late) >= 0, `too early: ${late}`);
        inTime(median(late), LATE_MS, `lateness of ${late}`);
        assert.equal(worker.started.length, 5);
    });

item(6, 'producer', 'without a worker the delay marker stands at the due time', both,
    async (ctx) => {
        const id = await ctx.ox.add(ctx.q, 'later', {}, { delay: 60000 });
        const due = Number((await ctx.hash(id)).timestamp) + 60000;
        assert.deepEqual(await ctx.marker(), { 1: String(due) });
        const event = (await ctx.events()).at(-1);
        assert.deepEqual(event.flat, ['event', 'delayed', 'jobId', id, 'delay', String(due)]);
    });

item(7, 'producer', 'two adds due in the same ms: scores differ by 1, run in order', both,
    async (ctx) => {
        const timestamp = Date.now();
        for (const name of ['a', 'b'])
            await ctx.ox.add(ctx.q, name, {}, { timestamp, delay: 300 });
        const [first, second] = [await ctx.redis.zscore(ctx.key('delayed'), '1'),
            await ctx.redis.zscore(ctx.key('delayed'), '2')].map(Number);
        assert.equal(first, (timestamp + 300) * 4096);
        assert.equal(second, first + 1);
        assert.deepEqual(await nodeWorkerTakes(ctx, 2), ['1', '2']);
    });

item(8, 'producer', 'priority 5, then 1, then none: scores, and order 0, 1, 5', both,
    async (ctx) => {
        await ctx.ox.add(ctx.q, 'five', {}, { priority: 5 });
        await ctx.ox.add(ctx.q, 'one', {}, { priority: 1 });
        await ctx.ox.add(ctx.q, 'none', {});
        const score = async (id) => Number(await ctx.redis.zscore(ctx.key('prioritized'), id));
        assert.equal(await score('1'), 5 * 2 ** 32 + 1);
        assert.equal(await score('2'), 1 * 2 ** 32 + 2);
        assert.equal((await ctx.hash('1')).priority, '5');
        assert.deepEqual(await nodeWorkerTakes(ctx, 3), ['3', '2', '1']);
    });

item(9, 'producer', 'a custom id twice: one job, event duplicated, id advanced by 2', both,
    async (ctx) => {
        assert.equal(await ctx.ox.add(ctx.q, 'a', { n: 1 }, { jobId: 'my-id' }), 'my-id');
        assert.equal(await ctx.ox.add(ctx.q, 'b', { n: 2 }, { jobId: 'my-id' }), 'my-id');
        assert.equal(await ctx.redis.get(ctx.key('id')), '2');
        assert.deepEqual(await ctx.wait(), ['my-id']);
        assert.deepEqual(json((await ctx.hash('my-id')).data), { n: 1 });
        assert.deepEqual((await ctx.events()).at(-1).flat,
            ['event', 'duplicated', 'jobId', 'my-id']);
    });

item(10, 'producer', 'ids 12, a:b, 0, 0:x and priority 2097152 are refused', both,
    async (ctx) => {
        for (const jobId of ['12', 'a:b', '0', '0:x'])
            await assert.rejects(ctx.ox.add(ctx.q, 'bad', {}, { jobId }), { code: 'EINVAL' });
        await assert.rejects(ctx.ox.add(ctx.q, 'bad', {}, { priority: 2097152 }),
            { code: 'EINVAL' });
        assert.equal(await ctx.ox.add(ctx.q, 'good', {}, { jobId: '12abc' }), '12abc');
        assert.equal(await ctx.ox.add(ctx.q, 'good', {}, { priority: 2097151 }), '2');
        assert.equal(await ctx.redis.get(ctx.key('id')), '2');
    });

async function assertBulk(ctx, op) {
    const jobs = Array.from({ length: 1000 }, (_, i) => ({ name: 'bulk', data: { i } }));
    const ids = await ctx.ox.call(op, { queue: ctx.q, jobs });
    const expected = Array.from({ length: 1000 }, (_, i) => String(i + 1));
    assert.deepEqual(ids, expected);
    assert.deepEqual((await ctx.wait()).reverse(), expected);

    const worker = await ctx.N.worker(ctx.q, { concurrency: 50 });
    await ctx.untilCount('completed', 1000, 30000);
    assert.deepEqual(worker.started.map((start) => start.job).sort(), [...expected].sort());
    const byJob = new Map(expected.map((id) => [id, []]));
    for (const event of await ctx.events((e) => e.jobId !== undefined))
        byJob.get(event.jobId).push(event.event);
    for (const [id, names] of byJob)
        assert.deepEqual(names, ['added', 'waiting', 'active', 'completed'], `job ${id}`);
    assert.deepEqual(json((await ctx.hash('1000')).data), { i: 999 });
}

item(11, 'producer', 'a bulk of 1000: all run, ids contiguous, events complete', both,
    (ctx) => assertBulk(ctx, 'add_bulk'));

item(11, 'producer', 'an adder fed with 1000: all run, ids contiguous, events complete', both,
    (ctx) => assertBulk(ctx, 'adder'));

item(12, 'producer', 'waitUntilFinished gives the value, or the message, of the worker', both,
    async (ctx) => {
        const events = await ctx.N.events(ctx.q);
        const queue = await ctx.N.queue(ctx.q);
        const good = await ctx.ox.add(ctx.q, 'good', { do: 'return', value: { sum: 3 } });
        const bad = await ctx.ox.add(ctx.q, 'bad', { do: 'fail', reason: 'not today' });
        const ends = Promise.allSettled([good, bad].map(async (id) =>
            (await queue.getJob(id)).waitUntilFinished(events, 10000)));
        await ctx.N.worker(ctx.q);
        const [value, failure] = await ends;
        assert.deepEqual(value.value, { sum: 3 });
        assert.equal(failure.reason?.message, 'not today');
    });

item(12, 'producer', 'Ox waits for the value, or the reason, of a BullMQ worker', both,
    async (ctx) => {
        const waiter = await ctx.agent('ox');
        const good = await ctx.ox.add(ctx.q, 'good', { do: 'return', value: { sum: 3 } });
        const bad = await ctx.ox.add(ctx.q, 'bad', { do: 'fail', reason: 'not today' });
        const value = waiter.call('wait', { queue: ctx.q, job: good, timeout_ms: 10000 });
        await ctx.N.worker(ctx.q);
        assert.deepEqual(json(await value), { sum: 3 });
        await assert.rejects(
            waiter.call('wait', { queue: ctx.q, job: bad, timeout_ms: 10000 }),
            (error) => error.code === 'EFAILED' && error.text.includes('not today'));
    });

item(13, 'producer', 'an add while paused waits without a marker and runs after resume', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.pause();
        const worker = await ctx.N.worker(ctx.q);
        await ctx.ox.add(ctx.q, 'held back', {});
        assert.deepEqual(await ctx.wait(), ['1']);
        assert.deepEqual(await ctx.marker(), {});
        await queue.resume();
        await ctx.untilCount('completed', 1);
        assert.equal(worker.started.length, 1);
    });

item(13, 'producer',
    'with legacy_pause, an add while 5.x paused is parked and runs after resume',
    { versions: ['5.81.5'], differs: '6.x has no such mode' }, async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.pause();
        await ctx.N.worker(ctx.q);
        await ctx.ox.add(ctx.q, 'held back', {}, {}, { legacy_pause: true });
        assert.deepEqual(await ctx.wait(), []);
        assert.deepEqual(await ctx.redis.lrange(ctx.key('paused'), 0, -1), ['1']);
        assert.deepEqual(await ctx.marker(), {});
        await queue.resume();
        await ctx.untilCount('completed', 1);
    });

item(14, 'producer', 'an add while maxed sets no marker; the job runs when a slot frees', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.setGlobalConcurrency(1);
        await ctx.N.worker(ctx.q);
        await ctx.ox.add(ctx.q, 'first', { do: 'hold' });
        await ctx.N.held();
        await ctx.redis.del(ctx.key('marker'));
        await ctx.ox.add(ctx.q, 'second', {});
        assert.deepEqual(await ctx.marker(), {});
        assert.deepEqual(await ctx.wait(), ['2']);
        ctx.N.gates.go('');
        await ctx.untilCount('completed', 2);
    });

item(15, 'producer', 'UTF-8, slashes, empty arrays and a 1 MB string arrive unchanged', both,
    async (ctx) => {
        const data = {
            text: 'Müller & Söhne — 車, 🚗, "quoted" \\ \u0001',
            path: 'a/b/c</script>',
            empty: [],
            nothing: {},
            nested: [[], [[]], null, true, -1.5, 1e21, 9007199254740991],
            big: 'ü'.repeat(2 ** 19),
        };
        const name = 'näme/with 🚗';
        const id = await ctx.ox.add(ctx.q, name, data);
        const job = await (await ctx.N.queue(ctx.q)).getJob(id);
        assert.deepEqual(job.data, data);
        assert.equal(job.name, name);
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        assert.deepEqual(json((await ctx.hash(id)).returnvalue), data);
    });

item(16, 'producer', 'a parent that does not exist: refused, no hash, no list entry', both,
    async (ctx) => {
        const parent = { id: 'nobody', queue: `bull:${ctx.q}` };
        await assert.rejects(ctx.ox.add(ctx.q, 'orphan', {}, { parent }), { code: 'EPARENT' });
        assert.equal(await ctx.redis.exists(ctx.key('1'), ctx.key('wait'), ctx.key('events'),
            ctx.key('nobody:dependencies'), ctx.key('id')), 0);
        /* and beside good ones in a bulk, it alone is refused */
        if (selfCheck) return;
        const jobs = [{ name: 'a' }, { name: 'orphan', opts: { parent } }, { name: 'b' }];
        const ids = await ctx.ox.call('adder', { queue: ctx.q, jobs });
        assert.deepEqual(ids, ['1', -114, '2']);
        await waitFor(async () => (await ctx.wait()).length === 2, 'the two good ones');
    });
