/*
 * fleet.test.mjs - item 65: the short form of fleet.mjs; `make torture` is the long one.
 */
import { fleetOptions, runFleet } from './fleet.mjs';
import { assert, item } from './support/suite.mjs';

/* Another fleet in every run; a failure tells the seed that makes it again. */
const seed = Number(process.env.OX_FLEET_SEED ?? Math.floor(Math.random() * 2 ** 31) + 1);

const faults = ['kill', 'net', 'server', 'script'];

item(65, 'worker',
    '500 jobs of all sorts, four Ox workers and one of each BullMQ, killed and cut off all the ' +
    'time: each ends as it should and ran, none is lost or in two states, no lock is left, ' +
    'QueueEvents heard all',
    {}, async () => {
        /* Every other fleet has jobs without a lock, see unlocked.test.mjs. */
        const options = fleetOptions({ faults, seed, 'lock-after': seed % 2 === 0 ? 30 : undefined });
        const { problems, history, lost, jobs, runs, kills } = await runFleet(options);
        assert.deepEqual([...lost, ...problems], [], `seed ${seed}, lock-after ${options.lockAfter}\n${history.join('\n')}`);
        assert.ok(jobs >= 500 && runs > jobs, `${jobs} jobs ran ${runs} times`);
        assert.ok(kills.ox > 0 && kills.bullmq > 0, `${JSON.stringify(kills)} killed`);
    });
