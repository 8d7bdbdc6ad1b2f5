/*
 * fleet_faults.mjs - does to a fleet what its plan says, and remembers when.
 *
 * Each fault leaves a window {track, sort, begin, end, hits(instance), lane}: the time in which
 * it lasted and whom it concerned. The measures of fleet_measure.mjs are made from these.
 */
import { pause, waitFor } from './wait.mjs';

const WRONG = 'of the wrong type';

/* Puts a string in the place of a key, and what was there aside. */
const PUT_WRONG = `
if redis.call('EXISTS', KEYS[2]) == 1 then return end -- the reply was lost, and this is the second call
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[1])`;

/* Undoes it. What was made anew in the meantime stays. A deduplication id is not given back to a
 * job that has ended without it: nobody would let go of it again. */
const PUT_RIGHT = `
local base = string.match(KEYS[1], '^(.*:)de:[^:]*$')
local owner = base and redis.call('GET', KEYS[2])
if owner and (redis.call('EXISTS', base .. owner) == 0
    or redis.call('HEXISTS', base .. owner, 'finishedOn') == 1) then
    redis.call('DEL', KEYS[2])
end
local t = redis.call('TYPE', KEYS[1]).ok
local wrong = t == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] or t == 'none'
if not wrong then
    redis.call('DEL', KEYS[2])
    return 0
end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
return 1`;

/* The key patterns that leave a user all but what is named. Redis has no pattern that denies,
 * so: every key that does not begin (after the queue) or end in the letter, and the others. */
function patternsWithout(what, { main, children }) {
    const queue = (name) => `~bull:${name}:*`;
    const but = (letter, ...others) => [`~bull:*[^${letter}]`, ...others.map((one) => `~${one}`)];
    switch (what) {
    case 'parent': return [queue(children)];
    case 'events': return [queue(children), `~bull:${main}:[^e]*`];
    case 'dependencies':
        return but('s', 'bull:*:events');
    case 'processed':
        return but('d', 'bull:*:id', 'bull:*:failed', 'bull:*:completed', 'bull:*:delayed',
            'bull:*:prioritized', 'bull:*:stalled');
    case 'completed': return [queue(children), `~bull:${main}:[^c]*`];
    case 'lock': return but('k', 'bull:*:stalled-check');
    default: throw new Error(`no denial ${what}`);
    }
}

export class Faults {
    /* `fleet`: server, queues, worker(kind, which) and replace(place). */
    constructor(fleet) {
        this.fleet = fleet;
        this.windows = [];
        this.done = {}; /* sort -> how many */
        this.replies = { cut: 0, lost: 0 }; /* that the proxies harmed */
        this.kills = { ox: 0, bullmq: 0 };
    }

    /* Does `body` between begin and end of a window. */
    async window(fault, more, body) {
        const window = { ...fault, begin: Date.now(), end: Infinity, hits: () => true, ...more };
        this.windows.push(window);
        this.done[fault.sort] = (this.done[fault.sort] ?? 0) + 1;
        await body(window);
        window.end = Date.now();
    }

    /* A line each, for whoever looks for the cause of a violation. */
    history() {
        return this.windows.map(({ track, sort, begin, end, what, worker }) => {
            const when = new Date(begin).toISOString().slice(14, 23);
            const of = worker ? ` of worker ${worker.number} (${worker.lane}, ${worker.kind})` : '';
            return `${when} ${track} ${sort ?? ''} ${what ?? ''}${of} for ${end - begin} ms`;
        });
    }

    /* Faults of one track follow each other; those of workers, on each worker. */
    async run(plan, started) {
        const rows = new Map();
        for (const fault of plan) {
            const key = `${fault.track} ${fault.kind} ${fault.which}`;
            rows.set(key, [...rows.get(key) ?? [], fault]);
        }
        await Promise.all([...rows.values()].map((row) => this.runRow(row, started)));
    }

    async runRow(row, started) {
        for (const fault of row) {
            await pause(Math.max(0, started + fault.at - Date.now()));
            await this[fault.track](fault);
        }
    }

    async kill(fault) {
        const { worker, place } = this.fleet.worker(fault.kind, fault.which);
        const more = { worker, hits: (instance) => instance === worker };
        if (fault.sort === 'freeze') {
            worker.frozen = true;
            await this.window(fault, more, async () => {
                worker.agent.process.kill('SIGSTOP');
                await pause(fault.ms);
                worker.agent.process.kill('SIGCONT');
            });
            return;
        }
        await this.window(fault, more, async () => {
            await worker.agent.kill();
            worker.killed = true;
            worker.proxy.close();
        });
        this.kills[worker.kind === 'ox' ? 'ox' : 'bullmq']++;
        await this.fleet.replace(place);
    }

    async net(fault) {
        const { worker } = this.fleet.worker(fault.kind, fault.which);
        if (worker.killed) return;
        const more = { worker, hits: (instance) => instance === worker };
        await this.window(fault, more, async () => {
            worker.proxy.begin(fault);
            await pause(fault.ms);
            const harmed = worker.proxy.end();
            if (fault.count) this.replies[fault.sort] += harmed;
        });
    }

    async server({ ...fault }) {
        const { server } = this.fleet;
        const admin = server.client;
        const refuse = async (bad, good) => {
            await admin.call(...bad);
            await pause(fault.ms);
            await admin.call(...good);
        };
        await this.window(fault, {}, async () => {
            switch (fault.sort) {
            case 'crash':
                await server.crash();
                await pause(fault.ms);
                server.spawn();
                break;
            case 'pause':
                server.process.kill('SIGSTOP');
                await pause(fault.ms);
                server.process.kill('SIGCONT');
                break;
            case 'readonly': /* of a server that is not there */
                await refuse(['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']);
                break;
            case 'oom':
                await refuse(['CONFIG', 'SET', 'maxmemory', '1mb'],
                    ['CONFIG', 'SET', 'maxmemory', '0']);
                break;
            case 'noreplicas':
                await refuse(['CONFIG', 'SET', 'min-replicas-to-write', '1'],
                    ['CONFIG', 'SET', 'min-replicas-to-write', '0']);
            }
            await waitFor(() => admin.ping().catch(() => false), 'redis-server to be back', 30000);
        });
    }

    async script(fault) {
        const queues = this.fleet.queues.ox;
        const more = { lane: 'ox', hits: (instance) => instance.lane === 'ox' };
        await this.window(fault, more, () => (fault.sort === 'denied'
            ? this.deny(fault, queues) : this.wrong(fault, queues)));
    }

    async deny({ what, ms }, queues) {
        const admin = this.fleet.server.client;
        const patterns = patternsWithout(what, queues);
        await admin.call('ACL', 'SETUSER', this.fleet.user, 'resetkeys', ...patterns);
        await pause(ms);
        await admin.call('ACL', 'SETUSER', this.fleet.user, 'resetkeys', '~*');
    }

    async wrong({ what, ms }, { main }) {
        const admin = this.fleet.server.client;
        let key = `bull:${main}:${what}`;
        if (what === 'dependencies') [key] = await admin.keys(`bull:${main}:*:dependencies`);
        if (!key) return;
        const keys = [2, key, `aside:${key}`, WRONG];
        /* Either may meet a server that refuses writes. */
        const surely = (script) => waitFor(
            () => admin.eval(script, ...keys).then(() => true, () => false), 'a write', 60000);
        await surely(PUT_WRONG);
        await pause(ms);
        await surely(PUT_RIGHT);
    }
}
