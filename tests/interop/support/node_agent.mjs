/*
 * node_agent.mjs - npm bullmq behind the protocol of the C agent (agent/main.c).
 *
 * Three uses: BullMQ workers that a test can kill like any process, the producers and workers
 * of the mixed fleet, and the self-check of the tests, where BullMQ stands in for libox.
 *
 *     node node_agent.mjs unix:///path/of/socket 6.7.0|5.81.5
 */
import { createInterface } from 'node:readline';
import Redis from 'ioredis';
import { loadBullmq } from './npm.mjs';
import { Gates, obey } from './obey.mjs';

const [url, version] = process.argv.slice(2);
const kinds = await loadBullmq(version);
const connection = { path: new URL(url).pathname, maxRetriesPerRequest: null };
const raw = new Redis(connection); /* for what BullMQ has no call for */
raw.on('error', () => {}); /* it comes back; calls tell what they need to */
const gates = new Gates();
const queues = new Map();
const workers = new Map();
let flows;
let reader;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

class Refusal extends Error {
    constructor(code, text) {
        super(text);
        this.code = code;
    }
}

function queueOf({ queue: name, prefix = 'bull' }) {
    const key = `${prefix}:${name}`;
    if (!queues.has(key)) {
        /* The queue's settings are the test's: BullMQ would write its defaults over them. */
        const queue = new kinds.Queue(name, { connection, prefix, skipMetasUpdate: true });
        queue.on('error', () => {});
        queues.set(key, queue);
    }
    return queues.get(key);
}

async function jobOf(request) {
    const job = await queueOf(request).getJob(request.job);
    if (!job) throw new Refusal('ENOTFOUND', `no job ${request.job}`);
    return job;
}

const dataOf = (request) =>
    (request.text === undefined ? request.data : JSON.parse(request.text));
const optsOf = (request) => ({ ...request.opts, ...request.json });
const jobTuple = (job) => ({ name: job.name, data: dataOf(job), opts: optsOf(job) });
const typeOf = (state) => (state === 'waiting' ? 'wait' : state);

async function addBulk(request) {
    const jobs = await queueOf(request).addBulk(request.jobs.map(jobTuple));
    return jobs.map((job) => job.id);
}

async function waitJob(request) {
    const events = new kinds.QueueEvents(request.queue, { connection, lastEventId: '0' });
    try {
        await events.waitUntilReady();
        const job = await jobOf(request);
        return JSON.stringify(await job.waitUntilFinished(events, request.timeout_ms));
    } finally {
        await events.close();
    }
}

async function children(request) {
    const job = await jobOf(request);
    const { processed = {}, unprocessed = [], ignored = {}, failed = [] } =
        await job.getDependencies();
    return [
        ...Object.entries(processed).map(([key, value]) => ({ key, text: JSON.stringify(value),
            kind: 'processed' })),
        ...unprocessed.map((key) => ({ key, text: null, kind: 'pending' })),
        ...Object.entries(ignored).map(([key, text]) => ({ key, text, kind: 'ignored' })),
        ...failed.map((key) => ({ key, text: null, kind: 'failed' })),
    ];
}

async function removeJob(request) {
    const removed = await queueOf(request).remove(request.job,
        { removeChildren: Boolean(request.with_children) });
    if (removed === 0) throw new Refusal('ELOCK', 'locked');
    return removed;
}

/* fields -> the form of ox_event: name, job id, then the other fields in order. */
function eventOf(fields) {
    const event = [null, null];
    for (let i = 0; i < fields.length; i += 2) {
        if (fields[i] === 'event') event[0] = fields[i + 1];
        else if (fields[i] === 'jobId') event[1] = fields[i + 1];
        else event.push(fields[i], fields[i + 1]);
    }
    return event;
}

async function nextEvent({ timeout_ms = 1000 }) {
    const found = await reader.client.xread('COUNT', 1, 'BLOCK', timeout_ms, 'STREAMS',
        reader.key, reader.from);
    if (!found) return null;
    const [id, fields] = found[0][1][0];
    reader.from = id;
    return eventOf(fields);
}

async function openEvents(request) {
    const key = `${request.prefix ?? 'bull'}:${request.queue}:events`;
    const client = raw.duplicate();
    const last = request.from ? null : await client.xrevrange(key, '+', '-', 'COUNT', 1);
    reader = { client, key, from: request.from ?? last?.[0]?.[0] ?? '0' };
}

/* ---- workers ----------------------------------------------------------------------------- */

function workerOptions(request) {
    const given = {
        name: request.name,
        concurrency: request.concurrency,
        lockDuration: request.lock_ms,
        stalledInterval: request.stalled_interval_ms,
        maxStalledCount: request.max_stalled,
        maxStartedAttempts: request.max_started,
        drainDelay: request.drain_delay_ms && request.drain_delay_ms / 1000,
        limiter: request.limiter,
        metrics: request.metrics_points && { maxDataPoints: request.metrics_points },
        removeOnComplete: request.removeOnComplete,
        removeOnFail: request.removeOnFail,
        prefix: request.prefix,
    };
    const options = Object.fromEntries(
        Object.entries(given).filter(([, value]) => value !== undefined));
    if (request.custom_backoff_ms !== undefined)
        options.settings = { backoffStrategy: () => request.custom_backoff_ms };
    return { connection, ...options };
}

async function startWorker(request) {
    const number = workers.size + 1;
    const context = {
        kinds,
        gates,
        worker: () => workers.get(number),
        started: (job) => say({ event: 'start', worker: number, queue: request.queue,
            job: job.id, name: job.name, attempt: job.attemptsMade + 1,
            starts: job.attemptsStarted, at: Date.now() }),
        addChild: async (job, step) => void (await queueOf(step).add(step.name, step.data,
            { ...step.opts, parent: { id: job.id, queue: job.queueQualifiedName } })),
    };
    const worker = new kinds.Worker(request.queue, obey(context), workerOptions(request));
    workers.set(number, worker);
    worker.on('error', (error) => say({ event: 'error', worker: number, error: error.message }));
    worker.on('lockRenewalFailed', (jobs) => {
        for (const job of jobs) say({ event: 'lock_lost', worker: number, job });
    });
    await worker.waitUntilReady();
    say({ event: 'ready', worker: number });
    return number;
}

const workerOf = (request) => {
    const worker = workers.get(request.worker);
    if (!worker) throw new Refusal('ENOTFOUND', 'no such worker');
    return worker;
};

/* ---- operations -------------------------------------------------------------------------- */

const operations = {
    time: async () => Date.now(),
    queues: async ({ prefix = 'bull' }) => {
        const keys = await raw.keys(`${prefix}:*:meta`);
        return keys.map((key) => key.slice(prefix.length + 1, -5)).sort();
    },
    add: async (r) => (await queueOf(r).add(r.name, dataOf(r), optsOf(r))).id,
    add_bulk: addBulk,
    adder: addBulk,
    flow: async ({ flow, prefix }) => {
        if (!flows) {
            flows = new kinds.FlowProducer({ connection, prefix });
            flows.on('error', () => {});
        }
        return (await flows.add(flow)).job.id;
    },
    job: async (r) => {
        const fields = await raw.hgetall(queueOf(r).toKey(r.job));
        if (Object.keys(fields).length === 0) throw new Refusal('ENOTFOUND', 'no such job');
        const job = await jobOf(r);
        return { id: job.id, state: await job.getState(),
            attempts: Math.max(job.opts.attempts ?? 1, 1), fields };
    },
    state: (r) => queueOf(r).getJobState(r.job),
    jobs: async (r) => {
        const jobs = await queueOf(r).getJobs([typeOf(r.state)], r.start ?? 0, r.end ?? -1,
            Boolean(r.ascending));
        return jobs.map((job) => job.id);
    },
    counts: async (r) => {
        const { wait, ...counts } = await queueOf(r).getJobCounts('completed', 'failed',
            'delayed', 'prioritized', 'active', 'wait', 'paused', 'waiting-children');
        return { paused: 0, ...counts, waiting: counts.waiting ?? wait };
    },
    counts_by_priority: async (r) => {
        const counts = await queueOf(r).getCountsPerPriority(r.priorities);
        return r.priorities.map((priority) => counts[priority]);
    },
    logs: async (r) => {
        const { logs, count } = await queueOf(r).getJobLogs(r.job, r.start ?? 0, r.end ?? -1);
        return { rows: logs, total: count };
    },
    children,
    wait: waitJob,
    retry: async (r) => {
        await (await jobOf(r)).retry(r.state, { resetAttemptsMade: r.reset_made,
            resetAttemptsStarted: r.reset_started });
        return 0;
    },
    retry_all: async (r) => {
        await queueOf(r).retryJobs({ state: r.state, timestamp: r.before_ms });
        return 0;
    },
    promote: async (r) => void (await (await jobOf(r)).promote()),
    promote_all: async (r) => void (await queueOf(r).promoteJobs()),
    remove: removeJob,
    update_data: async (r) => (await jobOf(r)).updateData(dataOf(r)),
    update_progress: async (r) => (await jobOf(r)).updateProgress(dataOf(r)),
    add_log: (r) => queueOf(r).addJobLog(r.job, r.row, r.keep),
    clear_logs: async (r) => (await jobOf(r)).clearLogs(r.keep),
    change_priority: async (r) => (await jobOf(r)).changePriority({ priority: r.priority,
        lifo: r.lifo }),
    change_delay: async (r) => (await jobOf(r)).changeDelay(r.delay_ms),
    remove_child_dependency: async (r) => Number(await (await jobOf(r)).removeChildDependency()),
    remove_dedup: (r) => queueOf(r).removeDeduplicationKey(r.dedup),
    pause: (r) => queueOf(r).pause(),
    resume: (r) => queueOf(r).resume(),
    is_paused: async (r) => Number(await queueOf(r).isPaused()),
    drain: async (r) => void (await queueOf(r).drain(r.delayed)),
    clean: (r) => queueOf(r).clean(r.grace_ms, r.limit || 1e6, typeOf(r.state)),
    obliterate: async (r) => {
        await queueOf(r).obliterate({ force: Boolean(r.force) });
        const queue = queueOf(r);
        queues.delete(`${r.prefix ?? 'bull'}:${r.queue}`);
        await queue.close();
    },
    set_concurrency: (r) => (r.max ? queueOf(r).setGlobalConcurrency(r.max)
        : queueOf(r).removeGlobalConcurrency()),
    set_rate: (r) => (r.max ? queueOf(r).setGlobalRateLimit(r.max, r.duration_ms)
        : queueOf(r).removeGlobalRateLimit()),
    rate_limit: (r) => queueOf(r).rateLimit(r.duration_ms),
    info: async (r) => {
        const meta = await queueOf(r).getMeta();
        return { paused: Boolean(meta.paused), concurrency: meta.concurrency ?? 0,
            rate_max: meta.max ?? 0, rate_duration_ms: meta.duration ?? 0 };
    },
    metrics: async (r) => {
        const { meta, data } = await queueOf(r).getMetrics(r.state);
        return { count: meta.count, previous_ms: meta.prevTS, points: data.map(Number) };
    },
    workers: async (r) => (await queueOf(r).getWorkers())
        .map((worker) => worker.rawname.split(':w:')[1] ?? ''),
    scheduler_set: async (r) => {
        const job = await queueOf(r).upsertJobScheduler(r.scheduler, r.schedule,
            { name: r.name, data: dataOf(r), opts: r.opts });
        return job?.id ?? null;
    },
    scheduler_remove: async (r) => Number(await queueOf(r).removeJobScheduler(r.scheduler)),
    schedulers: async (r) => {
        const list = await queueOf(r).getJobSchedulers(r.start, r.end, true);
        return list.map((one) => ({ ...one, id: one.key, iterations: one.iterationCount }));
    },
    events_open: openEvents,
    events_next: nextEvent,
    events_close: async () => reader?.client.disconnect(),
    worker_start: startWorker,
    worker_pause: async (r) => void (await workerOf(r).pause(true)),
    worker_resume: async (r) => workerOf(r).resume(),
    worker_close: async (r) => {
        await workerOf(r).close();
        return true;
    },
    worker_abort: async (r) => {
        await workerOf(r).close(true);
        return true;
    },
    go: async (r) => gates.go(r.key),
};

/* BullMQ throws texts where libox has codes. */
const codes = [
    [/Missing key for job/, 'ENOTFOUND'],
    [/Missing key for parent job/, 'EPARENT'],
    [/cannot be replaced|parent job .* cannot/, 'EPARENTTAKEN'],
    [/is not in the .* state/, 'ESTATE'],
    [/belongs to a job scheduler/, 'ESCHEDULED'],
    [/with active jobs/, 'EACTIVE'],
    [/Job scheduler .* slot/, 'ESLOT'],
    [/Custom Id|JobId cannot|[Pp]riority/, 'EINVAL'],
];

function codeOf(error) {
    if (error instanceof Refusal) return error.code;
    return codes.find(([pattern]) => pattern.test(error.message))?.[1] ?? 'EFAILED';
}

async function serve(line) {
    const request = JSON.parse(line);
    try {
        if (!operations[request.op]) throw new Refusal('EINVAL', `no operation ${request.op}`);
        const value = await operations[request.op](request);
        say({ id: request.id, value: value ?? null });
    } catch (error) {
        say({ id: request.id, code: -1, name: codeOf(error), error: error.message });
    }
}

const input = createInterface({ input: process.stdin });
input.on('line', serve);
input.on('close', () => process.exit(0));
say({ event: 'hello' });
