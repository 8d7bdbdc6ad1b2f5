/*
 * streams.mjs - two ox-workers share a group of a stream while children, workers and redis-server
 * (AOF, fsync always) die by SIGKILL and workers stand still for longer than their claims: is
 * every event stored, and nothing dead?
 *
 * The program writes the events of its batch, and then their number, to a file of its own run in
 * one write. Some events come twice, as at least once means; how many is told.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync,
    writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ox, oxWorker } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { pause, waitFor } from '../interop/support/wait.mjs';
import { descendants } from './processes.mjs';

export const ROUND = 500; /* events that are published in one */
const LOCK_MS = 500;
const WAIT_MS = 60000;

const STORE = `#!/bin/sh
file=$(mktemp "$1/run.XXXXXX") &&
cat >"$file" && mv "$file" "$file.done" &&
sleep 0.02
`;

/* A group with two workers, and what they stored. */
export class Group {
    /* `clock`: its server's can be moved. */
    async open({ clock = false } = {}) {
        this.folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'streams-'));
        this.runs = join(this.folder, 'runs');
        mkdirSync(this.runs);
        this.program = join(this.folder, 'store.sh');
        writeFileSync(this.program, STORE);
        chmodSync(this.program, 0o755);
        this.settings = join(this.folder, 'conf');
        writeFileSync(this.settings, `[stream clicks]\ngroup = g\nfrom = start\nbatch = 50\n` +
            `concurrency = 2\nmax-started = 1000\nattempts = 1000\nbackoff = fixed:50ms\n` +
            `run = exec:${this.program} ${this.runs}\n`);
        this.server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'],
            { clock });
        this.server.client.on('error', () => {}); /* while it is down */
        this.workers = [await this.start(), await this.start()];
    }

    start() {
        return oxWorker(this.server, '--config', this.settings, '--lock', `${LOCK_MS}ms`,
            '--stalled-interval', '200ms');
    }

    async publish(round) {
        const first = round * ROUND + 1, file = join(this.folder, `events-${first}`);
        const lines = Array.from({ length: ROUND }, (_, i) => `{"n":${first + i}}\n`);
        writeFileSync(file, lines.join(''));
        const { status, stderr } =
            await ox(this.server, 'publish', 'click', file, '--lines', '--stream', 'clicks');
        if (status !== 0) throw new Error(`ox publish: ${stderr}`);
    }

    /* How often each event was stored. */
    stored() {
        const counts = new Map();
        for (const name of readdirSync(this.runs)) {
            if (!name.endsWith('.done')) continue;
            for (const [, n] of readFileSync(join(this.runs, name), 'utf8').matchAll(/{"n":(\d+)}/g))
                counts.set(+n, (counts.get(+n) ?? 0) + 1);
        }
        return counts;
    }

    async hit(sort, dice) {
        const place = dice.int(0, 1), worker = this.workers[place];
        if (sort === 'worker') {
            worker.child.kill('SIGKILL');
            await waitFor(() => worker.ended !== undefined, 'the death of ox-worker');
            this.workers[place] = await this.start();
        } else if (sort === 'stop') {
            worker.child.kill('SIGSTOP');
            await pause(LOCK_MS * 2);
            worker.child.kill('SIGCONT');
        } else if (sort === 'server') {
            await this.server.crash();
            await pause(100);
            this.server.spawn();
            await waitFor(() => this.server.client.ping().catch(() => false), 'redis-server', 20000);
        } else {
            const below = descendants(worker.child.pid);
            if (below.length === 0) return false;
            try {
                process.kill(below[dice.int(0, below.length - 1)].pid, 'SIGKILL');
            } catch {
                return false; /* it has ended meanwhile */
            }
        }
        return true;
    }

    /* The group, as ox shows it. */
    async info() {
        const { stdout } = await ox(this.server, 'group', 'ls', '--stream', 'clicks', '--json');
        return JSON.parse(stdout.split('\n')[0]);
    }

    /* Waits until all is stored and acknowledged, and ends the workers. {problems, report} What a
     * worker had stored when it died is pending until another has run it once more. */
    async judge(events, spoil) {
        const all = async () => this.stored().size >= events && (await this.info()).pending === 0;
        const settled = await waitFor(all, 'all events', WAIT_MS).then(() => true, () => false);
        for (const worker of this.workers) await worker.stop();
        const counts = this.stored();
        if (spoil === 'lost') counts.delete(1);
        const info = await this.info();
        const problems = [];
        for (let n = 1; n <= events; n++) if (!counts.has(n)) problems.push(`lost: event ${n}`);
        for (const name of ['lag', 'pending', 'dead', 'lost'])
            if (info[name] !== 0) problems.push(`${name} of the group is ${info[name]}`);
        if (!settled) problems.push('the events did not come in time');
        const twice = [...counts.values()].filter((count) => count > 1).length;
        return { problems, report: `events     ${counts.size} of ${events}, ${twice} more than once, ` +
            `${info.dead} dead` };
    }

    async close() {
        for (const worker of this.workers ?? []) {
            if (worker.ended === undefined) worker.child.kill('SIGKILL');
        }
        await this.server?.stop();
        rmSync(this.folder, { recursive: true, force: true });
    }
}

/* {problems, report} */
export async function streams({ dice, size, spoil }) {
    const group = new Group();
    const done = { child: 0, worker: 0, stop: 0, server: 0 };
    try {
        await group.open();
        for (let round = 0; round < size.rounds; round++) {
            await group.publish(round);
            for (const sort of ['child', 'worker', 'child', round % 2 ? 'server' : 'stop']) {
                await pause(dice.int(50, 300));
                if (await group.hit(sort, dice)) done[sort]++;
            }
        }
        const { problems, report } = await group.judge(size.rounds * ROUND, spoil);
        return { problems, report: [`kills      ${done.child} children, ${done.worker} ox-workers, ` +
            `${done.server} redis-servers; ${done.stop} ox-workers stopped beyond their claims`,
            report] };
    } finally {
        await group.close();
    }
}
