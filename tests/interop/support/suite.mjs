/*
 * suite.mjs - how the items of the compatibility list become tests.
 *
 *     item(7, 'producer', 'two adds due in the same ms ...', async (ctx) => {...});
 *
 * An item is run with a fresh queue name and closes what it opened. Its test's name carries
 * the number, what Ox is in it (producer, worker, operator), and the version of bullmq it
 * ran against; the runner's report and docs/compatibility.md are made from these names.
 *
 * `ctx`: server, redis (ioredis), q (queue name), base (its key prefix), ox (an agent for
 * calls), N (npm bullmq), and the helpers below.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { Agent, selfCheck } from './agent.mjs';
import { Npm, versions } from './npm.mjs';
import { pairs } from './pairs.mjs';
import { RedisServer } from './redis.mjs';
import { waitFor } from './wait.mjs';

const ITEM_TIMEOUT_MS = 60000;
const END_MS = 5000;

let server;
let ox;
let lastQueue = 0;

/* Not in a before hook: a file whose items are all left out would start it and never stop. */
async function start() {
    server ??= await RedisServer.start();
    /* An agent that crashed failed its item; the next one gets a new one. */
    if (!ox || ox.gone) ox = await Agent.start(server.url);
}

after(async () => {
    try {
        await ox?.stop();
    } finally {
        await server?.stop();
        /* What a failed item left going must not keep the file from ending. */
        setTimeout(() => {
            console.error('the tests are over, and something still runs');
            process.exit(1);
        }, END_MS).unref();
    }
});

class Context {
    constructor(number, version) {
        this.server = server;
        this.redis = server.client;
        this.ox = ox;
        this.q = `q${number}-${++lastQueue}`;
        this.base = `bull:${this.q}:`;
        this.version = version;
        this.agents = [];
    }

    key(suffix) {
        return this.base + suffix;
    }

    /* A further agent, ended with the test. */
    async agent(kind) {
        const agent = await Agent.start(server.url, kind);
        this.agents.push(agent);
        return agent;
    }

    /* An Ox worker in a process of its own: the agent, with `worker` its number. */
    async oxWorker(options = {}, queue = this.q) {
        const agent = await this.agent('ox');
        agent.worker = await agent.startWorker(queue, options);
        return agent;
    }

    async nodeWorkerProcess(options = {}, version = this.version, queue = this.q) {
        const agent = await this.agent(version);
        agent.worker = await agent.startWorker(queue, options);
        return agent;
    }

    hash(id, queue = this.q) {
        return this.redis.hgetall(`bull:${queue}:${id}`);
    }

    wait() {
        return this.redis.lrange(this.key('wait'), 0, -1);
    }

    active() {
        return this.redis.lrange(this.key('active'), 0, -1);
    }

    /* {member: score} of the marker. */
    async marker() {
        return pairs(await this.redis.zrange(this.key('marker'), 0, -1, 'WITHSCORES'));
    }

    /* The events so far: {ms, event, ...fields}, and `flat`, the fields as they are stored. */
    async events(filter = () => true) {
        const rows = await this.redis.xrange(this.key('events'), '-', '+');
        return rows.map(([id, flat]) => ({ ms: Number(id.split('-')[0]), flat, ...pairs(flat) }))
            .filter(filter);
    }

    async eventNames(jobId) {
        return (await this.events((e) => !jobId || e.jobId === jobId)).map((e) => e.event);
    }

    async until(probe, what, ms) {
        return waitFor(probe, what, ms);
    }

    /* Waits until the set `completed` or `failed` has so many jobs. */
    async untilCount(state, count, ms) {
        const key = this.key(state);
        await waitFor(async () => (await this.redis.zcard(key)) >= count,
            `${count} ${state} in ${this.q}`, ms);
        assert.equal(await this.redis.zcard(key), count);
    }

    async untilEvent(filter, what = 'an event', ms = undefined) {
        return waitFor(async () => (await this.events(filter))[0], what, ms);
    }

    /* Nothing of a run is left: no active job, no lock, no stalled entry. */
    async assertQuiet() {
        assert.deepEqual(await this.active(), []);
        assert.deepEqual(await this.redis.keys(`${this.base}*:lock`), []);
    }

    async close() {
        const ends = await Promise.allSettled(
            [...this.agents.map((agent) => agent.stop()), this.N.close()]);
        const problem = ends.find((end) => end.status === 'rejected');
        if (problem) throw problem.reason;
    }
}

export const json = JSON.parse;

/* Something right came too late. */
class Late extends assert.AssertionError {}

/* How late this process itself was called, at worst, in the item that runs. */
const lateness = monitorEventLoopDelay({ resolution: 10 });
lateness.enable();

/* That `ms` is at most `bound`. The one kind of assertion that a machine which is busy for a
 * moment can break. So the bound grows by what the machine was late with this process, once for
 * each of the three that take part (client, server, worker); and an item that was late all the
 * same is done twice more, and must then be in time. */
export function inTime(ms, bound, what) {
    const allowed = bound + 3 * Math.max(0, lateness.max / 1e6 - 20);
    if (!(ms <= allowed)) throw new Late({ message: `${what}: ${ms} ms, not ${allowed}` });
}

async function runInTime(number, version, body) {
    try {
        await runItem(number, version, body);
    } catch (error) {
        if (!(error instanceof Late)) throw error;
        for (let again = 0; again < 2; again++) await runItem(number, version, body);
    }
}

async function runItem(number, version, body) {
    await start();
    lateness.reset();
    const context = new Context(number, version);
    context.N = await Npm.open(server, version);
    try {
        await body(context);
    } finally {
        await context.close();
    }
}

/*
 * `role`: what Ox does in it. `options.versions`: bullmq versions, 6.7.0 alone if left out.
 * `options.differs`: why BullMQ itself does not pass; with the self-check, it must then fail.
 */
export function item(number, role, text, options, body = options) {
    const list = options.versions ?? versions.slice(0, 1);
    for (const version of list) {
        const name = `item ${String(number).padStart(2, '0')} (${role}, bullmq ${version}): ${text}`;
        test(name, { timeout: ITEM_TIMEOUT_MS }, async (t) => {
            if (!selfCheck || !options.differs) return runInTime(number, version, body);
            return assert.rejects(runItem(number, version, body), (error) => {
                t.diagnostic(`as said, ${options.differs}: ${error.message}`);
                return true;
            });
        });
    }
}

export const both = { versions };
export { assert, pairs, selfCheck };
