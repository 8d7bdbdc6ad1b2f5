/*
 * jobs.test.mjs - what is said of single jobs: runs of BullMQ's workers are cancelled by ox.
 */
import { ox } from './support/programs.mjs';
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
