/*
 * crew.mjs - a private Redis and a few real ox-workers on the same queues, for harm to be done to.
 *
 * A crew owns its server, its workers, their proxies and the folder that their jobs write into.
 * It keeps a ledger: every job that an add was acknowledged for, and every fault that hit a job
 * while it was active. From that, check() says at rest what must hold: no job lost, none failed,
 * each with its own result and its whole output, no process of a job alive, and how long it took
 * from the last fault that hit a job to that job's end.
 *
 * The program of the exec handlers (work.sh) writes a file for each job in two parts with a pause
 * between them, then renames it; so a kill in the middle leaves half a file under another name,
 * and a file under the job's name that is not whole was renamed too early.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync,
    truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaultProxy } from '../interop/support/fault_proxy.mjs';
import { checkQueue } from '../interop/support/fleet_check.mjs';
import { quantile } from '../interop/support/fleet_measure.mjs';
import { Npm } from '../interop/support/npm.mjs';
import { oxWorker, png } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { pause, waitFor } from '../interop/support/wait.mjs';
import { descendants, processesWith } from './processes.mjs';

const START_TRIES = 20;
const IN_FLIGHT = 50; /* adds on their way */
const SETTLE_MS = 90000;
/* What an fsync "everysec" may lose at a crash. */
const EVERYSEC_MS = 1000;
const KILLED = /SIGKILL|Killed/; /* the second by a shell, of a program of its own */
/* More than there are kills: each of a child or its program costs the job an attempt. */
const ATTEMPTS = 1000;
export const RECOVERY_MS = 15000;

const WORK = `#!/bin/sh
# work.sh FOLDER: one job's file, or in stream mode a file for each line. What it starts may be
# killed as well, also when that is still a copy of itself: it ends then, and the shell's word
# "Killed" is the reason.
make() {
    echo "$1" >>"$2.runs"
    half=$(mktemp "$2/.$1.XXXXXX") || return
    { seq 1 50 && sleep 0.1 && seq 51 100 && echo "end $1"; } >"$half" && mv "$half" "$2/$1"
}
if [ -n "$OX_JOB_ID" ]; then
    read -r data
    make "$OX_JOB_ID" "$1" && echo "\\"$OX_JOB_ID\\""
    exit
fi
while read -r line; do
    id=\${line#*:\\"}
    id=\${id%%\\"*}
    make "$id" "$1" || exit
    printf '{"id":"%s","result":"%s"}\\n' "$id" "$id"
done
`;

const wholeFile = (id) => [...Array.from({ length: 100 }, (_, i) => i + 1), `end ${id}`, '']
    .join('\n');

export class Crew {
    /*
     * server    arguments of redis-server
     * options   of ox-worker, before the queues
     * queues    of those below
     * proxied   each worker behind a FaultProxy
     */
    static async open({ server = [], options = [], queues, workers = 2, proxied = false }) {
        const crew = new Crew();
        Object.assign(crew, { queues, options, proxied, started: 0, specs: [], hits: new Map(),
            crashes: [], workers: [], everyone: [], unexpected: [] });
        crew.folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'crew-'));
        for (const queue of queues) mkdirSync(join(crew.folder, queue));
        crew.program = join(crew.folder, 'work.sh');
        writeFileSync(crew.program, WORK);
        chmodSync(crew.program, 0o755);
        writeFileSync(join(crew.folder, 'in.png'), png(320, 240));
        crew.server = await RedisServer.start(server);
        try {
            crew.server.client.on('error', () => {}); /* it comes back by itself */
            crew.npm = await Npm.open(crew.server, '6.7.0');
            crew.adders = {};
            for (const queue of queues)
                crew.adders[queue] = await crew.npm.queue(queue,
                    { streams: { events: { maxLen: 10_000_000 } } });
            for (let place = 0; place < workers; place++) await crew.replace(place);
        } catch (error) {
            await crew.close();
            throw error;
        }
        return crew;
    }

    /* The settings file of the workers. */
    config() {
        const path = join(this.folder, 'worker.conf');
        const command = (queue) => `command = ${this.program} ${join(this.folder, queue)}\n`;
        const sections = {
            one: () => `[handler one/*]\nrun = exec\n${command('one')}`,
            line: () => `[handler line/*]\nrun = exec\nmode = stream\n${command('line')}`,
            image: () => `[handler image/*]\nrun = image\nroot = ${this.folder}\n`,
            noop: () => '[handler noop/*]\nrun = noop\n',
        };
        writeFileSync(path, this.queues.map((queue) => sections[queue]()).join('\n'));
        return path;
    }

    /* Starts a worker in a place: now, or when the server is there again. */
    async replace(place) {
        for (let tries = 1; ; tries++)
            try {
                const name = `w${++this.started}`;
                const proxy = this.proxied ? await FaultProxy.start(this.server) : null;
                const worker = await oxWorker(proxy ?? this.server, '--name', name,
                    '--log-level', 'debug', '--config', this.config(), ...this.options);
                Object.assign(worker, { name, proxy });
                this.workers[place] = worker;
                this.everyone.push(worker);
                return worker;
            } catch (error) {
                if (tries === START_TRIES) throw error;
                await pause(500);
            }
    }

    data(spec) {
        if (spec.queue !== 'image') return { n: spec.id };
        return { input: 'in.png', outputs: [{ file: `image/${spec.id}.jpg`, width: 80 }] };
    }

    async add(spec) {
        this.specs.push(spec);
        await this.adders[spec.queue].add('do', this.data(spec),
            { jobId: spec.id, attempts: ATTEMPTS });
        spec.acked = Date.now();
    }

    /* Adds [{at, queue, id}] in order, each not before its time. */
    async produce(plan, started) {
        const flying = new Set();
        for (const spec of plan) {
            const early = started + spec.at - Date.now();
            if (early > 0) await pause(early);
            while (flying.size >= IN_FLIGHT) await Promise.race(flying);
            const adding = this.add({ ...spec }).finally(() => flying.delete(adding));
            flying.add(adding);
        }
        await Promise.all(flying);
    }

    hit(queue, id, at, by) {
        const key = `${queue} ${id}`;
        this.hits.set(key, [...this.hits.get(key) ?? [], { at, by }]);
    }

    /* Notes the jobs that are active now, of one worker or all, as hit until `at`. */
    async hitActive(worker, at, by) {
        const redis = this.server.client;
        for (const queue of this.queues)
            for (const id of await redis.lrange(`bull:${queue}:active`, 0, -1)) {
                const holder = await redis.hget(`bull:${queue}:${id}`, 'pb');
                if (!worker || holder === worker.name) this.hit(queue, id, at, by);
            }
    }

    async killWorker(place) {
        const worker = this.workers[place];
        worker.child.kill('SIGKILL');
        await waitFor(() => worker.ended !== undefined, 'a killed worker to be gone');
        const at = Date.now();
        await this.hitActive(worker, at, 'worker');
        worker.proxy?.close();
        await this.replace(place);
    }

    /* Kills a process that runs handlers, which is below the keeper of its tree, or the program
     * that one has started. Whether there was one. */
    killBelow(place, program, dice) {
        const programs = program ? processesWith(this.program) : null;
        const below = descendants(this.workers[place].child.pid)
            .filter(({ pid, depth }) => (program ? depth > 2 && programs.includes(pid)
                : depth === 2));
        if (below.length === 0) return false;
        try {
            process.kill(below[dice.int(0, below.length - 1)].pid, 'SIGKILL');
            return true;
        } catch {
            return false; /* it ended by itself */
        }
    }

    async crashServer(ms) {
        this.crashes.push(Date.now());
        await this.server.crash();
        await pause(ms);
        this.server.spawn();
        await waitFor(() => this.server.client.ping().catch(() => false), 'redis-server', 30000);
        await this.hitActive(null, Date.now(), 'server');
    }

    async settle() {
        const redis = this.server.client;
        const open = async () => {
            let count = 0;
            for (const queue of this.queues)
                for (const [command, key] of [['llen', 'wait'], ['llen', 'active'],
                    ['zcard', 'delayed'], ['zcard', 'prioritized']])
                    count += await redis[command](`bull:${queue}:${key}`);
            return count;
        };
        await waitFor(async () => (await open()) === 0, 'all jobs to end', SETTLE_MS)
            .catch((error) => this.unexpected.push(error.message));
    }

    /* The lines of all workers' logs with this event, as {key: value}. */
    lines(event) {
        return this.everyone.flatMap(({ log }) => log.split('\n'))
            .filter((line) => line.includes(` event=${event} `))
            .map((line) => Object.fromEntries([...line.matchAll(/(\w+)=("[^"]*"|\S+)/g)]
                .map(([, key, value]) => [key, value])));
    }

    /* A function of a job and its hash: how often it ran. Programs note that; of other handlers
     * it is how often the job started, without what was taken from a child again. What no child
     * had begun, whose line has no `ms`, is no start. */
    runCounter() {
        const count = (keys) => keys.reduce((map, key) => map.set(key, (map.get(key) ?? 0) + 1),
            new Map());
        const noted = count(this.queues.map((queue) => [queue, join(this.folder, `${queue}.runs`)])
            .filter(([, path]) => existsSync(path))
            .flatMap(([queue, path]) => readFileSync(path, 'utf8').split('\n')
                .map((id) => `${queue} ${id}`)));
        const unrun = count(this.lines('released').filter(({ ms }) => ms !== undefined)
            .map(({ queue, id }) => `${queue} ${id}`));
        return ({ queue, id }, { ats }) => noted.get(`${queue} ${id}`) ??
            Number(ats) - (unrun.get(`${queue} ${id}`) ?? 0);
    }

    outputProblem(spec, hash) {
        const path = join(this.folder, spec.queue,
            spec.queue === 'image' ? `${spec.id}.jpg` : spec.id);
        if (spec.queue === 'noop') return hash.returnvalue === 'null' ? null
            : `returned ${hash.returnvalue}`;
        let bytes;
        try {
            bytes = readFileSync(path);
        } catch {
            return 'has no output';
        }
        if (spec.queue !== 'image') {
            if (hash.returnvalue !== JSON.stringify(spec.id)) return `returned ${hash.returnvalue}`;
            return bytes.toString() === wholeFile(spec.id) ? null : 'has half an output';
        }
        const told = JSON.parse(hash.returnvalue).outputs[0].bytes;
        const ends = bytes.subarray(0, 2).toString('hex') + bytes.subarray(-2).toString('hex');
        return bytes.length === told && ends === 'ffd8ffd9' ? null : 'has half an image';
    }

    /* Harm to the evidence itself, so that it can be seen that each check sees it. */
    async spoil(what) {
        const redis = this.server.client;
        const of = (queue) => this.specs.find((spec) => spec.queue === queue);
        const { one, image } = { one: of('one'), image: of('image') };
        if (what === 'lost') {
            await redis.del(`bull:one:${one.id}`);
            await redis.zrem('bull:one:completed', one.id);
        } else if (what === 'failed') {
            const at = await redis.zscore('bull:one:completed', one.id);
            await redis.multi().zrem('bull:one:completed', one.id)
                .zadd('bull:one:failed', at, one.id).hset(`bull:one:${one.id}`, 'failedReason', 'x')
                .exec();
        } else if (what === 'result') {
            await redis.hset(`bull:one:${one.id}`, 'returnvalue', '"other"');
        } else if (what === 'half') {
            truncateSync(join(this.folder, 'one', one.id), 100);
        } else if (what === 'image' && image) {
            const path = join(this.folder, 'image', `${image.id}.jpg`);
            truncateSync(path, statSync(path).size - 10);
        } else if (what === 'slow') {
            for (const hits of this.hits.values())
                for (const hit of hits) hit.at -= 2 * RECOVERY_MS;
        } else if (what === 'lock') {
            await redis.set(`bull:one:${one.id}:lock`, 'x');
        } else if (what === 'stray') {
            writeFileSync(join(this.folder, 'image', '.half'), '');
        } else if (what === 'orphan') {
            spawn('sh', ['-c', 'sleep 20; :', this.program]);
        }
    }

    /*
     * {problems, lost, forgotten, twice, byOthers, recovery: ms, sorted}. A job ran twice when it
     * ran more often than attempts were counted for it, `byOthers` of these without the death of
     * a worker that held it.
     */
    async check({ everysec = false, spoil } = {}) {
        const redis = this.server.client;
        if (spoil) await this.spoil(spoil);
        for (const { queue, id, ts, reason } of this.lines('retried'))
            if (KILLED.test(reason)) this.hit(queue, id, Date.parse(ts), 'child');
        const found = { problems: [...this.unexpected], lost: [], forgotten: 0, twice: 0,
            byOthers: 0, recovery: [] };
        const timesRun = this.runCounter();
        for (const queue of this.queues)
            found.problems.push(...(await checkQueue(redis, queue, false)).problems);
        for (const spec of this.specs) {
            const hash = await redis.hgetall(`bull:${spec.queue}:${spec.id}`);
            this.checkJob(spec, hash, { everysec, timesRun, found });
        }
        found.recovery.sort((a, b) => a - b);
        if (quantile(found.recovery, 0.99) > RECOVERY_MS)
            found.problems.push(`recovery: p99 is ${quantile(found.recovery, 0.99)} ms`);
        return found;
    }

    checkJob(spec, hash, { everysec, timesRun, found }) {
        const name = `${spec.queue} ${spec.id}`;
        if (hash.finishedOn === undefined) {
            const late = this.crashes.some((at) => (
                spec.acked <= at && spec.acked > at - EVERYSEC_MS));
            if (everysec && late && hash.data === undefined) found.forgotten++;
            else found.lost.push(name);
            return;
        }
        if (hash.returnvalue === undefined || hash.failedReason !== undefined &&
            !KILLED.test(hash.failedReason)) {
            found.problems.push(`${name} failed: ${hash.failedReason}`);
            return;
        }
        const problem = this.outputProblem(spec, hash);
        if (problem) found.problems.push(`${name} ${problem}`);
        const all = this.hits.get(name) ?? [];
        const extra = Math.max(0, timesRun(spec, hash) - Number(hash.atm));
        found.twice += extra;
        if (!all.some(({ by }) => by === 'worker')) found.byOthers += extra;
        const hits = all.filter(({ at }) => at <= Number(hash.finishedOn));
        if (hits.length > 0)
            found.recovery.push(Number(hash.finishedOn) - Math.max(...hits.map(({ at }) => at)));
    }

    /* Ends the workers in order; says what does not end so, and what of the jobs lives on. */
    async stop() {
        const problems = [];
        for (const worker of this.workers)
            await worker.stop().catch((error) => problems.push(error.message.slice(0, 300)));
        await waitFor(() => processesWith(this.program).length === 0, 'programs to end', 10000)
            .catch(() => problems.push(`alive after all: ${processesWith(this.program)}`));
        for (const queue of this.queues) {
            if (queue !== 'image') continue;
            const files = readdirSync(join(this.folder, queue));
            const images = files.filter((file) => /^j\d+\.jpg$/.test(file));
            const records = files.filter((file) => /^\.ox-[0-9a-f]{16}\.made$/.test(file));
            const strays = files.filter((file) => !images.includes(file) && !records.includes(file));
            if (strays.length > 0) problems.push(`left in ${queue}: ${strays}`);
            if (records.length > images.length)
                problems.push(`${records.length} records of ${images.length} images`);
        }
        return problems;
    }

    async close() {
        for (const worker of this.everyone) {
            if (worker.ended === undefined) worker.child.kill('SIGKILL');
            worker.proxy?.close();
        }
        await this.npm?.close();
        await this.server.stop();
    }
}

/* Lines of a report that all questions with kills and faults share. */
export function costs({ lost, forgotten, twice, byOthers, recovery }, jobs) {
    const second = (q) => (quantile(recovery, q) / 1000).toFixed(2);
    return [`jobs       ${jobs}`, `lost       ${lost.length}` +
        `${forgotten ? `; ${forgotten} of the last moments before a crash` : ''}`,
    `run twice  ${twice}, ${byOthers} of them without the death of their worker`,
    `recovery   p50 ${second(0.5)} s, p99 ${second(0.99)} s, max ${second(1)} s over ` +
        `${recovery.length} jobs that were hit`];
}
