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
async function checkHashes(redis, name, states) {
    const problems = [];
    for (const state of ['completed', 'failed'])
        for (const id of states[state]) {
            const hash = await redis.hgetall(`bull:${name}:${id}`);
            const score = await redis.zscore(`bull:${name}:${state}`, id);
            if (hash.finishedOn !== score)
                problems.push(`${name} ${id}: finishedOn ${hash.finishedOn}, score ${score}`);
            /* Each start ended in an attempt or in a stall, so nothing ran twice at once. */
            const [ats, atm, stc] = [hash.ats, hash.atm, hash.stc ?? 0].map(Number);
            if (!(atm >= 1) || ats !== atm + stc)
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
        if (['completed', 'failed'].includes(event) && before !== 'active')
            problems.push(`${name} ${jobId}: ${event} after ${before}`);
        last.set(jobId, event);
    }
    return { problems, last };
}

const asSets = (states) => Object.fromEntries(
    Object.entries(states).map(([state, ids]) => [state, new Set(ids)]));

export async function checkFleet({ redis, npm, queues, plan, starts, heard }) {
    const problems = [];
    const done = {};
    const events = {};
    for (const name of Object.values(queues)) {
        const states = await statesOf(redis, name);
        problems.push(...checkOneState(name, states));
        problems.push(...await checkNothingLeft(redis, name, states));
        problems.push(...await checkHashes(redis, name, states));
        events[name] = await redis.xrange(`bull:${name}:events`, '-', '+');
        problems.push(...checkEvents(name, events[name]).problems);
        done[name] = asSets(states);
    }
    const main = done[queues.main];
    const removed = new Set();
    const ended = new Set();
    for (const [, flat] of events[queues.main]) {
        const event = pairs(flat);
        if (event.event === 'removed') removed.add(event.jobId);
        if (event.event === 'completed') ended.add(event.jobId);
    }
    for (const spec of plan.specs) {
        if (spec.sort === 'flow')
            problems.push(...await checkFlow(spec, npm, queues, main, done[queues.children]));
        else if (spec.sort === 'deduplicated')
            problems.push(...checkDeduplicated(spec, main, removed));
        else if (!spec.gone)
            problems.push(...checkEnd(queues.main, spec.id, spec.ends, main));
        else if (!ended.has(spec.id) || main.completed.has(spec.id))
            problems.push(`${spec.id} should be done and gone`);
    }
    problems.push(...checkRuns(queues, done, starts));
    problems.push(...checkHeard(queues, done, ended, heard));
    return problems;
}

/* Every job that ended was run, but parents that fail unrun. */
function checkRuns(queues, done, starts) {
    const problems = [];
    for (const name of Object.values(queues))
        for (const state of ['completed', 'failed'])
            for (const id of done[name][state])
                if (!starts.has(`${name} ${id}`) && !(state === 'failed' && id.startsWith('p')))
                    problems.push(`${name} ${id} is ${state} and never ran`);
    return problems;
}

/* QueueEvents in Node heard every end. */
function checkHeard(queues, done, ended, heard) {
    const problems = [];
    for (const id of ended)
        if (!heard.completed.has(id)) problems.push(`QueueEvents missed the completion of ${id}`);
    for (const id of done[queues.main].failed)
        if (!heard.failed.has(id)) problems.push(`QueueEvents missed the failure of ${id}`);
    return problems;
}
