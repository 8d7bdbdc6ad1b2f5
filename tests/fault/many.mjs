/*
 * many.mjs - very many jobs through one ox-worker: its memory and its descriptors stay as they
 * are.
 */
import { Npm } from '../interop/support/npm.mjs';
import { oxWorker } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { waitFor } from '../interop/support/wait.mjs';
import { descriptors, memoryKb } from './processes.mjs';

const CALL = 1000; /* jobs of one add */
const AHEAD = 10000; /* waiting at most */
const LEVELS = [0.1, 0.25, 0.5, 0.75, 1];
/* Between the first level, when all that is needed once is there, and the last. What the start,
 * before any job, costs is told alone. */
const GROWTH_KB = 2048;
const PATIENCE_MS = 60000;

export async function many({ size: { jobs }, spoil }) {
    const server = await RedisServer.start();
    let npm;
    let worker;
    try {
        npm = await Npm.open(server, '6.7.0');
        const queue = await npm.queue('many');
        worker = await oxWorker(server, '--concurrency', '8',
            '--remove-on-complete', 'true', '--metrics', '1000', 'many=noop');
        const pid = worker.child.pid;
        const waiting = () => server.client.llen('bull:many:wait');
        const look = (done) => ({ jobs: done, kb: memoryKb(pid), fds: descriptors(pid) });
        const start = look(0);
        const taken = [];
        const started = Date.now();
        for (let added = 0, level = 0; added < jobs; added += CALL) {
            await waitFor(async () => (await waiting()) < AHEAD, 'the worker to keep up',
                PATIENCE_MS);
            await queue.addBulk(Array.from({ length: CALL }, (_, i) => (
                { name: 'job', data: { n: added + i } })));
            worker.log = ''; /* a line a job */
            if (added + CALL < jobs * LEVELS[level]) continue;
            if (added + CALL >= jobs)
                await waitFor(async () => (await waiting()) === 0 &&
                    (await server.client.llen('bull:many:active')) === 0, 'the end', PATIENCE_MS);
            taken.push(look(added + CALL));
            level++;
        }
        const seconds = (Date.now() - started) / 1000;
        const [first, last] = [taken[0], taken.at(-1)];
        let count = Number(await server.client.hget('bull:many:metrics:completed', 'count'));
        if (spoil === 'memory') last.kb += GROWTH_KB + 1;
        if (spoil === 'descriptors') last.fds++;
        if (spoil === 'count') count--;
        const problems = [];
        if (count !== jobs) problems.push(`${count} completed of ${jobs}`);
        if (last.kb - first.kb > GROWTH_KB)
            problems.push(`memory grew from ${first.kb} to ${last.kb} kB`);
        if (last.fds !== first.fds)
            problems.push(`descriptors went from ${first.fds} to ${last.fds}`);
        await worker.stop().catch((error) => problems.push(error.message));
        return { problems, report: [`jobs       ${count} completed, ` +
            `${Math.round(jobs / seconds)} a second`,
        ...[start, ...taken].map((at) => `after ${String(at.jobs).padEnd(9)}resident ` +
            `${at.kb} kB, ${at.fds} descriptors`)] };
    } finally {
        worker?.child.kill('SIGKILL');
        await npm?.close();
        await server.stop();
    }
}
