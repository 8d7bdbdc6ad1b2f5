/*
 * payload.mjs - what a job may bring and say: no data at all, and a thousand reports of progress
 * a second. (Megabytes of data, results and log rows: tests/integration/test_worker_exec.c.)
 *
 * Reports that come faster than they can be stored are held back: of those that wait only the
 * last is kept, so what the worker needs does not grow with their number; the last one of a job
 * is stored before its end.
 */
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Npm } from '../interop/support/npm.mjs';
import { oxWorker } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { waitFor } from '../interop/support/wait.mjs';
import { memoryKb } from './processes.mjs';

const PER_SECOND = 1000;
const GROWTH_KB = 4096;
const HOLD_MS = 300; /* of the server, again and again: reports wait then */

/* Tells its progress a thousand times a second; in stream mode for each line. */
const TELL = `#!/usr/bin/env node
import { createInterface } from 'node:readline';
const seconds = Number(process.argv[2]);
const last = seconds * ${PER_SECOND};
const tell = (write) => new Promise((resolve) => {
    const started = Date.now();
    let told = 0;
    const timer = setInterval(() => {
        const due = Math.min(last, Date.now() - started);
        while (told < due) write(++told);
        if (told === last) resolve(clearInterval(timer));
    }, 5);
});
if (process.env.OX_JOB_ID) {
    await tell((n) => process.stderr.write('ox:progress ' + n + '\\n'));
    console.log(last);
} else {
    for await (const line of createInterface({ input: process.stdin })) {
        const { id } = JSON.parse(line);
        await tell((n) => console.log(JSON.stringify({ id, progress: n })));
        console.log(JSON.stringify({ id, result: last }));
    }
}
`;

async function ended(server, queue, id) {
    await waitFor(() => server.client.hexists(`bull:${queue}:${id}`, 'finishedOn'),
        `${queue} ${id} to end`, 60000);
    return server.client.hgetall(`bull:${queue}:${id}`);
}

async function progress(server, queue, worker, seconds, spoil) {
    const problems = [];
    const pid = worker.child.pid;
    const before = memoryKb(pid, 'VmHWM');
    const { id } = await queue.add('tell', {});
    /* A server that is busy now and then, so that reports pile up where they can. */
    const slow = setInterval(() => server.client.call('CLIENT', 'PAUSE', HOLD_MS)
        .catch((error) => problems.push(error.message)), 2 * HOLD_MS);
    const hash = await ended(server, queue.name, id).finally(() => clearInterval(slow));
    let grown = memoryKb(pid, 'VmHWM') - before;
    const events = await server.client.xrange(`bull:${queue.name}:events`, '-', '+');
    let stored = events.filter(([, flat]) => flat[1] === 'progress').length;
    const told = seconds * PER_SECOND;
    if (spoil === 'flood') [grown, stored] = [grown + GROWTH_KB + 1, told];
    if (hash.returnvalue !== `${told}` || hash.progress !== `${told}`)
        problems.push(`${queue.name}: returned ${hash.returnvalue}, progress ${hash.progress}, ` +
            `reason ${hash.failedReason}`);
    if (stored < 2 || stored >= told)
        problems.push(`${queue.name}: ${stored} reports stored of ${told}`);
    if (grown > GROWTH_KB) problems.push(`${queue.name}: memory grew by ${grown} kB`);
    return { problems, line: `${queue.name.padEnd(11)}${told} reports of progress, ${stored} ` +
        `stored; the worker's peak grew by ${grown} kB` };
}

/* A job whose data is an empty string, which BullMQ reads as {} and does not write. */
async function noData(server, queue, spoil) {
    const { id } = await queue.add('empty', {}, { delay: 3600000 });
    await server.client.hset(`bull:count:${id}`, 'data', spoil === 'empty' ? '123' : '');
    await (await queue.getJob(id)).promote();
    const hash = await ended(server, 'count', id);
    return hash.returnvalue === '2' ? []
        : [`no data: returned ${hash.returnvalue}, reason ${hash.failedReason}`];
}

export async function payload({ size: { seconds }, spoil }) {
    const folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'payload-'));
    const program = join(folder, 'tell.mjs');
    writeFileSync(program, TELL);
    chmodSync(program, 0o755);
    const settings = join(folder, 'worker.conf');
    writeFileSync(settings, `[handler once/*]\nrun = exec\ncommand = ${program} ${seconds}\n` +
        `[handler stream/*]\nrun = exec\nmode = stream\ncommand = ${program} ${seconds}\n` +
        '[handler count/*]\nrun = exec\ncommand = wc -c\n');
    const server = await RedisServer.start();
    let npm;
    let worker;
    try {
        npm = await Npm.open(server, '6.7.0');
        const queues = {};
        for (const name of ['once', 'stream', 'count'])
            queues[name] = await npm.queue(name, { streams: { events: { maxLen: 1_000_000 } } });
        worker = await oxWorker(server, '--config', settings);
        const problems = await noData(server, queues.count, spoil);
        const report = ['no data    is {} on stdin'];
        for (const name of ['once', 'stream']) {
            const found = await progress(server, queues[name], worker, seconds, spoil);
            problems.push(...found.problems);
            report.push(found.line);
        }
        await worker.stop().catch((error) => problems.push(error.message.slice(0, 300)));
        return { problems, report };
    } finally {
        worker?.child.kill('SIGKILL');
        await npm?.close();
        await server.stop();
    }
}
