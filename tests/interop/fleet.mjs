/*
 * fleet.mjs - a mixed fleet at work under faults of every kind: is every job kept?
 *
 *     node fleet.mjs [--jobs N] [--seed S] [--seconds T] [--kill-every SECONDS]
 *                    [--net-every SECONDS] [--server-every SECONDS] [--script-every SECONDS]
 *                    [--faults kill,net,server,script] [--key wrongtype:NAME|denied:NAME]
 *                    [--lock-after MS]
 *
 * Jobs of every sort (plain, delayed, prioritised, failing with retries or for good, parents
 * and children of flows, deduplicated, removed when done) are added by a BullMQ and an Ox
 * producer at once, over T seconds. They are worked in two lanes (fleet_plan.mjs), each worker
 * a process of its own behind a proxy of its own: "mixed" by two BullMQ workers, one of each
 * major, and two Ox workers, "ox" by two Ox workers. Meanwhile
 *
 *   - workers are killed and started again, or stopped for longer than the lock;
 *   - connections stall for longer than the lock, are slow, break in mid-reply, or lose the
 *     reply of a call that was applied;
 *   - redis-server is killed (its AOF is fsynced always) or stopped for longer than the lock, or
 *     refuses writes;
 *   - calls in mid-script fail: the ACL denies keys, keys are of another type.
 *
 * When all is done, every invariant is checked that must hold then, and it is told what the
 * faults cost: jobs lost (none may be), run twice, and the time until work went on.
 *
 * With --lock-after the workers of Ox lock only jobs that run so long, and write their start then.
 *
 * The seed fixes the plan: the jobs, who adds which and when, what each job does, and the
 * faults. (Which worker gets which job is up to the machine.)
 *
 * Prints a line a phase, one a violated invariant, and a summary; exit status 0 when nothing is
 * violated.
 */
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { Agent, AgentError } from './support/agent.mjs';
import { FaultProxy } from './support/fault_proxy.mjs';
import { checkFleet } from './support/fleet_check.mjs';
import { Faults } from './support/fleet_faults.mjs';
import { measureRecovery, measureRepeats, quantile } from './support/fleet_measure.mjs';
import { makePlan, scriptKeys, tracks } from './support/fleet_plan.mjs';
import { Npm } from './support/npm.mjs';
import { RedisServer } from './support/redis.mjs';
import { pause, waitFor } from './support/wait.mjs';

const LOCK_MS = 2000;
const STALLED_INTERVAL_MS = 700;
/* A worker of Ox with so many reads its jobs beside the script while more wait. */
const CONCURRENCY = [6, 24];
const IN_FLIGHT = 20; /* adds of one producer on their way */
/* after the last fault: the lock, two stalled checks, retries, and a slow machine */
const SETTLE_MS = 60000;
const START_TRIES = 20;
/* A harness that slept so long was starved, and so may have been the workers: locks ran out. */
const STARVED_MS = LOCK_MS / 4;

const SHOWN = 8; /* problems of one kind */
const SLOWEST = 3;

const queues = {
    mixed: { main: 'fleet', children: 'fleet-children' },
    ox: { main: 'fleet-ox', children: 'fleet-ox-children' },
};
const names = Object.values(queues).flatMap((lane) => Object.values(lane));

/* [lane, kind], where `kind` is "ox" or a version of BullMQ. */
const places = [['mixed', 'ox'], ['mixed', '6.7.0'], ['mixed', 'ox'], ['mixed', '5.81.5'],
    ['ox', 'ox'], ['ox', 'ox']];

const USER = 'ox-lane'; /* of the workers of the lane "ox", for the ACL */
const PASSWORD = 'pw';

class Fleet {
    constructor(options, log) {
        this.options = options;
        this.log = log;
        this.user = USER;
        this.queues = queues;
        this.plan = makePlan({ ...options, lock: LOCK_MS }, queues);
        this.workers = [];
        this.everyone = []; /* workers, also those that are gone */
        this.started = 0;
        this.unexpected = [];
        this.refused = 0; /* adds that were not acknowledged */
        this.heard = { completed: new Set(), failed: new Set() };
        this.faults = new Faults(this);
    }

    /* Whether connections or the server are harmed: errors are then to be expected. */
    get harmed() {
        return this.options.faults.some((track) => track !== 'kill');
    }

    async open() {
        this.server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always',
            '--auto-aof-rewrite-percentage', '0', '--user', USER, 'on', `>${PASSWORD}`, '~*', '&*',
            '+@all']);
        this.server.client.on('error', () => {}); /* it comes back by itself */
        this.npm = await Npm.open(this.server, '6.7.0');
        /* All events are kept, so that the order of each job's can be checked at the end. */
        for (const name of names)
            await this.npm.queue(name, { streams: { events: { maxLen: 10_000_000 } } });
        this.events = await this.npm.events(queues.mixed.main);
        for (const name of ['completed', 'failed'])
            this.events.on(name, ({ jobId }) => this.heard[name].add(jobId));
        this.producers = {
            ox: await Agent.start(this.server.url, 'ox'),
            bullmq: await Agent.start(this.server.url, '6.7.0'),
        };
        for (const place of places.keys()) await this.replace(place);
    }

    /* The worker of a kind ("ox", "bullmq", or "ox-lane") that a fault is for. */
    worker(kind, which) {
        const fits = ([lane, of]) => (kind === 'ox-lane' ? lane === 'ox'
            : lane === 'mixed' && (of === 'ox') === (kind === 'ox'));
        const place = [...places.keys()].filter((i) => fits(places[i]))[which];
        return { place, worker: this.workers[place] };
    }

    /* Starts a worker: now, or when the server is there again. */
    async replace(place) {
        for (let tries = 1; ; tries++)
            try {
                this.workers[place] = await this.startWorker(...places[place]);
                return;
            } catch (error) {
                if (tries === START_TRIES) throw error;
                await pause(500);
            }
    }

    /* One process that works both queues of a lane. */
    async startWorker(lane, kind) {
        await this.server.client.ping();
        const user = lane === 'ox' ? `${USER}:${PASSWORD}@` : '';
        const worker = { lane, kind, number: ++this.started };
        worker.proxy = await FaultProxy.start(this.server, user);
        try {
            worker.agent = await Agent.start(worker.proxy.url, kind);
            this.everyone.push(worker);
            for (const queue of Object.values(queues[lane]))
                await worker.agent.startWorker(queue, { lock_ms: LOCK_MS, stalled_interval_ms: STALLED_INTERVAL_MS,
                    concurrency: CONCURRENCY[worker.number % 2], max_stalled: 1000, name: `worker-${worker.number}`,
                    lock_after_ms: this.options.lockAfter,
                    late_start: this.options.lockAfter !== undefined });
        } catch (error) {
            await worker.agent?.kill();
            worker.killed = true;
            worker.proxy.close();
            throw error;
        }
        return worker;
    }

    async add(spec) {
        const producer = this.producers[spec.by];
        try {
            spec.id = spec.flow
                ? await producer.call('flow', { flow: spec.flow })
                : await producer.call('add', { queue: spec.queue, name: spec.name,
                    data: spec.data, opts: spec.opts });
        } catch (error) {
            if (!this.harmed || !(error instanceof AgentError)) throw error;
            this.refused++;
        }
    }

    /* Adds in the order of the plan, each not before its time. */
    async produce(by, started) {
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

    /* Remembers when this process, and so the machine, was too busy for locks to be renewed. */
    watchMachine() {
        let last = Date.now();
        this.watch = setInterval(() => {
            const now = Date.now();
            if (now - last > STARVED_MS)
                this.faults.windows.push({ track: 'machine', begin: last, end: now,
                    hits: () => true });
            last = now;
        }, 50);
    }

    async run() {
        const started = Date.now();
        this.watchMachine();
        await Promise.all([this.produce('ox', started), this.produce('bullmq', started),
            this.faults.run(this.plan.faults, started)]);
        this.log(`added ${this.plan.specs.length} (${this.refused} refused) in ` +
            `${Date.now() - started} ms`);
        this.log(`faults: ${JSON.stringify(this.faults.done)}`);
    }

    async busy() {
        const redis = this.server.client;
        let count = 0;
        for (const name of names) {
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
        clearInterval(this.watch);
        this.log(`settled ${Date.now() - started} ms later`);
    }

    /* What the agents told: "queue id" -> its runs, [{at, instance}]. */
    collect() {
        const runs = new Map();
        for (const instance of this.everyone)
            for (const event of instance.agent.events) {
                const key = `${event.queue} ${event.job}`;
                if (event.event === 'start')
                    runs.set(key, [...runs.get(key) ?? [], { at: event.at, instance }]);
                if (event.event === 'error' && !instance.killed && !instance.frozen && !this.harmed)
                    this.unexpected.push(`${instance.kind}: ${event.error}`);
            }
        return runs;
    }

    /* "queue id" -> attempts that were counted. */
    async attempts(runs) {
        const redis = this.server.client;
        const made = new Map();
        for (const [key, list] of runs)
            if (list.length > 1) {
                const atm = await redis.hget(`bull:${key.replace(' ', ':')}`, 'atm');
                if (atm !== null) made.set(key, Number(atm));
            }
        return made;
    }

    async closeWorkers() {
        for (const { agent, kind } of this.workers)
            for (const number of [1, 2])
                await agent.call('worker_close', { worker: number })
                    .catch((error) => this.unexpected.push(`${kind}: ${error.message}`));
    }

    async check() {
        /* QueueEvents reads on: one more job is heard of. */
        const id = await this.producers.ox.add(queues.mixed.main, 'last', { do: 'return', value: 1 });
        await waitFor(() => this.heard.completed.has(id), 'QueueEvents to hear the last job')
            .catch((error) => this.unexpected.push(error.message));
        await this.closeWorkers();
        const runs = this.collect();
        if (!this.harmed)
            this.unexpected.push(...this.npm.errors.map((error) => `QueueEvents: ${error.message}`));
        const { problems, lost, ends } = await checkFleet({ redis: this.server.client,
            npm: this.npm, queues, plan: this.plan, starts: runs, heard: this.heard,
            exact: !this.harmed });
        const { windows } = this.faults;
        const repeats = measureRepeats({ runs, attempts: await this.attempts(runs), windows,
            lock: LOCK_MS });
        return { problems: [...this.unexpected, ...problems,
            ...repeats.unexcused.map((line) => `ran twice by an outage alone: ${line}`)],
        lost, repeats: repeats.causes, recovery: measureRecovery({ runs, ends, windows }),
        jobs: runs.size, runs: [...runs.values()].reduce((sum, list) => sum + list.length, 0) };
    }

    async close() {
        clearInterval(this.watch);
        const agents = [...this.workers.map((one) => one.agent),
            ...Object.values(this.producers ?? {})];
        await Promise.allSettled(agents.map((agent) => agent.stop().catch(() => agent.kill())));
        for (const { proxy } of this.workers) proxy.close();
        await this.npm?.close();
        await this.server?.stop();
    }
}

/* Returns {problems, lost, repeats, recovery, jobs, runs, history, kills, faults, replies, sorts,
 * refused}. */
export async function runFleet(options, log = () => {}) {
    const fleet = new Fleet(options, log);
    try {
        await fleet.open();
        await fleet.run();
        await fleet.settle();
        const found = await fleet.check();
        return { ...found, history: fleet.faults.history(), kills: fleet.faults.kills,
            faults: fleet.faults.done, replies: fleet.faults.replies,
            sorts: fleet.plan.sorts, refused: fleet.refused };
    } finally {
        await fleet.close();
    }
}

const standard = { jobs: 500, seconds: 15, 'kill-every': 3, 'net-every': 3, 'server-every': 15,
    'script-every': 5, seed: 0 };

/* The options of runFleet(), from those of the command line that are given. */
export function fleetOptions(given = {}) {
    const all = { ...standard, ...given };
    return { jobs: all.jobs, seconds: all.seconds, killEvery: all['kill-every'],
        netEvery: all['net-every'], serverEvery: all['server-every'],
        scriptEvery: all['script-every'], faults: all.faults ?? tracks, key: all.key?.split(/:(.*)/).slice(0, 2),
        lockAfter: all['lock-after'], seed: all.seed || Math.floor(Math.random() * 2 ** 31) + 1 };
}

function refuse(text) {
    console.error(`fleet: ${text}`);
    process.exit(2);
}

function optionsOf(argv) {
    const known = Object.fromEntries([...Object.keys(standard), 'lock-after', 'faults', 'key'].map((name) => (
        [name, { type: 'string' }])));
    let given;
    try {
        given = { ...parseArgs({ args: argv, options: known }).values };
    } catch (error) {
        refuse(error.message);
    }
    for (const [name, text] of Object.entries(given)) {
        if (name === 'faults' || name === 'key') continue;
        given[name] = Number(text);
        if (!Number.isInteger(given[name]) || given[name] < 1)
            refuse(`--${name} must be an integer from 1, not ${text}`);
    }
    given.faults = given.faults?.split(',');
    if (given.key && !scriptKeys.includes(given.key))
        refuse(`--key: no ${given.key}; there are ${scriptKeys.join(', ')}`);
    const unknown = given.faults?.find((track) => !tracks.includes(track));
    if (unknown !== undefined) refuse(`--faults: no ${unknown}; there are ${tracks}`);
    return fleetOptions(given);
}

/* A few problems of each kind, and how many more there are. */
function digest(problems) {
    const kinds = new Map();
    for (const problem of problems) {
        const kind = problem.replace(/[\w-]*\d[\w:.-]*/g, '0').slice(0, 60);
        kinds.set(kind, [...kinds.get(kind) ?? [], problem]);
    }
    return [...kinds.values()].flatMap((list) => (list.length <= SHOWN ? list
        : [...list.slice(0, SHOWN), `... and ${list.length - SHOWN} more like this`]));
}

function summary({ problems, lost, repeats, recovery, jobs, runs, kills, faults, replies,
    refused }, seed) {
    const twice = Object.values(repeats).reduce((sum, n) => sum + n, 0);
    const recovered = (lane) => {
        const times = recovery.filter((one) => one.lane === lane).map(({ ms }) => ms);
        const second = (q) => (quantile(times, q) / 1000).toFixed(2);
        return `p50 ${second(0.5)} s, p99 ${second(0.99)} s, max ${second(1)} s ` +
            `over ${times.length} jobs that were hit`;
    };
    const counted = (object) => Object.entries(object).map(([name, n]) => `${n} ${name}`).join(', ');
    return [
        `seed         ${seed}`,
        `jobs         ${jobs} in ${runs} runs; ${refused} adds not acknowledged`,
        `kills        ${kills.ox} Ox workers, ${kills.bullmq} BullMQ workers`,
        `faults       ${counted(faults)}`,
        `replies      ${replies.lost} lost, ${replies.cut} cut`,
        `lost         ${lost.length}`,
        `run twice    ${twice}${twice ? ` (${counted(repeats)})` : ''}`,
        `recovery     where only Ox works: ${recovered('ox')}`,
        `             beside BullMQ: ${recovered('mixed')}`,
        ...recovery.slice(-SLOWEST).map(({ ms, job, window, end, worker }) => (
            `             slowest: ${job} after ${window.sort}, ${ms} ms: ${end} by ${worker}`)),
        problems.length + lost.length === 0 ? 'every invariant holds'
            : `${problems.length + lost.length} violations`,
    ];
}

async function main() {
    const options = optionsOf(process.argv.slice(2));
    console.log(`fleet: ${options.jobs} jobs over ${options.seconds} s under ` +
        `${options.faults.join(', ')} faults, --seed ${options.seed}`);
    const result = await runFleet(options, (line) => console.log(`fleet: ${line}`));
    console.log(`fleet: ${JSON.stringify(result.sorts)}`);
    const problems = [...result.lost.map((job) => `lost: ${job}`), ...result.problems];
    if (problems.length > 0) console.log(result.history.join('\n'));
    for (const line of digest(problems)) console.log(`VIOLATED: ${line}`);
    console.log(summary(result, options.seed).join('\n'));
    process.exit(problems.length === 0 ? 0 : 1);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
