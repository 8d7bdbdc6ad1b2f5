/*
 * fleet_plan.mjs - what a fleet will do, and what will be done to it, made from a seed alone.
 *
 * There are two lanes, each with a queue and a queue of children: "mixed" is worked by Ox and
 * BullMQ, "ox" by Ox alone. What BullMQ does not survive (an error in mid-script) is done to
 * the second only, and what holds among Ox workers only is checked there.
 *
 * A spec is one call of a producer:
 *   n          its number
 *   lane       'mixed' or 'ox'
 *   by         'ox' or 'bullmq'
 *   at         ms after the start, not before which it is added
 *   sort       what kind of job; for the numbers that are printed
 *   queue, name, data, opts   the job; or
 *   flow       a tree, whose ids are in the plan
 *   ends       'completed' or 'failed'; 'any' for one that a deduplicated add may replace
 *   gone       removed when done
 * and `id`, once it was added. Ids are the plan's own for half of the jobs.
 *
 * A fault is {at, track, sort, ...}; those of one track follow each other, and tracks overlap:
 *   kill       a worker dies by SIGKILL, or is stopped for ms
 *   net        the proxy before a worker does it harm for ms; see fault_proxy.mjs
 *   server     redis-server is killed or stopped for ms, or refuses writes
 *   script     calls in the middle of scripts fail for ms: keys denied by the ACL to the lane's
 *              Ox workers, or of the wrong type
 */

/* mulberry32: small, and good enough to mix a plan */
function generator(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
}

export class Dice {
    constructor(seed) {
        this.next = generator(seed);
    }

    /* an integer in [low, high] */
    int(low, high) {
        return low + Math.floor(this.next() * (high - low + 1));
    }

    chance(share) {
        return this.next() < share;
    }

    /* of [[weight, value], ...] */
    pick(rows) {
        let left = this.next() * rows.reduce((sum, [weight]) => sum + weight, 0);
        return rows.find(([weight]) => (left -= weight) < 0)[1];
    }
}

export const tracks = ['kill', 'net', 'server', 'script'];

const FAILING = ['once', 'twice', 'for good', 'unrecoverable'];

/* Mostly short; some are long enough to be met by faults. */
function work(dice, n) {
    const ms = dice.chance(0.15) ? dice.int(200, 1500) : dice.int(0, 25);
    return [{ do: 'sleep', ms }, { do: 'return', value: { n } }];
}

const failure = (reason, more = {}) => [{ do: 'fail', reason, ...more }];

const sorts = {
    plain: (dice, spec) => {
        spec.opts.lifo = dice.chance(0.1);
    },
    delayed: (dice, spec) => {
        spec.opts.delay = dice.int(1, 2500);
        if (dice.chance(0.2)) spec.opts.priority = dice.int(1, 5);
    },
    prioritised: (dice, spec) => {
        spec.opts.priority = dice.int(1, 20);
    },
    removed: (dice, spec) => {
        spec.opts.removeOnComplete = true;
        spec.gone = true;
    },
    /* Fails as often as it says, whoever is killed: what counts is how often it was started,
     * and a start that was killed is one failure less. */
    failing: (dice, spec) => {
        const how = FAILING[dice.int(0, FAILING.length - 1)];
        const good = spec.data.steps;
        spec.opts.attempts = dice.int(3, 4);
        if (dice.chance(0.7))
            spec.opts.backoff = dice.chance(0.5) ? { type: 'fixed', delay: dice.int(1, 300) }
                : { type: 'exponential', delay: dice.int(1, 100), jitter: 0.5 };
        if (dice.chance(0.3)) spec.opts.priority = dice.int(1, 5);
        const bad = failure(`${how} ${spec.n}`, { unrecoverable: how === 'unrecoverable' });
        spec.data = { starts: { once: [bad, good], twice: [bad, bad, good], 'for good': [bad],
            unrecoverable: [bad] }[how] };
        spec.ends = how === 'once' || how === 'twice' ? 'completed' : 'failed';
    },
    /* Ten ids for all: most adds find theirs held. */
    deduplicated: (dice, spec) => {
        spec.opts.deduplication = { id: `d${dice.int(0, 9)}` };
        delete spec.opts.jobId;
        const mode = dice.int(0, 3);
        if (mode === 1) spec.opts.deduplication.ttl = dice.int(50, 500);
        if (mode === 2) {
            Object.assign(spec.opts.deduplication, { ttl: 400, replace: true, extend: true });
            spec.opts.delay = dice.int(50, 400);
        }
        if (mode === 3) spec.opts.deduplication.keepLastIfActive = true;
        spec.ends = 'any';
    },
};

/* A parent in the main queue, two to four children in the other; one in four has a child that
 * fails: ignored, removed, or failing its parent. */
function flowSpec(dice, spec, queues) {
    const flag = dice.pick([[9, null], [1, 'ignoreDependencyOnFailure'],
        [1, 'removeDependencyOnFailure'], [1, 'failParentOnFailure']]);
    const count = dice.int(2, 4);
    const children = Array.from({ length: count }, (_, i) => {
        const jobId = `c${spec.n}-${i}`;
        const opts = dice.chance(0.3) ? { jobId, priority: dice.int(1, 9) } : { jobId };
        return { name: 'child', queueName: queues.children, opts,
            data: { steps: work(dice, jobId) } };
    });
    if (flag) {
        children[0].data = { steps: failure('bad child') };
        children[0].opts[flag] = true;
    }
    spec.flow = { name: 'parent', queueName: queues.main, opts: { jobId: `p${spec.n}` },
        data: { steps: work(dice, spec.n) }, children };
    spec.ends = flag === 'failParentOnFailure' ? 'failed' : 'completed';
    spec.children = children.map((child, i) => ({ id: child.opts.jobId,
        ends: flag && i === 0 ? 'failed' : 'completed' }));
    spec.values = flag ? count - 1 : count;
}

function makeSpec(dice, n, queues, span) {
    const sort = dice.pick([[38, 'plain'], [14, 'delayed'], [14, 'prioritised'], [6, 'removed'],
        [14, 'failing'], [10, 'flow'], [8, 'deduplicated']]);
    const lane = dice.chance(0.5) ? 'ox' : 'mixed';
    const spec = { n, sort, lane, by: lane === 'ox' || dice.chance(0.5) ? 'ox' : 'bullmq',
        at: dice.int(0, span), queue: queues[lane].main, name: sort, ends: 'completed', gone: false, opts: {},
        data: { steps: work(dice, n) } };
    if (dice.chance(0.5)) spec.opts.jobId = `j${n}`;
    if (sort === 'flow') flowSpec(dice, spec, queues[lane]);
    else sorts[sort](dice, spec);
    return spec;
}

/* ---- faults ------------------------------------------------------------------------------ */

/* Longer than the lock, by enough that it has run out everywhere. */
const outage = (dice, lock) => dice.int(lock + 400, 2 * lock);

function killFaults(dice, { killEvery, lock }, span) {
    const faults = [];
    for (let at = killEvery * 500; at < span; at += killEvery * 1000)
        for (const kind of ['ox', 'bullmq', 'ox-lane'])
            faults.push({ at: at + dice.int(0, 400), kind, which: dice.int(0, 1),
                ...(dice.chance(0.25) ? { sort: 'freeze', ms: outage(dice, lock) }
                    : { sort: 'kill' }) });
    return faults;
}

const netFault = {
    stall: (dice, lock) => ({ ms: outage(dice, lock), reset: dice.chance(0.5) }),
    delay: (dice) => ({ ms: dice.int(1000, 2500), delay_ms: dice.int(5, 150) }),
    bytes: (dice) => ({ ms: dice.int(500, 1500) }),
    cut: (dice) => ({ ms: 600, count: dice.int(1, 4) }),
    lost: (dice) => ({ ms: 600, count: dice.int(1, 4) }),
};

function netFaults(dice, { netEvery, lock }, span) {
    const faults = [];
    for (let at = netEvery * 300; at < span; at += netEvery * 1000) {
        const sort = dice.pick([[2, 'stall'], [2, 'delay'], [1, 'bytes'], [3, 'cut'], [4, 'lost']]);
        faults.push({ at: at + dice.int(0, 500), sort, kind: dice.pick([[1, 'ox'], [1, 'bullmq'],
            [2, 'ox-lane']]), which: dice.int(0, 1), ...netFault[sort](dice, lock) });
    }
    return faults;
}

function serverFaults(dice, { serverEvery, lock }, span) {
    const faults = [];
    for (let at = serverEvery * 500; at < span; at += serverEvery * 1000) {
        const sort = dice.pick([[3, 'crash'], [3, 'pause'], [1, 'readonly'], [1, 'oom'],
            [1, 'noreplicas']]);
        const ms = sort === 'crash' || sort === 'pause' ? outage(dice, lock) : dice.int(300, 2000);
        faults.push({ at: at + dice.int(0, 500), sort, ms });
    }
    return faults;
}

/* Of the lane's main queue; `dependencies` are those of a parent that waits. */
const WRONG = ['events', 'completed', 'failed', 'delayed', 'prioritized', 'wait', 'active',
    'stalled', 'marker', 'id', 'dependencies', 'de:d1', 'de:d2'].map((what) => ['wrongtype', what]);
const DENIED = ['parent', 'events', 'dependencies', 'processed', 'completed',
    'lock'].map((what) => ['denied', what]);

export const scriptKeys = [...WRONG, ...DENIED].map((key) => key.join(':'));

/* `key`: [sort, name] of the only fault that is wanted, or undefined. */
function scriptFaults(dice, { scriptEvery, key }, span) {
    const faults = [];
    for (let at = scriptEvery * 400; at < span; at += scriptEvery * 1000) {
        const names = dice.chance(0.5) ? WRONG : DENIED;
        const [sort, what] = key ?? names[dice.int(0, names.length - 1)];
        faults.push({ at: at + dice.int(0, 500), sort, what, ms: dice.int(300, 1800) });
    }
    return faults;
}

/* `options.faults`: the tracks to use. */
export function makePlan(options, queues) {
    const { jobs, seed, seconds } = options;
    const dice = new Dice(seed);
    const span = seconds * 1000;
    const specs = Array.from({ length: jobs }, (_, n) => makeSpec(dice, n, queues, span))
        .sort((a, b) => a.at - b.at);
    const makers = { kill: killFaults, net: netFaults, server: serverFaults,
        script: scriptFaults };
    const faults = [];
    /* Each track has dice of its own, so that one can be left out and the others stay. */
    for (const [i, track] of tracks.entries()) {
        const made = makers[track](new Dice(seed + 7919 * (i + 1)), options, span);
        if (options.faults.includes(track)) faults.push(...made.map((one) => ({ track, ...one })));
    }
    const counts = {};
    for (const spec of specs) counts[spec.sort] = (counts[spec.sort] ?? 0) + 1;
    return { specs, faults: faults.sort((a, b) => a.at - b.at), sorts: counts };
}
