/*
 * npm.mjs - the real BullMQ, both majors, with everything that a test opens closed again.
 */
import { Gates, obey } from './obey.mjs';
import { waitFor } from './wait.mjs';

export const versions = ['6.7.0', '5.81.5'];

export async function loadBullmq(version) {
    if (!versions.includes(version)) throw new Error(`no bullmq ${version} here`);
    return import(version === '6.7.0' ? 'bullmq' : 'bullmq5');
}

/* One test's use of one version. */
export class Npm {
    static async open(server, version) {
        const npm = new Npm();
        npm.version = version;
        npm.kinds = await loadBullmq(version);
        npm.connection = { path: server.socket, maxRetriesPerRequest: null };
        npm.opened = [];
        npm.errors = [];
        npm.gates = new Gates();
        return npm;
    }

    keep(thing) {
        thing.on('error', (error) => this.errors.push(error));
        this.opened.push(thing);
        return thing;
    }

    async queue(name, options = {}) {
        const queue = this.keep(
            new this.kinds.Queue(name, { connection: this.connection, ...options }));
        await queue.waitUntilReady();
        return queue;
    }

    /* From the stream's start: without a position its first XREAD asks for `$` some time after
     * waitUntilReady, and a job that ends before that is never heard of. */
    async events(name, options = {}) {
        const events = this.keep(new this.kinds.QueueEvents(name,
            { connection: this.connection, lastEventId: '0', ...options }));
        await events.waitUntilReady();
        return events;
    }

    flows() {
        return this.keep(new this.kinds.FlowProducer({ connection: this.connection }));
    }

    /* A worker that obeys; `worker.started` lists [{job, at}] in order. */
    async worker(name, options = {}) {
        const started = [];
        const context = {
            kinds: this.kinds,
            gates: this.gates,
            worker: () => worker,
            started: (job) => started.push({ job: job.id, at: Date.now() }),
            addChild: (job, step) => this.addChild(job, step),
        };
        const worker = this.keep(new this.kinds.Worker(name, obey(context),
            { connection: this.connection, ...options }));
        worker.started = started;
        await worker.waitUntilReady();
        return worker;
    }

    /* Looks for stalled jobs and takes none. */
    async stalledChecker(name, stalledInterval) {
        const worker = this.keep(new this.kinds.Worker(name, async () => {},
            { connection: this.connection, autorun: false, stalledInterval }));
        await worker.waitUntilReady();
        await worker.startStalledCheckTimer();
        return worker;
    }

    async addChild(job, step) {
        const queue = await this.queue(step.queue);
        await queue.add(step.name, step.data,
            { ...step.opts, parent: { id: job.id, queue: job.queueQualifiedName } });
    }

    async held(key = '', count = 1) {
        await waitFor(() => this.gates.count(key) >= count, `a job that holds at "${key}"`);
    }

    async close() {
        for (const key of [...this.gates.waiting.keys()]) this.gates.go(key);
        /* Workers by force: a test may end with jobs that would run for long. */
        await Promise.all(this.opened.map((thing) => thing.close(
            thing instanceof this.kinds.Worker)));
    }
}
