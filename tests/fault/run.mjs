/*
 * run.mjs - the real ox-worker under faults of every kind: is every job kept, and the worker small?
 *
 *     node run.mjs [--long] [--seed S] [--only NAME,NAME] [--spoil WHAT]
 *
 *   kill       children, programs, ox-workers and redis-server (AOF, fsync always) die by SIGKILL
 *   everysec   the same with the fsync of every second
 *   net        a proxy cuts, stalls, delays, loses, splits, adds and withholds replies
 *   stop       ox-worker stands still for longer than the lock, and goes on
 *   many       half a million jobs through one worker: memory and descriptors
 *   streams    two ox-workers share a group of a stream while everything dies and stands still
 *   clock      the clock of redis-server is set back and forward under them
 *   payload    no data at all; a thousand progress reports a second
 *
 * Short forms run in `make test`, long ones in `make torture`. The seed fixes the plan; which
 * worker gets which job is up to the machine. `--spoil` harms the evidence before it is judged,
 * so that a check can be seen to fail: lost, failed, result, half, lock, slow, orphan (of
 * kill, everysec and net), image, stray (kill, everysec), winner, alive, silent, lost, slow (stop),
 * memory, descriptors, count (many), lost (streams, clock), flood, empty (payload).
 *
 * Prints what each question cost, its violations, and "N passed, N failed".
 */
import { parseArgs } from 'node:util';
import { Dice } from '../interop/support/fleet_plan.mjs';
import { clock } from './clock.mjs';
import { kills } from './kills.mjs';
import { many } from './many.mjs';
import { net } from './net.mjs';
import { payload } from './payload.mjs';
import { stop } from './stop.mjs';
import { streams } from './streams.mjs';

const SHOWN = 10; /* violations of one question */

/* The default lock, where recovery is measured, needs the long form's time. */
const questions = {
    kill: { ask: (context) => kills('always', context),
        short: { jobs: 150, seconds: 5, killEveryMs: 150, lock: '2s' },
        long: { jobs: 4000, seconds: 130, killEveryMs: 250 } },
    everysec: { ask: (context) => kills('everysec', context),
        short: { jobs: 80, seconds: 3, killEveryMs: 150, lock: '2s' },
        long: { jobs: 1500, seconds: 50, killEveryMs: 250 } },
    net: { ask: net,
        short: { jobs: 120, rounds: 1 },
        long: { jobs: 1500, rounds: 6 } },
    stop: { ask: stop, short: { rounds: 1 }, long: { rounds: 5 } },
    many: { ask: many, short: { jobs: 20000 }, long: { jobs: 500000 } },
    streams: { ask: streams, short: { rounds: 4 }, long: { rounds: 30 } },
    clock: { ask: clock, short: { rounds: 3 }, long: { rounds: 20 } },
    payload: { ask: payload, short: { seconds: 2 }, long: { seconds: 20 } },
};

function refuse(text) {
    console.error(`fault: ${text}`);
    process.exit(2);
}

function optionsOf(argv) {
    let given;
    try {
        given = parseArgs({ args: argv, options: { long: { type: 'boolean' },
            seed: { type: 'string' }, only: { type: 'string' },
            spoil: { type: 'string' } } }).values;
    } catch (error) {
        refuse(error.message);
    }
    const only = given.only?.split(',') ?? Object.keys(questions);
    const unknown = only.find((name) => !questions[name]);
    if (unknown !== undefined)
        refuse(`--only: no ${unknown}; there are ${Object.keys(questions).join(', ')}`);
    const seed = Number(given.seed ?? Math.floor(Math.random() * 2 ** 31) + 1);
    if (!Number.isInteger(seed) || seed < 1) refuse(`--seed must be an integer from 1`);
    return { only, seed, form: given.long ? 'long' : 'short', spoil: given.spoil };
}

async function main() {
    const { only, seed, form, spoil } = optionsOf(process.argv.slice(2));
    let failed = 0;
    console.log(`fault: ${only.join(', ')}, ${form} form, --seed ${seed}`);
    for (const name of only) {
        const started = Date.now();
        const number = Object.keys(questions).indexOf(name);
        const { problems, report } = await questions[name].ask({ dice: new Dice(seed + number),
            size: questions[name][form], spoil })
            .catch((error) => ({ problems: [error.stack], report: [] }));
        console.log(`${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
        for (const line of report) console.log(`    ${line}`);
        for (const line of problems.slice(0, SHOWN)) console.log(`    VIOLATED: ${line}`);
        if (problems.length > SHOWN) console.log(`    ... and ${problems.length - SHOWN} more`);
        if (problems.length > 0) failed++;
    }
    console.log(`${only.length - failed} passed, ${failed} failed`);
    process.exit(failed === 0 ? 0 : 1);
}

await main();
