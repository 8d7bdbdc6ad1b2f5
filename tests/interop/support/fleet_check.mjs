/*
 * fleet_check.mjs - what must hold when a fleet has come to rest. Each check returns the
 * sentences that say what does not.
 */
import { pairs } from './pairs.mjs';

const lists = ['wait', 'active', 'paused'];
const sets = ['completed', 'failed', 'delayed', 'prioritized', 'waiting-children'];

/* {state: ids} of a queue. */
async function statesOf(redis, name) {
    const at = (suffix) => `bull:${name}:${suffix}`;
    const states = {};
    for (const state of lists) states[state] = await redis.lrange(at(state), 0, -1);
    for (const state of sets) states[state] = await redis.zrange(at(state), 0, -1);
    return states;
}

/* No id is in two states, or twice in one. */
function checkOneState(name, states) {
    const seen = new Map();
    const problems = [];
    for (const [state, ids] of Object.entries(states))
        for (const id of ids) {
            if (seen.has(id)) problems.push(`${name} ${id} is in ${seen.get(id)} and ${state}`);
            seen.set(id, state);
        }
    return problems;
}

async function checkNothingLeft(redis, name, states) {
    const problems = [];
    for (const state of ['wait', 'active', 'paused', 'delayed', 'prioritized', 'waiting-children'])
        if (states[state].length > 0) problems.push(`${name}: ${state} holds ${states[state]}`);
    for (const key of await redis.keys(`bull:${name}:*:lock`)) problems.push(`orphan lock ${key}`);
    const stalled = await redis.smembers(`bull:${name}:stalled`);
    if (stalled.length > 0) problems.push(`${name}: stalled holds ${stalled}`);
    for (const key of await redis.keys(`bull:${name}:*:dependencies`))
        problems.push(`left behind: ${key}`);
    for (const key of await redis.keys(`bull:${name}:dn:*`)) problems.push(`left behind: ${key}`);
    for (const key of await redis.keys(`bull:${name}:de:*`))
        if ((await redis.pttl(key)) === -1) problems.push(`held for ever: ${key}`);
    return problems;
}

/* Every hash in a final state is whole, and every hash is in one. */
async function checkHashes(redis, name, states, exact) {
    const problems = [];
    const placed = new Set(Object.values(states).flat());
    for (const key of await redis.keys(`bull:${name}:*`)) {
        const id = key.slice(`bull:${name}:`.length);
        if (/^([cjp]?\d+|c\d+-\d+)$/.test(id) && !placed.has(id))
            problems.push(`${name} ${id} is in no state`);
    }
    for (const state of ['completed', 'failed'])
        for (const id of states[state]) {
            const hash = await redis.hgetall(`bull:${name}:${id}`);
            const score = await redis.zscore(`bull:${name}:${state}`, id);
            if (hash.finishedOn !== score)
                problems.push(`${name} ${id}: finishedOn ${hash.finishedOn}, score ${score}`);
            /* Each start ended in an attempt or in a stall, so nothing ran twice at once; but a
             * take whose reply was lost may be given back. */
            const [ats, atm, stc] = [hash.ats, hash.atm, hash.stc ?? 0].map(Number);
            if (!(atm >= 1) || (exact ? ats !== atm + stc : ats < atm))
                problems.push(`${name} ${id}: ats ${ats}, atm ${atm}, stc ${stc}`);
            if (hash.defa !== undefined) problems.push(`${name} ${id}: defa ${hash.defa}`);
            const field = state === 'completed' ? 'returnvalue' : 'failedReason';
            if (hash[field] === undefined) problems.push(`${name} ${id}: no ${field}`);
        }
    return problems;
}

function checkEnd(name, id, ends, states) {
    if (states[ends].has(id)) return [];
    const found = Object.keys(states).find((state) => states[state].has(id)) ?? 'nowhere';
    return [`${name} ${id} should be ${ends} and is ${found}`];
}

/* Deduplicated adds: the id that was answered is a job that completed, or one that a later
 * add replaced while it was delayed, or one that is promised and made at the end of another. */
function checkDeduplicated(spec, done, removed) {
    return done.completed.has(spec.id) || removed.has(spec.id) ? []
        : [`deduplicated ${spec.id} neither completed nor was replaced`];
}

async function checkFlow(spec, npm, queues, done, doneChildren) {
    const problems = checkEnd(queues.main, spec.id, spec.ends, done);
    for (const child of spec.children)
        problems.push(...checkEnd(queues.children, child.id, child.ends, doneChildren));
    const queue = npm.opened.find((one) => one.name === queues.main && one.getJob);
    const parent = await queue.getJob(spec.id);
    const values = Object.keys((await parent?.getChildrenValues()) ?? {}).length;
    /* A failed child fails its parent at once; then the values of the others come later. */
    if (values !== spec.values)
        problems.push(`parent ${spec.id} has ${values} values of ${spec.values}`);
    return problems;
}

const ranks = { added: 0, 'waiting-children': 1, waiting: 1, delayed: 1, active: 2, stalled: 2,
    progress: 2, completed: 3, failed: 3, 'retries-exhausted': 4 };

/* Each job's events in order: added first, active before each end, one end, nothing after. */
function checkEvents(name, rows) {
    const problems = [];
    const last = new Map();
    for (const [, flat] of rows) {
        const { event, jobId } = pairs(flat);
        if (ranks[event] === undefined || jobId === undefined) continue;
        const before = last.get(jobId);
        if (event === 'added' ? before !== undefined : before === undefined)
            problems.push(`${name} ${jobId}: ${event} after ${before}`);
        if (['completed', 'failed'].includes(before) && event !== 'retries-exhausted')
            problems.push(`${name} ${jobId}: ${event} after ${before}`);
        if (['completed', 'failed'].includes(event) && !['active', 'progress'].includes(before))
            problems.push(`${name} ${jobId}: ${event} after ${before}`);
        last.set(jobId, event);
    }
    return { problems, last };
}

const asSets = (states) => Object.fromEntries(
    Object.entries(states).map(([state, ids]) => [state, new Set(ids)]));

/* Whether the job of an add that was acknowledged is anywhere, and its children. */
function lostOf(spec, queues, done, ends) {
    const lost = [];
    const look = (name, id) => {
        if (Object.values(done[name]).some((ids) => ids.has(id)) ||
            ends[name].completed.has(id) || ends[name].removed.has(id)) return;
        const last = ends[name].rows.get(id)?.at(-1);
        lost.push(`${name} ${id}, ${last
            ? `last event ${last.event} at ${new Date(last.at).toISOString().slice(14, 23)}`
            : 'which has no event'}`);
    };
    const { main, children } = queues[spec.lane];
    look(main, spec.id);
    for (const child of spec.children ?? []) look(children, child.id);
    return lost;
}

/* The jobs that left their queue in order: `removed`, and `completed` of those that go then. */
function endsOf(rows) {
    const ends = { removed: new Set(), completed: new Set(), rows: new Map() };
    for (const [stamp, flat] of rows) {
        const { event, jobId, prev } = pairs(flat);
        ends[event]?.add?.(jobId);
        if (jobId === undefined) continue;
        if (!ends.rows.has(jobId)) ends.rows.set(jobId, []);
        ends.rows.get(jobId).push({ at: Number(stamp.split('-')[0]), event, prev });
    }
    return ends;
}

export async function checkQueue(redis, name, exact) {
    const states = await statesOf(redis, name);
    const events = await redis.xrange(`bull:${name}:events`, '-', '+');
    const problems = [...checkOneState(name, states),
        ...await checkNothingLeft(redis, name, states),
        ...await checkHashes(redis, name, states, exact),
        ...checkEvents(name, events).problems];
    return { problems, done: asSets(states), ends: endsOf(events) };
}

async function checkSpec(spec, npm, queues, done, ends) {
    const { main, children } = queues[spec.lane];
    if (spec.sort === 'flow')
        return checkFlow(spec, npm, queues[spec.lane], done[main], done[children]);
    if (spec.sort === 'deduplicated') return checkDeduplicated(spec, done[main], ends[main].removed);
    if (!spec.gone) return checkEnd(main, spec.id, spec.ends, done[main]);
    return ends[main].completed.has(spec.id) && !done[main].completed.has(spec.id) ? []
        : [`${main} ${spec.id} should be done and gone`];
}

/*
 * `exact`: every start is accounted for, which a lost reply forbids. Returns {problems, lost,
 * ends}: sentences, the acknowledged jobs that are nowhere, and what happened by queue and id.
 */
export async function checkFleet({ redis, npm, queues, plan, starts, heard, exact }) {
    const problems = [];
    const lost = [];
    const done = {};
    const ends = {};
    for (const name of Object.values(queues).flatMap((lane) => Object.values(lane))) {
        const found = await checkQueue(redis, name, exact);
        problems.push(...found.problems);
        done[name] = found.done;
        ends[name] = found.ends;
    }
    for (const spec of plan.specs) {
        if (spec.id === undefined) continue; /* never acknowledged */
        lost.push(...lostOf(spec, queues, done, ends));
        problems.push(...await checkSpec(spec, npm, queues, done, ends));
    }
    const main = queues.mixed.main;
    problems.push(...checkRuns(done, starts), ...checkHeard(main, done, ends[main].completed, heard));
    return { problems, lost, ends };
}

/* Every job that ended was run, but parents that fail unrun. */
function checkRuns(done, starts) {
    const problems = [];
    for (const name of Object.keys(done))
        for (const state of ['completed', 'failed'])
            for (const id of done[name][state])
                if (!starts.has(`${name} ${id}`) && !(state === 'failed' && id.startsWith('p')))
                    problems.push(`${name} ${id} is ${state} and never ran`);
    return problems;
}

/* QueueEvents in Node heard every end. */
function checkHeard(main, done, ended, heard) {
    const problems = [];
    for (const id of ended)
        if (!heard.completed.has(id)) problems.push(`QueueEvents missed the completion of ${id}`);
    for (const id of done[main].failed)
        if (!heard.failed.has(id)) problems.push(`QueueEvents missed the failure of ${id}`);
    return problems;
}
