/*
 * stop.mjs - an ox-worker stands still for longer than its locks (SIGSTOP), and goes on (SIGCONT).
 *
 * Two workers share a queue of exec jobs. The first takes some and is stopped; the second finds
 * them by their expired locks and runs them, and is what counts. Then the first goes on, either
 * while the second still runs them, or when the second has stored its results. It must kill what
 * it runs of them, or, where its own run had ended meanwhile, have its result refused; and say so.
 *
 * Recovery is the time from the stop to the other worker's run of a job.
 *
 * The program of a job makes a file of the run's own, holds a lock (flock) on it for as long as it
 * lives, and ends when the run's file `go-ID.RUN` is there; RUN is the return value. (A process's
 * id would not tell runs apart: in a namespace of its own each has the same.)
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantile } from '../interop/support/fleet_measure.mjs';
import { Npm } from '../interop/support/npm.mjs';
import { oxWorker } from '../interop/support/programs.mjs';
import { RedisServer } from '../interop/support/redis.mjs';
import { waitFor } from '../interop/support/wait.mjs';
import { costs, RECOVERY_MS } from './crew.mjs';

const JOBS = 3; /* at a time */
const LOCK = '1s';
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
        /* What is told at the end: ids; milliseconds. */
        Object.assign(this, { lost: [], twice: 0, recovery: [], killed: [] });
    }

    async start() {
        const worker = await oxWorker(this.server, '--lock', LOCK, '--concurrency', `${JOBS}`,
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

    /* When a run began. */
    begin(id, run) {
        return statSync(join(this.folder, `run-${id}.${run}.held`)).mtimeMs;
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
    const stopped = Date.now();
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
    const goesOn = Date.now();
    await waitFor(() => ids.every((id) => hold.isOver(id, mine[id])), 'over',
        spoil === 'alive' ? 3000 : WAIT_MS)
        .catch(() => problems.push('the stopped worker goes on running what it lost'));
    if (!late) hold.killed.push(Date.now() - goesOn);
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
        if (spoil === 'lost') await hold.server.client.del(`bull:hold:${id}`);
        const hash = await hold.server.client.hgetall(`bull:hold:${id}`);
        const runs = hold.runsOf(id).length;
        if (hash.finishedOn === undefined) hold.lost.push(id);
        else if (hash.returnvalue !== JSON.stringify(theirs[id]))
            problems.push(`${id}: returned ${hash.returnvalue}, not ${theirs[id]} as the second ` +
                "worker's run");
        if (runs !== 2) problems.push(`${id}: ${runs} runs`);
        hold.twice += runs - Number(hash.atm ?? runs);
        hold.recovery.push((spoil === 'slow' ? 2 * RECOVERY_MS : 0) +
            Math.round(hold.begin(id, theirs[id]) - stopped));
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
        for (const list of [hold.recovery, hold.killed]) list.sort((a, b) => a - b);
        const { lost, twice, recovery, killed } = hold;
        problems.push(...lost.map((job) => `lost: ${job}`));
        if (quantile(recovery, 0.99) > RECOVERY_MS)
            problems.push(`recovery: p99 is ${quantile(recovery, 0.99)} ms`);
        return { problems, report: [`stops      ${2 * rounds} ox-workers, each beyond its locks ` +
            `(${LOCK})`, ...costs({ lost, twice, byOthers: twice, recovery }, count),
        `kills      of what a worker had lost: p50 ${quantile(killed, 0.5)} ms, ` +
            `p99 ${quantile(killed, 0.99)} ms after it went on`] };
    } finally {
        await hold.close();
    }
}
