/*
 * net.mjs - ox-workers behind proxies that harm what passes between them and Redis.
 */
import { pause, waitFor } from '../interop/support/wait.mjs';
import { costs, Crew } from './crew.mjs';
import { descriptors, memoryKb } from './processes.mjs';

const LOCK_MS = 2000;
const WORKERS = 2;
const BETWEEN_MS = 300;
const HARM_MS = 10000; /* at most until a reply passes that can be harmed */
const queues = [[3, 'one'], [3, 'line'], [4, 'noop']];

const replies = ['+OK\r\n', ':0\r\n', '$-1\r\n', '*0\r\n', '-ERR unasked\r\n'].map(Buffer.from);

const sorts = {
    cut: (dice) => ({ count: dice.int(1, 3), ms: dice.int(300, 1500) }),
    lost: (dice) => ({ count: dice.int(1, 3), ms: dice.int(300, 1500) }),
    stall: (dice) => ({ reset: dice.chance(0.5), ms: dice.int(LOCK_MS / 2, 2 * LOCK_MS) }),
    delay: (dice) => ({ delay_ms: dice.int(20, 400), ms: dice.int(500, 2000) }),
    bytes: (dice) => ({ ms: dice.int(500, 2000) }),
    missing: (dice) => ({ count: 1, ms: dice.int(300, 1500) }),
    /* Now and then the reply before once more: jobs are handed out a second time. */
    extra: (dice) => ({ count: 1, ms: dice.int(300, 1500),
        what: dice.chance(0.3) ? undefined : replies[dice.int(0, replies.length - 1)] }),
};

/* For each worker the sorts in another order, again and again; jobs all the while. */
function makePlan(dice, { jobs, rounds }) {
    const rows = Array.from({ length: WORKERS }, () => {
        const row = [];
        for (let round = 0; round < rounds; round++) {
            const names = Object.keys(sorts).map((sort) => [dice.next(), sort]).sort();
            for (const [, sort] of names) row.push({ sort, ...sorts[sort](dice) });
        }
        return row;
    });
    const ms = Math.max(...rows.map((row) => (
        row.reduce((sum, fault) => sum + fault.ms + BETWEEN_MS, 0))));
    const specs = Array.from({ length: jobs }, (_, i) => (
        { id: `j${i + 1}`, at: i * ms / jobs, queue: dice.pick(queues) }));
    return { rows, specs };
}

const look = ({ child: { pid } }) => ({ kb: memoryKb(pid), fds: descriptors(pid) });

/* `sizes`: the worker's, before the first fault and when half of them are over. */
async function harm(crew, place, row, { done, sizes }) {
    const worker = crew.workers[place];
    for (const [i, fault] of row.entries()) {
        if (i === 0 || i === Math.floor(row.length / 2)) sizes.push(look(worker));
        worker.proxy.begin(fault);
        await pause(fault.ms);
        if (fault.count)
            await waitFor(() => worker.proxy.fault.done > 0, 'a reply', HARM_MS).catch(() => {});
        const harmed = worker.proxy.end();
        done[fault.sort] = (done[fault.sort] ?? 0) + (fault.count ? harmed : 1);
        await crew.hitActive(worker, Date.now(), fault.sort);
        await pause(BETWEEN_MS);
    }
}

export async function net({ dice, size, spoil }) {
    const plan = makePlan(dice, size);
    const crew = await Crew.open({ queues: queues.map(([, name]) => name), proxied: true,
        workers: WORKERS, options: ['--concurrency', '2', '--lock', `${LOCK_MS}ms`] });
    try {
        const done = {};
        const sizes = crew.workers.map(() => []);
        await Promise.all([crew.produce(plan.specs, Date.now()),
            ...plan.rows.map((row, place) => harm(crew, place, row,
                { done, sizes: sizes[place] }))]);
        await crew.settle();
        for (const [place, worker] of crew.workers.entries()) sizes[place].push(look(worker));
        const found = await crew.check({ spoil });
        const problems = [...found.lost.map((job) => `lost: ${job}`), ...found.problems,
            ...await crew.stop()];
        for (const sort of Object.keys(sorts))
            if (!done[sort]) problems.push(`no reply met the fault ${sort}`);
        return { problems, report: [`faults     ${Object.entries(done)
            .map(([sort, count]) => `${count} ${sort}`).join(', ')}`,
        ...costs(found, crew.specs.length), ...sizes.map((taken, place) => (
            `ox-worker ${place + 1} at the start, half-way and at the end: resident ` +
            `${taken.map(({ kb }) => kb).join(', ')} kB; ` +
            `${taken.map(({ fds }) => fds).join(', ')} descriptors`))] };
    } finally {
        await crew.close();
    }
}
