/*
 * stored.test.mjs - item 66: stored options, data and parents that are odd JSON. Both sides are
 * given the same jobs, written by hand, and what became of them is compared.
 */
import { ox, oxWorker } from './support/programs.mjs';
import { assert, item, json, selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

/* The self-check has no programs to check. */
const programs = (text, body) => {
    if (!selfCheck) item(66, 'worker', text, {}, body);
};

/* Adds a job to each of two queues and writes one field of its hash by hand. */
async function plant(ctx, queues, name, data, field, text) {
    for (const queue of queues) {
        const { id } = await queue.add(name, data);
        await ctx.redis.hset(`bull:${queue.name}:${id}`, field, text);
        await ctx.redis.hset(`bull:${queue.name}:${id}`, 'case', name);
    }
}

async function pair(ctx) {
    return [await ctx.N.queue(`${ctx.q}-n`), await ctx.N.queue(`${ctx.q}-o`)];
}

/* What became of a job, in the terms of a user. */
async function fate(ctx, queue, id) {
    const hash = await ctx.hash(id, queue.name);
    if (hash.case === undefined) return 'removed';
    const state = await queue.getJobState(id);
    return { state, attempts: hash.atm, returned: hash.returnvalue && json(hash.returnvalue),
        stacks: hash.stacktrace && json(hash.stacktrace).length };
}

const settled = (fate) => fate === 'removed' || ['completed', 'failed'].includes(fate.state);

async function compare(ctx, queues, cases) {
    for (const [i, what] of cases.entries()) {
        const id = String(i + 1);
        const fates = [];
        for (const queue of queues) {
            await waitFor(async () => settled(await fate(ctx, queue, id)),
                `${what} of ${queue.name}`);
            fates.push(await fate(ctx, queue, id));
        }
        assert.deepEqual(fates[1], fates[0], what);
    }
}

const deep = (levels, inner = '1') => '[{"x":'.repeat(levels / 2) + inner + '}]'.repeat(levels / 2);

/* null as options stops BullMQ's worker; nothing else of these does. */
const options = ['', '{}', '[]', '[{"attempts":3}]', '5', '"abc"', 'true',
    '{"note":"half \\ud83d","attempts":3}', '{"note":"a\\u0000b","attempts":2}',
    `{"note":${deep(600)},"attempts":2}`, '{"attempts":9,"attempts":2}', '{"\\u0061ttempts":3}',
    '{"attempts":"3"}', '{"attempts":2.5}', '{"attempts":-1}', '{"attempts":null}',
    '{"attempts":true}', '{"attempts":"many"}', '{"attempts":{}}', '{"n":1e400,"attempts":2}',
    '{"attempts":-0}', '{"attempts":2,"backoff":5}', '{"attempts":2,"backoff":"5"}',
    '{"attempts":2,"backoff":{"type":"fixed"}}', '{"attempts":2,"backoff":null}',
    '{"attempts":2,"backoff":{"type":"fixed","delay":"20"}}',
    '{"attempts":2,"backoff":{"type":"exponential","delay":1.5}}',
    '{"removeOnFail":true}', '{"removeOnFail":"x"}', '{"removeOnFail":""}', '{"removeOnFail":0}',
    '{"removeOnFail":-1}', '{"removeOnFail":[]}', '{"removeOnFail":{"age":1000}}',
    '{"removeOnFail":{"count":0}}', '{"attempts":3,"stackTraceLimit":"2"}',
    '{"attempts":3,"stackTraceLimit":0}', '{"attempts":3,"stackTraceLimit":true}',
    '{"attempts":3,"lifo":"yes"}', '{"de":7}', '{"kl":"1"}', ' { "attempts" : 2 } ',
].filter((text) => text !== '{"attempts":2,"backoff":"5"}'); /* its job stays active for ever */

item(66, 'worker', 'stored options mean the same to both: odd text, types and numbers', {},
    async (ctx) => {
        const queues = await pair(ctx);
        for (const text of options)
            await plant(ctx, queues, text, { do: 'fail', reason: 'no' }, 'opts', text);
        await ctx.N.worker(queues[0].name, { concurrency: 4 });
        await ctx.oxWorker({ concurrency: 4 }, queues[1].name);
        await compare(ctx, queues, options);
    });

const data = ['', '{}', 'null', '0', '"half \\ud83d"', '"\\u0000"', '{"a":1,"a":2}',
    deep(600), Buffer.from([0x22, 0xff, 0x22]), Buffer.from([0x7b, 0x22, 0xc3, 0x22, 0x3a, 0x31,
        0x7d]), '{"\\ud83d":"\\udf82"}', ' [1 , 2] ', '1e300', '"\u2028\u007f"'];

programs('stored data reaches a handler as it reaches a processor, and comes back', async (ctx) => {
    const queues = await pair(ctx);
    for (const text of data) await plant(ctx, queues, 'job', {}, 'data', text);
    const own = new ctx.N.kinds.Worker(queues[0].name, async (job) => job.data,
        { connection: ctx.N.connection });
    ctx.N.keep(own);
    const worker = await oxWorker(ctx.server, `${queues[1].name}=echo`);
    try {
        await compare(ctx, queues, data.map(String));
    } finally {
        await worker.stop();
    }
    /* What the tool prints of them is JSON, whatever it is. */
    for (let id = 1; id <= data.length; id++)
        for (const verb of ['job', 'explain'])
            json((await ox(ctx.server, verb, queues[1].name, String(id), '--json')).stdout);
});

/* BullMQ stores the id of such a parent as bytes that are not UTF-8, in its key and its JSON. */
programs('a child with half a surrogate pair in its parent\'s id fails and feeds the parent',
    async (ctx) => {
        const half = 'cake \ud83c';
        const parent = async (jobId, opts, text) => {
            await ctx.N.flows().add({ name: 'p', queueName: ctx.q, opts: { jobId }, children: [
                { name: 'c', queueName: `${ctx.q}-c`, opts, data: { text } }] });
        };
        await parent(half, {}, half);
        await parent(`${half}2`, { failParentOnFailure: true }, 'bad');
        await ctx.redis.hset(`bull:${ctx.q}-c:${(await ctx.redis.lrange(
            `bull:${ctx.q}-c:wait`, 0, 0))[0]}`, 'data', '{oops');
        const worker = await oxWorker(ctx.server, `${ctx.q}=echo`, `${ctx.q}-c=echo`);
        try {
            await ctx.untilCount('completed', 1);
            await ctx.untilCount('failed', 1);
        } finally {
            await worker.stop();
        }
        const of = async (state, suffix) => Buffer.concat([Buffer.from(ctx.base),
            (await ctx.redis.zrangeBuffer(ctx.key(state), 0, 0))[0], Buffer.from(suffix)]);
        const values = await ctx.redis.hvals(await of('completed', ':processed'));
        assert.deepEqual(values.map(json), [{ text: half }]);
        assert.match(await ctx.redis.hget(await of('failed', ''), 'failedReason'),
            /^child .* failed$/);
    });
