/*
 * fleet.mjs - a mixed fleet at work, with workers killed all the time: is every job kept?
 *
 *     node fleet.mjs [--jobs N] [--seed S] [--seconds T] [--kill-every SECONDS]
 *
 * Jobs of every sort (plain, delayed, prioritised, failing with retries or for good, parents
 * and children of flows, deduplicated, removed when done) are added by a BullMQ and an Ox
 * producer at once, over T seconds, and worked by two BullMQ workers, one of each major, and
 * two Ox workers, each a process of its own. Every few seconds one worker of each kind is
 * killed with SIGKILL and started again. When all is done, every invariant is checked that
 * must hold then.
 *
 * The seed fixes the plan: the jobs, who adds which and when, what each job does, who is
 * killed when. (Which worker gets which job is up to the machine.)
 *
 * Prints a line a phase and one a violated invariant; exit status 0 when none is.
 */
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { Agent } from './support/agent.mjs';
import { checkFleet } from './support/fleet_check.mjs';
import { makePlan } from './support/fleet_plan.mjs';
import { Npm } from './support/npm.mjs';
import { RedisServer } from './support/redis.mjs';
import { pause, waitFor } from './support/wait.mjs';

const LOCK_MS = 1500;
const SWEEP_MS = 700;
const CONCURRENCY = 6;
const IN_FLIGHT = 20; /* adds of one producer on their way */
/* after the last kill: the lock, two sweeps, retries, and a slow machine */
const SETTLE_MS = 60000;

const queues = { main: 'fleet', children: 'fleet-children' };

class Fleet {
    constructor(options, log) {
        this.options = options;
        this.log = log;
        this.plan = makePlan(options, queues);
        this.workers = [];
        this.starts = new Map(); /* "queue id" -> how often */
        this.kills = { ox: 0, bullmq: 0 };
        this.unexpected = [];
        this.heard = { completed: new Set(), failed: new Set() };
    }

    async open() {
        this.server = await RedisServer.start();
        this.npm = await Npm.open(this.server, '6.7.0');
        /* All events are kept, so that the order of each job's can be checked at the end. */
        for (const name of Object.values(queues))
            await this.npm.queue(name, { streams: { events: { maxLen: 10_000_000 } } });
        this.events = await this.npm.events(queues.main);
        for (const name of ['completed', 'failed'])
            this.events.on(name, ({ jobId }) => this.heard[name].add(jobId));
        this.producers = {
            ox: await Agent.start(this.server.url, 'ox'),
            bullmq: await Agent.start(this.server.url, '6.7.0'),
        };
        for (const kind of ['ox', '6.7.0', 'ox', '5.81.5'])
            this.workers.push(await this.startWorker(kind));
    }

    /* One process that works both queues: of Ox, or of a version of BullMQ. */
    async startWorker(kind) {
        const agent = await Agent.start(this.server.url, kind);
        const options = { lock_ms: LOCK_MS, sweep_ms: SWEEP_MS, concurrency: CONCURRENCY,
            max_stalled: 1000, name: `worker-${kind}` };
        for (const queue of Object.values(queues)) await agent.startWorker(queue, options);
        return { kind, agent };
    }

    /* What an agent told, before it is let go. */
    collect({ agent, kind }, killed) {
        for (const event of agent.events) {
            const key = `${event.queue} ${event.job}`;
            if (event.event === 'start') this.starts.set(key, (this.starts.get(key) ?? 0) + 1);
            if (event.event === 'error' && !killed)
                this.unexpected.push(`${kind}: ${event.error}`);
        }
    }

    async add(spec) {
        const producer = this.producers[spec.by];
        spec.id = spec.flow
            ? await producer.call('flow', { flow: spec.flow })
            : await producer.call('add', { queue: spec.queue, name: spec.name, data: spec.data,
                opts: spec.opts });
    }

    /* Adds in the order of the plan, each not before its time. */
    async produce(by) {
        const started = Date.now();
        const flying = new Set();
        for (const spec of this.plan.specs.filter((one) => one.by === by)) {
            const early = started + spec.at - Date.now();
            if (early > 0) await pause(early);
            while (flying.size >= IN_FLIGHT) await Promise.race(flying);
            const adding = this.add(spec).finally(() => flying.delete(adding));
            flying.add(adding);
        }
        await Promise.all(flying);
    }

    async kill({ at, kind, which }, started) {
        await pause(Math.max(0, started + at - Date.now()));
        const place = this.workers.map((one, i) => [one, i])
            .filter(([one]) => (one.kind === 'ox') === (kind === 'ox'))[which][1];
        const victim = this.workers[place];
        await victim.agent.kill();
        this.collect(victim, true);
        this.kills[kind]++;
        this.workers[place] = await this.startWorker(victim.kind);
    }

    async run() {
        const started = Date.now();
        const killing = (async () => {
            for (const kill of this.plan.kills) await this.kill(kill, started);
        })();
        await Promise.all([this.produce('ox'), this.produce('bullmq'), killing]);
        this.log(`added ${this.plan.specs.length} in ${Date.now() - started} ms, ` +
            `killed ${this.kills.ox} Ox and ${this.kills.bullmq} BullMQ workers`);
    }

    async busy() {
        const redis = this.server.client;
        let count = 0;
        for (const name of Object.values(queues)) {
            const at = (suffix) => `bull:${name}:${suffix}`;
            count += await redis.llen(at('wait')) + await redis.llen(at('active')) +
                await redis.zcard(at('delayed')) + await redis.zcard(at('prioritized'));
        }
        return count;
    }

    async settle() {
        const started = Date.now();
        await waitFor(async () => (await this.busy()) === 0, 'all jobs to end', SETTLE_MS)
            .catch((error) => this.unexpected.push(error.message));
        this.log(`settled ${Date.now() - started} ms later`);
    }

    async check() {
        /* QueueEvents reads on: one more job is heard of. */
        const id = await this.producers.ox.add(queues.main, 'last', { do: 'return', value: 1 });
        await waitFor(() => this.heard.completed.has(id), 'QueueEvents to hear the last job')
            .catch((error) => this.unexpected.push(error.message));
        for (const worker of this.workers) {
            for (const number of [1, 2])
                await worker.agent.call('worker_close', { worker: number });
            this.collect(worker, false);
        }
        this.unexpected.push(...this.npm.errors.map((error) => `QueueEvents: ${error.message}`));
        const problems = await checkFleet({ redis: this.server.client, npm: this.npm, queues,
            plan: this.plan, starts: this.starts, heard: this.heard });
        return [...this.unexpected, ...problems];
    }

    async close() {
        const agents = [...this.workers.map((one) => one.agent),
            ...Object.values(this.producers ?? {})];
        await Promise.allSettled(agents.map((agent) => agent.stop().catch(() => agent.kill())));
        await this.npm?.close();
        await this.server?.stop();
    }
}

/* Returns {problems, summary}. */
export async function runFleet(options, log = () => {}) {
    const fleet = new Fleet(options, log);
    try {
        await fleet.open();
        await fleet.run();
        await fleet.settle();
        const problems = await fleet.check();
        const runs = [...fleet.starts.values()].reduce((sum, n) => sum + n, 0);
        return { problems, runs, jobs: fleet.starts.size, kills: fleet.kills,
            sorts: fleet.plan.sorts };
    } finally {
        await fleet.close();
    }
}

function numberOf(text, name) {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1) {
        console.error(`fleet: --${name} wants a number from 1, not ${text}`);
        process.exit(2);
    }
    return value;
}

function optionsOf(argv) {
    const standard = { jobs: '500', seconds: '15', 'kill-every': '3',
        seed: String(Math.floor(Math.random() * 2 ** 31) + 1) };
    const known = Object.fromEntries(Object.keys(standard).map((name) => (
        [name, { type: 'string' }])));
    let given;
    try {
        given = { ...standard, ...parseArgs({ args: argv, options: known }).values };
    } catch (error) {
        console.error(`fleet: ${error.message}`);
        process.exit(2);
    }
    return { jobs: numberOf(given.jobs, 'jobs'), seed: numberOf(given.seed, 'seed'),
        seconds: numberOf(given.seconds, 'seconds'),
        killEvery: numberOf(given['kill-every'], 'kill-every') };
}

async function main() {
    const options = optionsOf(process.argv.slice(2));
    console.log(`fleet: ${options.jobs} jobs over ${options.seconds} s, a worker of each kind ` +
        `killed every ${options.killEvery} s, --seed ${options.seed}`);
    const { problems, runs, jobs, sorts } = await runFleet(options,
        (line) => console.log(`fleet: ${line}`));
    console.log(`fleet: ${JSON.stringify(sorts)}`);
    console.log(`fleet: ${jobs} jobs ran ${runs} times`);
    for (const problem of problems.slice(0, 50)) console.log(`VIOLATED: ${problem}`);
    console.log(problems.length === 0 ? 'fleet: every invariant holds'
        : `fleet: ${problems.length} violations, --seed ${options.seed}`);
    process.exit(problems.length === 0 ? 0 : 1);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
