/*
 * fleet.test.mjs - item 65: the short form of fleet.mjs; `make torture` is the long one.
 */
import { runFleet } from './fleet.mjs';
import { assert, item } from './support/suite.mjs';

/* Another fleet in every run; a failure tells the seed that makes it again. */
const seed = Number(process.env.OX_FLEET_SEED ?? Math.floor(Math.random() * 2 ** 31) + 1);

item(65, 'worker',
    '500 jobs of all sorts, two Ox workers and one of each BullMQ, killed all the time: each ' +
    'ends as it should and ran, none is in two states, no lock is left, QueueEvents heard all',
    {}, async () => {
        const options = { jobs: 500, seconds: 15, killEvery: 3, seed };
        const { problems, jobs, runs, kills } = await runFleet(options);
        assert.deepEqual(problems, [], `seed ${seed}`);
        assert.ok(jobs >= 500 && runs > jobs, `${jobs} jobs ran ${runs} times`);
        assert.deepEqual(kills, { ox: 5, bullmq: 5 });
    });
