/*
 * jobs.test.mjs - what is said of single jobs: ox cancels runs of BullMQ's workers, and the job
 * options `timeout` and `expire`, which BullMQ does not know, stay in jobs that pass through it.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ox, oxWorker } from './support/programs.mjs';
import { assert, both, item, json, selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

/* The self-check has no programs to check. */
const programs = (number, role, text, options, body) => {
    if (!selfCheck) item(number, role, text, options, body);
};

/* Cancels a job and returns what ox says in JSON, and on stderr. */
async function cancel(ctx, queue, id, ...words) {
    const { status, stdout, stderr } = await ox(ctx.server, 'cancel', queue, id, '--json', ...words);
    assert.equal(status, 0, stderr);
    return { said: json(stdout), stderr };
}

programs(70, 'operator', 'ox cancel fails a run of a BullMQ worker, whose own end is refused', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await ctx.N.worker(ctx.q);
        const errors = [];
        worker.on('error', (error) => errors.push(error.message));
        const { id } = await queue.add('job', { do: 'hold' },
            { attempts: 5, deduplication: { id: 'once' } });
        await waitFor(() => worker.started.length === 1, 'the start');
        const { said, stderr } = await cancel(ctx, ctx.q, id, '--reason', 'not wanted');
        assert.deepEqual(said, { id, cancelled: true, handler_stops: false });
        assert.ok(stderr.includes('its handler may run on'), stderr);
        const job = await queue.getJob(id);
        assert.equal(await job.getState(), 'failed');
        assert.equal(job.failedReason, 'cancelled: not wanted');
        assert.equal(job.stacktrace.length, 1);
        assert.equal(job.attemptsMade, 1);
        assert.deepEqual((await queue.getJobLogs(id)).logs, ['cancelled: not wanted']);
        assert.equal(await queue.getDeduplicationJobId('once'), null);
        const failed = await ctx.events((e) => e.event === 'failed');
        assert.deepEqual(failed.map((e) => e.flat), [['event', 'failed', 'jobId', id,
            'failedReason', 'cancelled: not wanted', 'prev', 'active']]);
        ctx.N.gates.go('');
        await waitFor(() => errors.length > 0, 'the refusal');
        assert.match(errors[0], /lock|Lock|active/);
        assert.equal(await job.getState(), 'failed');
        assert.equal((await ctx.hash(id)).returnvalue, undefined);
        const { status, stderr: refusal } = await ox(ctx.server, 'cancel', ctx.q, id);
        assert.equal(status, 1);
        assert.ok(refusal.includes('this one is failed (ox rm removes it)'), refusal);
    });

programs(70, 'operator', 'ox cancel of a child: its parent fails or goes on as BullMQ says', both,
    async (ctx) => {
        const worker = await ctx.N.worker(`${ctx.q}c`);
        for (const [parent, option, end] of [['p1', 'failParentOnFailure', 'failed'],
            ['p2', 'ignoreDependencyOnFailure', 'completed']]) {
            await ctx.N.flows().add({ name: 'top', queueName: ctx.q, opts: { jobId: parent },
                children: [{ name: 'leaf', queueName: `${ctx.q}c`, data: { do: 'hold' },
                    opts: { jobId: `c-${parent}`, [option]: true } }] });
            await waitFor(() => worker.started.some(({ job }) => job === `c-${parent}`), 'the start');
            await cancel(ctx, `${ctx.q}c`, `c-${parent}`);
            ctx.N.gates.go('');
            const top = end === 'failed' ? await ctx.oxWorker() : await ctx.N.worker(ctx.q);
            const queue = await ctx.N.queue(ctx.q);
            await waitFor(async () => (await queue.getJobState(parent)) === end, `${parent} ${end}`);
            if (end === 'failed') await top.call('worker_close', { worker: top.worker });
        }
        await ctx.assertQuiet();
    });

programs(70, 'operator', 'ox cancel of a run of an Ox worker is told there within one renewal', both,
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('job', { do: 'hold' });
        const worker = await ctx.oxWorker({ lock_ms: 1000 });
        await waitFor(() => worker.starts(id).length === 1, 'the start');
        const { said } = await cancel(ctx, ctx.q, id);
        assert.equal(said.handler_stops, true);
        await waitFor(() => worker.events.some((e) => e.event === 'lock_lost'), 'the loss');
        await worker.go();
        assert.equal(await queue.getJobState(id), 'failed');
        assert.equal((await queue.getJob(id)).failedReason, 'cancelled');
    });

/* BullMQ's own view of a job has both options, and the stored text is what it was. */
async function assertKept(ctx, queue, id, limits, stored) {
    const { opts } = await queue.getJob(id);
    assert.deepEqual({ timeout: opts.timeout, expire: opts.expire }, limits);
    assert.deepEqual(json((await ctx.hash(id)).opts), json(stored));
}

/* Of the job 1, delayed, whose first run fails and whose second one returns. */
async function passThroughBullMQ(ctx, queue, limits) {
    const stored = (await ctx.hash('1')).opts;
    const kept = () => assertKept(ctx, queue, '1', limits, stored);
    await kept();
    await (await queue.getJob('1')).promote();
    await kept();
    const worker = await ctx.N.worker(ctx.q);
    await ctx.untilCount('failed', 1);
    await kept();
    await (await queue.getJob('1')).retry();
    await ctx.untilCount('completed', 1);
    await kept();
    assert.equal(worker.started.length, 2);
}

const failsOnce = { starts: [[{ do: 'fail', reason: 'first' }], [{ do: 'return', value: 7 }]] };

programs(71, 'producer', 'timeout and expire of ox add stay in a job that BullMQ promotes, runs, '
    + 'fails and retries', both, async (ctx) => {
    const { status, stderr } = await ox(ctx.server, 'add', ctx.q, 'job', JSON.stringify(failsOnce),
        '--timeout', '5s', '--expire', '2h', '--delay', '1h');
    assert.equal(status, 0, stderr);
    await passThroughBullMQ(ctx, await ctx.N.queue(ctx.q), { timeout: 5000, expire: 7200000 });
});

item(71, 'producer', 'timeout and expire of libox stay in a job that BullMQ promotes, runs, fails '
    + 'and retries', both, async (ctx) => {
    const limits = { timeout: 5000, expire: 7200000 };
    await ctx.ox.add(ctx.q, 'job', failsOnce, { ...limits, delay: 3600000 });
    await passThroughBullMQ(ctx, await ctx.N.queue(ctx.q), limits);
});

item(71, 'producer', 'a BullMQ worker runs a job whatever its timeout and expire are', both,
    async (ctx) => {
        const late = { expire: 1000, timestamp: Date.now() - 60000, timeout: 1 };
        await ctx.ox.add(ctx.q, 'job', { steps: [{ do: 'sleep', ms: 100 },
            { do: 'return', value: 'ran' }] }, late);
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        assert.equal((await ctx.hash('1')).returnvalue, '"ran"');
    });

programs(71, 'worker', 'ox-worker kills a run at the timeout that BullMQ gave, and after each retry',
    both, async (ctx) => {
        const folder = mkdtempSync(join(tmpdir(), 'exec-'));
        const path = join(folder, 'hang');
        const reason = 'handler killed: timeout after 300ms';
        writeFileSync(path, '#!/bin/sh\nexec sleep 600\n');
        chmodSync(path, 0o755);
        const worker = await oxWorker(ctx.server, `${ctx.q}=exec:${path}`);
        try {
            const queue = await ctx.N.queue(ctx.q);
            const { id } = await queue.add('job', {}, { timeout: 300, attempts: 2 });
            await ctx.untilCount('failed', 1);
            const failed = await queue.getJob(id);
            assert.equal(failed.failedReason, reason);
            assert.equal(failed.attemptsMade, 2);
            await failed.retry();
            await ctx.untilEvent((e) => e.event === 'waiting' && e.prev === 'failed');
            await ctx.untilCount('failed', 1);
            const again = await queue.getJob(id);
            assert.equal(again.opts.timeout, 300);
            assert.equal(again.failedReason, reason);
            assert.equal(again.attemptsMade, 3);
        } finally {
            await worker.stop();
            rmSync(folder, { recursive: true, force: true });
        }
    });

programs(71, 'worker', 'ox-worker fails unrun what is past the expire that BullMQ gave, runs the '
    + 'rest', both, async (ctx) => {
    const worker = await oxWorker(ctx.server, `${ctx.q}=echo`);
    try {
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const late = await queue.add('job', {},
            { expire: 1000, timestamp: Date.now() - 60000, attempts: 3 });
        await assert.rejects(late.waitUntilFinished(events, 20000), /expired before start/);
        const failed = await queue.getJob(late.id);
        assert.equal(await failed.getState(), 'failed');
        assert.equal(failed.opts.expire, 1000);
        const fresh = await queue.add('job', { n: 1 }, { expire: 3600000 });
        assert.deepEqual(await fresh.waitUntilFinished(events, 20000), { n: 1 });
    } finally {
        await worker.stop();
    }
});
