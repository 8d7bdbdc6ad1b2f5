/*
 * programs.test.mjs - ox and ox-worker themselves beside BullMQ: a photo, a result, a
 * failure, a delay and a retry cross from one to the other.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ox, oxWorker, png } from './support/programs.mjs';
import { assert, inTime, item, json, selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

/* Times are kept within this, both ways. */
const KEPT_MS = 50;

/* A folder for photos and an ox-worker in it; both gone afterwards. */
async function withImageWorker(ctx, body, ...words) {
    const root = mkdtempSync(join(tmpdir(), 'root-'));
    const worker = await oxWorker(ctx.server, `${ctx.q}=image`, '--root', root, ...words);
    try {
        await body(root, worker);
    } finally {
        await worker.stop();
        rmSync(root, { recursive: true, force: true });
    }
}

/* The self-check has no programs to check. */
const programs = (number, role, text, options, body = options) => {
    if (!selfCheck) item(number, role, text, body === options ? {} : options, body);
};

programs(19, 'worker', 'ox-worker compresses a photo that BullMQ added, which gets the result',
    (ctx) => withImageWorker(ctx, async (root) => {
        writeFileSync(join(root, 'car.png'), png(900, 600));
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const job = await queue.add('compress', { input: 'car.png', outputs: [
            { file: 'car-450.jpg', width: 450, quality: 80 },
            { file: 'car-300.webp', width: 300 },
            { file: 'card.jpg', width: 120, height: 120, fit: 'cover' },
        ] });
        const result = await job.waitUntilFinished(events, 20000);
        assert.deepEqual(result, json((await ctx.hash(job.id)).returnvalue));
        assert.deepEqual(result.outputs.map((one) => [one.file, one.width, one.height]),
            [['car-450.jpg', 450, 300], ['car-300.webp', 300, 200], ['card.jpg', 120, 120]]);
        for (const one of result.outputs)
            assert.equal(readFileSync(join(root, one.file)).length, one.bytes);
        assert.equal(readFileSync(join(root, 'car-450.jpg')).readUInt16BE(0), 0xffd8);
        assert.equal(readFileSync(join(root, 'car-300.webp')).toString('latin1', 8, 12), 'WEBP');
    }));

programs(12, 'producer', 'ox add --wait prints what a BullMQ worker returned', async (ctx) => {
    await ctx.N.worker(ctx.q);
    const value = { sum: 3, text: 'ü/"' };
    const { status, stdout, stderr } = await ox(ctx.server, 'add', ctx.q, 'job',
        JSON.stringify({ do: 'return', value }), '--wait=10s');
    assert.equal(stderr, '');
    assert.equal(status, 0);
    assert.deepEqual(json(stdout), value);
});

programs(20, 'worker', 'why a job failed in ox-worker is what BullMQ reads',
    (ctx) => withImageWorker(ctx, async (root) => {
        writeFileSync(join(root, 'text.jpg'), 'this is no photo\n');
        const queue = await ctx.N.queue(ctx.q);
        const events = await ctx.N.events(ctx.q);
        const added = await queue.add('compress', { input: 'text.jpg' }, { attempts: 3 });
        const message = await added.waitUntilFinished(events, 20000).then(
            () => assert.fail('it completed'), (error) => error.message);
        assert.match(message, /text\.jpg/);
        const job = await queue.getJob(added.id);
        assert.equal(job.failedReason, message);
        assert.equal(job.attemptsMade, 1);
        assert.equal(job.stacktrace.length, 1);
        assert.ok(job.stacktrace[0].includes(message));
    }));

programs(20, 'producer',
    'why a job failed in a BullMQ worker is what ox prints', async (ctx) => {
    await ctx.N.worker(ctx.q);
    const data = { do: 'fail', reason: 'out of paint', stack: 'Error: out of paint\n    at here' };
    const added = await ox(ctx.server, 'add', ctx.q, 'job', JSON.stringify(data), '--wait=10s');
    assert.equal(added.status, 1);
    assert.match(added.stderr, /out of paint/);
    assert.equal(added.stderr.trim().split('\n').length, 1);
    const shown = await ox(ctx.server, 'job', ctx.q, '1', '--json');
    assert.equal(shown.status, 0);
    assert.match(shown.stdout, /"out of paint"/);
    assert.match(shown.stdout, /at here/);
});

function assertKept(late) {
    assert.ok(late >= 0, `early: ${late} ms`);
    inTime(late, KEPT_MS, 'lateness');
}

programs(6, 'producer', 'ox add --delay: BullMQ starts the job when it is due', async (ctx) => {
    await ctx.N.worker(ctx.q);
    const { stdout, status } = await ox(ctx.server, 'add', ctx.q, 'job', '{}', '--delay', '400ms');
    assert.equal(status, 0);
    await ctx.untilCount('completed', 1);
    const hash = await ctx.hash(stdout.trim());
    assertKept(Number(hash.processedOn) - Number(hash.timestamp) - 400);
});

programs(6, 'worker', 'a delayed job of BullMQ starts in ox-worker when it is due',
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const worker = await oxWorker(ctx.server, `${ctx.q}=echo`);
        try {
            const { id } = await queue.add('job', { a: 1 }, { delay: 400 });
            await ctx.untilCount('completed', 1);
            const hash = await ctx.hash(id);
            assertKept(Number(hash.processedOn) - Number(hash.timestamp) - 400);
            assert.deepEqual(json(hash.returnvalue), { a: 1 });
        } finally {
            await worker.stop();
        }
    });

/* The second start of a job that failed once: how late after the due time of its retry. */
async function assertRetryKept(ctx, id, wait) {
    const [due] = await ctx.events((e) => e.event === 'delayed' && e.jobId === id);
    const asked = Number(due.delay) - due.ms;
    assert.ok(asked <= wait, `put off by ${asked} ms`);
    inTime(wait - asked, KEPT_MS, 'from the decision to the event');
    assertKept(Number((await ctx.hash(id)).processedOn) - Number(due.delay));
}

programs(21, 'producer', 'ox add --backoff fixed:300ms: BullMQ tries again when it is due',
    async (ctx) => {
        await ctx.N.worker(ctx.q);
        const data = { starts: [[{ do: 'fail', reason: 'once' }], []] };
        const { stdout, status } = await ox(ctx.server, 'add', ctx.q, 'job', JSON.stringify(data),
            '--attempts', '2', '--backoff', 'fixed:300ms');
        assert.equal(status, 0);
        await ctx.untilCount('completed', 1);
        await assertRetryKept(ctx, stdout.trim(), 300);
    });

programs(21, 'worker', 'a photo that comes late: ox-worker tries again when it is due',
    (ctx) => withImageWorker(ctx, async (root) => {
        const queue = await ctx.N.queue(ctx.q);
        const { id } = await queue.add('compress',
            { input: 'late.png', outputs: [{ file: 'late.jpg' }] },
            { attempts: 2, backoff: { type: 'fixed', delay: 300 } });
        await waitFor(async () => (await queue.getJobState(id)) === 'delayed', 'the first try');
        writeFileSync(join(root, 'late.png'), png(60, 40));
        await ctx.untilCount('completed', 1);
        await assertRetryKept(ctx, id, 300);
        assert.equal((await queue.getJob(id)).attemptsMade, 2);
    }));

programs(16, 'producer', 'ox add refuses in one line and adds nothing', async (ctx) => {
    for (const [args, status] of [
        [[ctx.q, 'job', '{bad'], 2],
        [[ctx.q, 'job', '{}', '--id', '12'], 2],
        [[ctx.q, 'job', '{}', '--id', 'a:b'], 2],
        [['a:b', 'job', '{}'], 2],
        [[ctx.q, 'job', '{}', '--parent', `${ctx.q}:nobody`], 3],
    ]) {
        const result = await ox(ctx.server, 'add', ...args);
        assert.equal(result.status, status, `${args}: ${result.stderr}`);
        assert.equal(result.stdout, '');
        assert.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
    }
    const keys = await ctx.redis.keys(`${ctx.base}*`);
    assert.deepEqual(keys.filter((key) => key !== ctx.key('meta')), []);
});

/* Runs ox and expects it to do its work. Gives what it printed. */
async function oxDoes(ctx, ...args) {
    const { status, stdout, stderr } = await ox(ctx.server, ...args);
    assert.equal(status, 0, `ox ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
}

programs(
    52,
    'operator',
    'ox promote, update, retry and rm: BullMQ sees what they did',
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('delayed', {}, { delay: 60000 });
        await queue.add('moved', {}, { priority: 9 });
        await queue.add('failing', { starts: [[{ do: 'fail', reason: 'x' }], []] });
        await oxDoes(
            ctx,
            'update',
            ctx.q,
            '2',
            '--priority',
            '3',
            '--data',
            '{"new":true}',
            '--log',
            'seen',
            '--progress',
            '50',
        );
        const moved = await queue.getJob('2');
        assert.equal(moved.priority, 3);
        assert.deepEqual(moved.data, { new: true });
        assert.equal(moved.progress, 50);
        assert.deepEqual((await queue.getJobLogs('2')).logs, ['seen']);
        await oxDoes(ctx, 'update', ctx.q, '1', '--delay', '90s');
        assert.equal((await queue.getJob('1')).delay, 90000);
        await oxDoes(ctx, 'promote', ctx.q, '1');
        assert.equal(await queue.getJobState('1'), 'waiting');
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('failed', 1);
        await oxDoes(ctx, 'retry', ctx.q, '--all', '--state', 'failed');
        await ctx.untilCount('completed', 3);
        await oxDoes(ctx, 'rm', ctx.q, '1');
        assert.equal(await queue.getJob('1'), undefined);
        assert.equal((await ox(ctx.server, 'rm', ctx.q, '1')).status, 3);
    },
);

programs(
    40,
    'operator',
    'ox pause, resume and limit: BullMQ sees what they did',
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await oxDoes(ctx, 'pause', ctx.q);
        assert.equal(await queue.isPaused(), true);
        await oxDoes(ctx, 'resume', ctx.q);
        assert.equal(await queue.isPaused(), false);
        await oxDoes(ctx, 'limit', ctx.q, '--concurrency', '3', '--rate', '100/1m');
        assert.equal(await queue.getGlobalConcurrency(), 3);
        assert.deepEqual(await queue.getGlobalRateLimit(), { max: 100, duration: 60000 });
        await oxDoes(ctx, 'limit', ctx.q, '--clear');
        assert.equal(await queue.getGlobalConcurrency(), null);
        assert.equal(await queue.getGlobalRateLimit(), null);
    },
);

programs(
    55,
    'operator',
    'ox drain, clean and obliterate: BullMQ sees what is left',
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        await queue.add('done', {});
        const worker = await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        await worker.close();
        await queue.add('waiting', {});
        await queue.add('delayed', {}, { delay: 60000 });
        const sum = async () =>
            Object.values(await queue.getJobCounts()).reduce((all, one) => all + one, 0);
        await oxDoes(ctx, 'drain', ctx.q, '--yes');
        assert.equal(await sum(), 2);
        await oxDoes(ctx, 'clean', ctx.q, '--state', 'completed', '--yes');
        assert.equal(await sum(), 1);
        await oxDoes(ctx, 'obliterate', ctx.q, '--yes');
        assert.deepEqual(await ctx.redis.keys(`${ctx.base}*`), []);
    },
);

programs(57, 'operator', 'ox counts and workers say what BullMQ says', async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    await queue.add('waiting', {});
    await queue.add('delayed', {}, { delay: 60000 });
    await queue.pause();
    await ctx.N.worker(ctx.q, { name: 'painter' });
    const counts = json(await oxDoes(ctx, 'counts', ctx.q, '--json'));
    for (const [state, count] of Object.entries(await queue.getJobCounts()))
        assert.equal(counts[state], count, `${state}: ${JSON.stringify(counts)}`);
    await waitFor(
        async () => (await oxDoes(ctx, 'workers', ctx.q, '--json')).includes('"painter"'),
        'the worker to be listed',
    );
});

programs(58, 'producer', 'ox flow: BullMQ runs the tree', async (ctx) => {
    const root = mkdtempSync(join(tmpdir(), 'flow-'));
    const file = join(root, 'album.json');
    const child = (n) => ({
        name: 'photo',
        queueName: `${ctx.q}c`,
        data: { do: 'return', value: n },
    });
    writeFileSync(file, JSON.stringify({ name: 'album', children: [child(1), child(2)] }));
    try {
        const id = await oxDoes(ctx, 'flow', ctx.q, file);
        await ctx.N.worker(`${ctx.q}c`);
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
        const parent = await (await ctx.N.queue(ctx.q)).getJob(id);
        assert.deepEqual(Object.values(await parent.getChildrenValues()).sort(), [1, 2]);
    } finally {
        rmSync(root, { recursive: true, force: true });
    }
});

programs(
    64,
    'operator',
    'ox schedule set, ls and rm: BullMQ sees the scheduler come and go',
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const id = await oxDoes(
            ctx,
            'schedule',
            'set',
            ctx.q,
            'nightly',
            'clean',
            '{"a":1}',
            '--cron',
            '0 15 3 * * *',
            '--tz',
            'Europe/Berlin',
        );
        const [scheduler] = await queue.getJobSchedulers();
        assert.equal(scheduler.key, 'nightly');
        assert.equal(scheduler.name, 'clean');
        assert.equal(scheduler.pattern, '0 15 3 * * *');
        assert.deepEqual(scheduler.template.data, { a: 1 });
        assert.equal(await queue.getJobState(id), 'delayed');
        assert.match(await oxDoes(ctx, 'schedule', 'ls', ctx.q, '--json'), /"nightly"/);
        await oxDoes(ctx, 'schedule', 'rm', ctx.q, 'nightly');
        assert.deepEqual(await queue.getJobSchedulers(), []);
        assert.equal(await queue.getJobState(id), 'unknown');
    },
);

programs(11, 'producer', 'ox import: BullMQ runs a thousand lines', async (ctx) => {
    const root = mkdtempSync(join(tmpdir(), 'import-'));
    const file = join(root, 'lines');
    writeFileSync(
        file,
        Array.from(
            { length: 1000 },
            (_, n) =>
                `${JSON.stringify({ name: 'line', data: { n }, opts: { attempts: 2 } })}\n`,
        ).join(''),
    );
    try {
        await oxDoes(ctx, 'import', ctx.q, file);
        await ctx.N.worker(ctx.q, { concurrency: 20 });
        await ctx.untilCount('completed', 1000);
        const last = await (await ctx.N.queue(ctx.q)).getJob('1000');
        assert.deepEqual(last.data, { n: 999 });
        assert.equal(last.opts.attempts, 2);
    } finally {
        rmSync(root, { recursive: true, force: true });
    }
});

/* That all of them lie where 5.x will look for them, and none where its resume writes over. */
async function assertParked(ctx, count) {
    assert.deepEqual(await ctx.wait(), []);
    assert.equal(await ctx.redis.llen(ctx.key('paused')), count);
}

programs(
    68,
    'operator',
    'ox --legacy-pause: what it adds and moves while 5.x paused survives the resume of 5.x',
    { versions: ['5.81.5'] },
    async (ctx) => {
        const root = mkdtempSync(join(tmpdir(), 'parked-'));
        const line = join(root, 'line');
        writeFileSync(line, JSON.stringify({ name: 'one' }));
        try {
            const queue = await ctx.N.queue(ctx.q);
            const failing = await queue.add('failing',
                { starts: [[{ do: 'fail', reason: 'x' }], []] });
            const worker = await ctx.N.worker(ctx.q);
            await ctx.untilCount('failed', 1);
            await worker.close();
            const delayed = await queue.add('delayed', {}, { delay: 60000 });
            const urgent = await queue.add('urgent', {}, { priority: 1 });
            await queue.add('waiting', {});
            await queue.pause();
            await assertParked(ctx, 1);
            const does = (...args) => oxDoes(ctx, ...args, '--legacy-pause');
            await does('add', ctx.q, 'one');
            await does('import', ctx.q, line);
            await does('flow', ctx.q, line);
            await does('retry', ctx.q, failing.id);
            await does('promote', ctx.q, delayed.id);
            await does('update', ctx.q, urgent.id, '--priority', '0');
            await does('schedule', 'set', ctx.q, 'tick', '--every', '1h');
            await assertParked(ctx, 8);
            await queue.resume();
            await ctx.N.worker(ctx.q);
            await ctx.untilCount('completed', 8);
        } finally {
            rmSync(root, { recursive: true, force: true });
        }
    },
);

programs(
    68,
    'worker',
    'ox-worker --legacy-pause: what falls due while 5.x paused survives the resume of 5.x',
    { versions: ['5.81.5'] },
    (ctx) => withImageWorker(ctx, async (root) => {
        const queue = await ctx.N.queue(ctx.q);
        const input = { input: 'late.png', outputs: [{ file: 'late.jpg' }] };
        const { id } = await queue.add('retried', input,
            { attempts: 2, backoff: { type: 'fixed', delay: 1000 } });
        await waitFor(async () => (await queue.getJobState(id)) === 'delayed', 'the first try');
        await queue.add('delayed', input, { delay: 500 });
        await queue.pause();
        writeFileSync(join(root, 'late.png'), png(60, 40));
        await queue.add('waiting', input);
        await waitFor(async () => (await ctx.redis.zcard(ctx.key('delayed'))) === 0,
            'both to be due');
        await assertParked(ctx, 3);
        await queue.resume();
        await ctx.untilCount('completed', 3);
    }, '--legacy-pause'),
);
