/*
 * stop.mjs - an ox-worker stands still for longer than its locks (SIGSTOP), and goes on (SIGCONT).
 *
 * Two workers share a queue of exec jobs. The first takes some and is stopped; the second finds
 * them by their expired locks and runs them, and is what counts. Then the first goes on, either
 * while the second still runs them, or when the second has stored its results. It must kill what
 * it runs of them, or, where its own run had ended meanwhile, have its result refused; and say so.
 *
 * The program of a job makes a file of the run's own, holds a lock (flock) on it for as long as it
 * lives, and ends when the run's file `go-ID.RUN` is there; RUN is the return value. (A process's
 * id would not tell runs apart: in a namespace of its own each has the same.)
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Npm } from '../interop/support/npm.mjs';
import { oxWorker } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { waitFor } from '../interop/support/wait.mjs';

const JOBS = 3; /* at a time */
const WAIT_MS = 30000;

const HOLD = `#!/bin/sh
run=$(mktemp "$1/run-$OX_JOB_ID.XXXXXX")
exec 9>"$run"
flock 9
mv "$run" "$run.held"
while [ ! -e "$1/go-$OX_JOB_ID.\${run##*.}" ]; do sleep 0.05; done
echo "\\"\${run##*.}\\""
`;

class Hold {
    async open() {
        this.folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'stop-'));
        this.program = join(this.folder, 'hold.sh');
        writeFileSync(this.program, HOLD);
        chmodSync(this.program, 0o755);
        this.server = await RedisServer.start();
        this.npm = await Npm.open(this.server, '6.7.0');
        this.queue = await this.npm.queue('hold');
        this.workers = [];
    }

    async start() {
        const worker = await oxWorker(this.server, '--lock', '1s', '--concurrency', `${JOBS}`,
            '--grace', '1s', `hold=exec:${this.program} ${this.folder}`);
        this.workers.push(worker);
        return worker;
    }

    /* The runs of a job, as its files tell. */
    runsOf(id) {
        return readdirSync(this.folder).map((file) => file.match(/^run-(.*)\.(\w+)\.held$/))
            .filter((found) => found?.[1] === id).map((found) => found[2]);
    }

    async run(id, but) {
        let run;
        await waitFor(() => (run = this.runsOf(id).find((one) => one !== but)), `a run of ${id}`,
            WAIT_MS);
        return run;
    }

    /* Nobody holds the run's lock. */
    isOver(id, run) {
        return spawnSync('flock', ['-n', join(this.folder, `run-${id}.${run}.held`), 'true'])
            .status === 0;
    }

    go(id, run) {
        writeFileSync(join(this.folder, `go-${id}.${run}`), '');
    }

    async completed(ids) {
        await waitFor(async () => (await Promise.all(ids.map((id) => (
            this.server.client.zscore('bull:hold:completed', id))))).every((at) => at !== null),
        `${ids} to be completed`, WAIT_MS);
    }

    async close() {
        for (const worker of this.workers) {
            worker.child.kill('SIGKILL');
            worker.child.kill('SIGCONT');
        }
        await this.npm?.close();
        await this.server?.stop();
    }
}

/*
 * `late`: the second worker has stored its results before the first goes on, and the first one's
 * programs have ended by themselves while it stood still.
 */
async function standStill(hold, late, ids, spoil) {
    const problems = [];
    const first = await hold.start();
    for (const id of ids) await hold.queue.add('hold', {}, { jobId: id });
    const mine = {};
    for (const id of ids) mine[id] = await hold.run(id);
    first.child.kill('SIGSTOP');
    const second = await hold.start();
    const theirs = {};
    for (const id of ids) theirs[id] = await hold.run(id, mine[id]);
    if (late) {
        for (const id of ids) hold.go(id, mine[id]);
        await waitFor(() => ids.every((id) => hold.isOver(id, mine[id])), 'programs to end');
        for (const id of ids) hold.go(id, theirs[id]);
        await hold.completed(ids);
    }
    if (!(spoil === 'alive' && !late)) first.child.kill('SIGCONT');
    await waitFor(() => ids.every((id) => hold.isOver(id, mine[id])), 'over',
        spoil === 'alive' ? 3000 : WAIT_MS)
        .catch(() => problems.push('the stopped worker goes on running what it lost'));
    if (!late) {
        for (const id of ids) hold.go(id, theirs[id]);
        await hold.completed(ids);
    }
    for (const id of ids) {
        const row = `event=dropped queue=hold id=${spoil === 'silent' ? 'x' : id} `;
        await waitFor(() => first.log.includes(row), 'a row of the log',
            spoil === 'silent' ? 1000 : WAIT_MS)
            .catch(() => problems.push(`${id}: the stopped worker does not say that it lost it`));
        if (spoil === 'winner') theirs[id] = mine[id];
        const value = await hold.server.client.hget(`bull:hold:${id}`, 'returnvalue');
        if (value !== JSON.stringify(theirs[id]))
            problems.push(`${id}: returned ${value}, not ${theirs[id]} as the second worker's run`);
        if (hold.runsOf(id).length !== 2) problems.push(`${id}: ${hold.runsOf(id).length} runs`);
    }
    for (const worker of [first, second])
        await worker.stop().catch((error) => problems.push(error.message.slice(0, 300)));
    return problems;
}

export async function stop({ size: { rounds }, spoil }) {
    const hold = new Hold();
    const problems = [];
    let count = 0;
    try {
        await hold.open();
        for (let round = 0; round < rounds; round++)
            for (const late of [false, true]) {
                const ids = Array.from({ length: JOBS }, () => `j${++count}`);
                problems.push(...await standStill(hold, late, ids, spoil));
            }
        return { problems, report: [`jobs       ${count} lost to another worker by a stop; ` +
            `each completed by the other's run`] };
    } finally {
        await hold.close();
    }
}
