/*
 * fleet_measure.mjs - what faults cost: which jobs ran twice, and how soon work went on.
 *
 * A run is one `start` that a worker told. A job ran twice when it has more runs than attempts
 * were counted for it; each run too many is laid to the first fault below that lay between it
 * and the next one and that lets jobs run twice. What is left was run twice by an outage of the
 * server alone, or by nothing, which must not be where only Ox works.
 *
 * Recovery: a job was hit by a fault when it was active at the fault's begin or became so during
 * it, on a worker that the fault concerned; the time from the fault's end (or a worker's death)
 * to the job's first end is a sample.
 */

/* What may make a job run twice, and why. BullMQ looks for stalled jobs at once after an outage. */
const excuses = [
    ['killed', (window) => window.sort === 'kill'],
    ['frozen', (window) => window.sort === 'freeze'],
    ['cut off', (window) => window.sort === 'stall'],
    ['error in mid-script', (window) => window.track === 'script'],
    ['writes refused', (window) => ['oom', 'readonly', 'noreplicas'].includes(window.sort)],
    ['machine too busy', (window) => window.track === 'machine'],
];

const overlap = (window, from, to) => window.begin <= to && window.end >= from;

function excuseOf(windows, run, next, lock) {
    for (const [name, is] of excuses)
        if (windows.some((window) => is(window) && overlap(window, run.at - lock, next.at) &&
            (window.hits(run.instance) || window.hits(next.instance)))) return name;
    return run.instance.lane === 'mixed' ? 'outage, beside BullMQ' : 'outage alone';
}

/* {cause: how many} and the jobs that nothing excuses. `runs`: Map of "queue id" to runs. */
export function measureRepeats({ runs, attempts, windows, lock }) {
    const causes = {};
    const unexcused = [];
    for (const [key, list] of runs) {
        let extra = list.length - Math.max(attempts.get(key) ?? 1, 1);
        if (extra <= 0) continue;
        list.sort((a, b) => a.at - b.at);
        const found = list.slice(0, -1).map((run, i) => excuseOf(windows, run, list[i + 1], lock));
        const alone = found.filter((cause) => cause.startsWith('outage'));
        for (const cause of [...found.filter((one) => !alone.includes(one)), ...alone])
            if (extra-- > 0) {
                causes[cause] = (causes[cause] ?? 0) + 1;
                if (cause === 'outage alone') unexcused.push(`${key}: ${list.map((run) =>
                    `${new Date(run.at).toISOString().slice(14, 23)} by worker ${run.instance.number}`)
                    .join(', ')}`);
            }
    }
    return { causes, unexcused };
}

const isEnd = (row) => ['completed', 'failed', 'delayed'].includes(row.event);
const leaves = (row) => isEnd(row) || row.event === 'waiting';

/* The stays in `active` of one job: {from, to, row}. */
function stays(rows) {
    const found = [];
    for (const [i, row] of rows.entries())
        if (row.event === 'active')
            found.push({ from: row.at, to: rows.slice(i + 1).find(leaves)?.at ?? Infinity });
    return found;
}

function hit(window, stay, runs) {
    if (stay.from > window.end || stay.to <= window.begin) return false;
    const run = runs.find((one) => one.at >= stay.from - 5 && one.at <= stay.to);
    return run ? window.hits(run.instance) : window.track === 'server' || window.sort === 'lost';
}

/* The windows that hit a job while it was active, each with the end that came after it. */
function hitsOf(list, mine, windows) {
    const found = new Map(); /* end -> the last window before it */
    for (const stay of stays(list))
        for (const window of windows) {
            if (window.track === 'machine' || !hit(window, stay, mine)) continue;
            if (window.lane && mine[0]?.instance.lane !== window.lane) continue;
            const end = list.find((row) => isEnd(row) && row.at >= window.begin &&
                row.at >= stay.from);
            if (end && end.at >= window.end && !(found.get(end)?.end > window.end))
                found.set(end, window);
        }
    return found;
}

/* {ms, lane, job, window, end, worker}, the fastest first. A job that several faults hit before
 * its end is one sample, from the last of them. */
export function measureRecovery({ runs, ends, windows }) {
    const samples = [];
    for (const [queue, { rows }] of Object.entries(ends))
        for (const [id, list] of rows) {
            const mine = runs.get(`${queue} ${id}`) ?? [];
            for (const [end, window] of hitsOf(list, mine, windows)) {
                const last = mine.filter((run) => run.at <= end.at).at(-1)?.instance;
                samples.push({ ms: end.at - window.end, lane: last?.lane, job: `${queue} ${id}`,
                    window, end: end.event, worker: `worker ${last?.number}, ${last?.kind}` });
            }
        }
    return samples.sort((a, b) => a.ms - b.ms);
}

export const quantile = (sorted, q) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
