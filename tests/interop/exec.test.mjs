/*
 * exec.test.mjs - programs that ox-worker runs, one for each job and in stream mode, do jobs that
 * BullMQ added: what they return, log, report and fail with is what BullMQ reads.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { oxWorker } from './support/programs.mjs';
import { assert, item, selfCheck } from './support/suite.mjs';

const once = `#!/usr/bin/env node
import { readFileSync } from 'node:fs';
const data = JSON.parse(readFileSync(0, 'utf8'));
console.error('attempt ' + process.env.OX_ATTEMPT + ' of ' + process.env.OX_JOB_NAME);
console.error('ox:progress ' + JSON.stringify({ step: 2 }));
if (data.status) {
    console.error(data.reason);
    process.exit(data.status);
}
console.log(JSON.stringify({ doubled: data.number * 2, text: data.text }));
`;

const stream = `#!/usr/bin/env node
import { createInterface } from 'node:readline';
const say = (line) => process.stdout.write(JSON.stringify(line) + '\\n');
for await (const line of createInterface({ input: process.stdin })) {
    const { id, name, attempt, data } = JSON.parse(line);
    say({ log: 'attempt ' + attempt + ' of ' + name });
    say({ progress: { step: 2 } });
    if (data.status) say({ id, error: data.reason, retry: data.status !== 65 });
    else say({ id, result: { doubled: data.number * 2, text: data.text } });
}
`;

/* The self-check has no ox-worker to check. */
function program(number, text, source, mode, body) {
    if (selfCheck) return;
    item(number, 'worker', text, async (ctx) => {
        const folder = mkdtempSync(join(tmpdir(), 'exec-'));
        const path = join(folder, 'work.mjs');
        writeFileSync(path, source);
        chmodSync(path, 0o755);
        const worker = await oxWorker(ctx.server, '--mode', mode, `${ctx.q}=exec:${path}`);
        try {
            await body(ctx, await ctx.N.queue(ctx.q), await ctx.N.events(ctx.q));
        } finally {
            await worker.stop();
            rmSync(folder, { recursive: true, force: true });
        }
    });
}

/* The job as BullMQ has it once it has ended; `ended` is the value, or the error that it failed
 * with. */
async function runJob(queue, events, data, options) {
    const added = await queue.add('paint', data, options);
    const ended = await added.waitUntilFinished(events, 30000).catch((error) => error);
    const job = await queue.getJob(added.id);
    return { ended, job, ...(await queue.getJobLogs(added.id)) };
}

async function doneAsBullMQReads(ctx, queue, events) {
    const { ended, job, logs } = await runJob(queue, events, { number: 21, text: 'ü/"\n' });
    assert.deepEqual(ended, { doubled: 42, text: 'ü/"\n' });
    assert.deepEqual(job.returnvalue, ended);
    assert.deepEqual(job.progress, { step: 2 });
    assert.deepEqual(logs, ['attempt 1 of paint']);
    assert.equal(await job.getState(), 'completed');
}

/* `rows` are those that the reason leaves in the log. */
async function failedAsBullMQReads(queue, events, data, made, reason, rows) {
    const { ended, job, logs } = await runJob(queue, events, data, { attempts: 2 });
    assert.equal(ended.message, reason);
    assert.equal(job.failedReason, reason);
    assert.equal(job.attemptsMade, made);
    assert.equal(job.stacktrace.length, made);
    assert.ok(job.stacktrace[0].startsWith(reason));
    const attempts = Array.from({ length: made }, (_, i) => [`attempt ${i + 1} of paint`, ...rows]);
    assert.deepEqual(logs, attempts.flat());
    assert.equal(await job.getState(), 'failed');
}

program(19, 'a program that ox-worker runs for a job: value, progress and log', once, 'one-shot',
    doneAsBullMQReads);

program(19, 'a program that ox-worker keeps for many jobs: value, progress and log', stream,
    'stream', doneAsBullMQReads);

program(20, 'how a program fails a job: for good with 65, by its attempts else', once, 'one-shot',
    async (ctx, queue, events) => {
        const reason = 'out of paint';
        const told = `exec: work.mjs: ${reason}`;
        await failedAsBullMQReads(queue, events, { status: 65, reason }, 1, told, [reason]);
        await failedAsBullMQReads(queue, events, { status: 75, reason }, 2, told, [reason]);
        await failedAsBullMQReads(queue, events, { status: 1, reason }, 2, told, [reason]);
    });

program(20, 'how a program that is kept fails a job: for good, or by its attempts', stream,
    'stream', async (ctx, queue, events) => {
        const reason = 'out of paint';
        await failedAsBullMQReads(queue, events, { status: 65, reason }, 1, reason, []);
        await failedAsBullMQReads(queue, events, { status: 75, reason }, 2, reason, []);
        await doneAsBullMQReads(ctx, queue, events);
    });
