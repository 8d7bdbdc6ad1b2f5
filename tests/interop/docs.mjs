/*
 * docs.mjs - writes docs/compatibility.md from the results of a run:
 *
 *     node docs.mjs RESULTS docs/compatibility.md
 *
 * A row of its table is one test; versions of bullmq that it ran against share the row.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const [resultsPath, outPath] = process.argv.slice(2);
const version = (name) => JSON.parse(readFileSync(
    new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

const roles = ['producer', 'worker', 'operator'];
const rows = new Map();
for (const line of readFileSync(resultsPath, 'utf8').trim().split('\n')) {
    const { name, ok } = JSON.parse(line);
    if (!ok) throw new Error(`failed: ${line}`);
    if (!name.startsWith('item ')) continue; /* no assertion about BullMQ: README, TLS, webhooks */
    const match = /^item +(\d+) \((\w+), bullmq ([\d.]+)\): (.*)$/.exec(name);
    if (!match) throw new Error(`not for the table: ${line}`);
    const [, number, role, bullmq, text] = match;
    const key = `${number} ${role} ${text}`;
    const row = rows.get(key) ?? { number: Number(number), role, text, versions: [] };
    row.versions.push(bullmq);
    rows.set(key, row);
}

const escape = (text) => text.replace(/[|<>*_]/g, '\\$&');
const sorted = [...rows.values()].sort((a, b) => a.number - b.number ||
    roles.indexOf(a.role) - roles.indexOf(b.role));
const lines = sorted.map((row) => {
    const marks = roles.map((role) => (role === row.role ? 'yes' : ''));
    const versions = row.versions.sort().reverse().join(', ');
    return `| ${row.number} | ${escape(row.text)} | ${marks.join(' | ')} | ${versions} |`;
});
const items = new Set(sorted.map((row) => row.number));
const said = execFileSync('redis-server', ['--version'], { encoding: 'utf8' });
const redis = /v=([\d.]+)/.exec(said)[1];

const page = `# Compatibility with BullMQ

This page is written by \`tests/interop/run.sh BUILD --write-docs\` from the tests as they
passed: ${sorted.length} assertions of ${items.size} items, with the npm packages bullmq
${version('bullmq')} and ${version('bullmq5')}, ioredis ${version('ioredis')} and \`@bull-board/api\` ${version('@bull-board/api')}, on Redis ${redis}.
\`make test\` runs them all.

A row is one test. "Producer", "worker" and "operator" say what Ox is in it; BullMQ is the
rest: it adds what Ox works, works what Ox adds, and looks at what Ox did.

## What a user should know

- **Pausing a queue that BullMQ 5.x shares.** 5.x parks waiting jobs in another list while a
  queue is paused, and its resume overwrites what others pushed meanwhile. On such a queue give
  every \`ox\` and \`ox-worker\` the option \`--legacy-pause\` (in libox \`legacy_pause\`), and let Ox
  or BullMQ 6 do the resuming when 6.x producers are there as well (items 13 and 68). Without
  it, no 5.x client may pause.
- **Legacy repeatable jobs** of BullMQ 5.x (\`add\` with \`repeat\`) are not run on schedule by
  Ox, nor by BullMQ 6: turn them into job schedulers first. \`ox_queue_info_get\` tells when a
  queue has some.
- **Where Ox does not copy BullMQ.** Draining keeps a scheduler's job (53), bulk retry and
  promotion keep priorities (51, 52), obliterating leaves no key (55), a job whose hash is gone
  is skipped instead of run as a ghost (36), an unknown backoff type fails the job instead of
  leaving it active (66), a freed slot of a maxed queue wakes the next worker (39), a parent
  that is released by a removal keeps its priority (60), setting a scheduler anew while its
  queue is paused leaves one job, not two (64), and a scheduler's job that stalls too often
  fails like any other instead of killing workers for ever.
- **Outages and locks.** A worker of Ox that could not reach Redis for longer than its lock takes
  its locks again when it is back: allowed while the job is active, has no lock, and its \`ats\` and
  \`processedOn\` are those of this worker's take. Late results are stored under the same
  condition (35), and Ox looks for stalled jobs only one lock time after a reconnect. So an outage
  by itself runs nothing twice among workers of Ox. A worker of BullMQ on the same queue may
  still take such jobs for stalled; then the run of Ox is refused at its end, which is logged,
  and BullMQ's own runs lose their locks as they always do.
- **Jobs without a lock.** With \`--lock-after\` (in libox \`lock_after_ms\`; off by default) a worker of
  Ox locks only jobs that run that long; others end without a lock, which is accepted for twice that
  time after the take, by the server's clock, while the job is active and nobody else's lock is there.
  BullMQ moves a job that had no lock at two stalled checks, so give its workers a \`stalledInterval\`
  of more than that time; with a shorter one a job may run twice, and is stored once. In that time
  \`remove\` and \`clean\` of others take a running job away as if it were nobody's, its end is then
  refused, and one that is added again under the same id may be ended by the earlier run. A job whose
  worker is killed then, or whose take is lost with the connection, counts as stalled. With
  \`--late-start\` \`processedOn\` and \`ats\` come with the lock or the end (72).
- **Stalls.** A stall counts against the attempts, though it spends none (the next run has the same
  number): a job that has attempts left runs again, whatever \`maxStalledCount\` (34); BullMQ fails it
  then. Whoever finds the job decides. A take whose reply was lost is no stall, where the worker
  finds its locks.
- **Clocks.** What is due, and when a job was started and finished, is decided by the server's
  clock, not by the worker's. Two times come from whoever adds, because the layout has them so:
  a delayed job is due \`delay\` after its \`timestamp\`, and the first time of a scheduler is
  counted by who sets it. A producer's clock that is ahead by an hour delays them by that hour.
  (A job is never said to start before its \`timestamp\`, nor to finish before it started.) When a
  job started and finished, a busy worker says by what it knows of the server's clock: never later
  than it is there, and 20 ms earlier at most; what is due is always the server's to say.
- **Two rate limits.** Where a queue has a rate (\`ox limit --rate\`, \`setGlobalRateLimit\`) and its
  workers have a limiter, both hold among Ox workers: these count the second beside the queue's
  keys, in \`PREFIX::ox:limit:QUEUE\`. BullMQ takes the number of starts from the queue and the
  window from the worker, so neither holds; and as all count the first in one key, whichever
  worker opens a window says how long it is. On a queue with a rate, give no limiter to workers
  of BullMQ.
- **Cancelling.** \`ox cancel\` fails a job that any worker runs: the lock goes, so the worker's own
  end is refused. An Ox worker kills the run within a renewal of its lock. A BullMQ worker is
  not told why its lock is gone: its handler runs to its end, unless the program acts on
  \`lockRenewalFailed\`, and \`ox\` says so (70). What is kept of the job is what its own
  \`removeOnFail\` says, else all; a worker's default is not known to \`ox\`.
- **Timeout and expire** are job options of Ox (\`ox add --timeout --expire\`, or the options
  \`timeout\` and \`expire\` of \`Queue.add\`, in milliseconds). BullMQ keeps them with the job, as
  all options that it does not know, and does not act on them: its own workers run such a job
  whenever it comes and for however long. Only workers of Ox look at them (71).
- **Quick jobs and \`waitUntilFinished\`.** A new \`QueueEvents\` reads from the newest event when its
  first read reaches Redis, which may be after \`waitUntilReady\`. A job that ends in between, as
  quick jobs of Ox do, is never heard of, and \`waitUntilFinished\` waits for ever. Make the
  \`QueueEvents\` long before the job, or with \`lastEventId: '0'\`.
- **Delivery is at least once**, as BullMQ's is: after a worker is killed its jobs run again
  (33, 65).

## The items

| item | what is asserted | producer | worker | operator | bullmq |
|---:|---|---|---|---|---|
${lines.join('\n')}
`;
writeFileSync(outPath, page);
console.log(`wrote ${outPath}: ${sorted.length} rows`);
