/*
 * events.test.mjs - events that ox publishes, in the hands of others: jobs of bound queues are
 * worked by BullMQ, their data is what the CloudEvents SDK takes, the log is read as
 * docs/events-layout.md says, with its own example, and what BullMQ cleans up leaves it alone.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { deflateSync } from 'node:zlib';
import { Queue, Worker } from 'bullmq';
import { CloudEvent } from 'cloudevents';
import { ox } from './support/programs.mjs';
import { RedisServer } from './support/redis.mjs';
import { selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const LOG = 'bull::ox:{events}:log';
const END_MS = 20000;

let server;
before(async () => (server = await RedisServer.start()));
after(async () => server?.stop());

/* The self-check has no events to check. */
const events = (name, body) => {
    if (!selfCheck) test(name, { timeout: 3 * END_MS }, async () => {
        await server.client.flushall();
        await body();
    });
};

/* The example of docs/events-layout.md, as it stands there. */
async function readerOfDocs() {
    const page = readFileSync('../../docs/events-layout.md', 'utf8');
    const file = resolve(`.reader-${process.pid}.mjs`);
    writeFileSync(file, /```js\n(.*?)```/s.exec(page)[1]);
    try {
        return (await import(pathToFileURL(file))).read;
    } finally {
        rmSync(file);
    }
}

events('a bound queue is worked by BullMQ, and its data is a CloudEvent', async () => {
    await ox(server, 'bind', 'car.*', 'images', '--attempts', '2');
    await ox(server, 'bind', 'car.posted', 'mail', '--name', 'notify');
    await ox(server, 'publish', 'car.posted', '{"id":17}', '--subject', '17', '--key', 'k');
    await ox(server, 'publish', 'car.sold', '[1]', '--traceparent', '00-1-1-01');
    const seen = [];
    const work = async (job) => {
        seen.push({ queue: job.queueName, name: job.name, id: job.id, data: job.data,
            attempts: job.opts.attempts });
    };
    const connection = server.client.options;
    const workers = ['images', 'mail'].map((name) => new Worker(name, work, { connection }));
    try {
        await waitFor(() => seen.length === 3, 'three jobs', END_MS);
    } finally {
        await Promise.all(workers.map((worker) => worker.close()));
    }
    const of = (queue) => seen.filter((job) => job.queue === queue);
    assert.deepEqual(of('images').map((job) => job.name), ['car.posted', 'car.sold']);
    assert.deepEqual(of('images').map((job) => job.attempts), [2, 2]);
    assert.deepEqual(of('mail').map((job) => job.name), ['notify']);
    assert.equal(of('mail')[0].id, of('images')[0].id);
    assert.match(of('mail')[0].id, /^ev-[0-9a-f]{40}$/);
    for (const { data } of seen) {
        const event = new CloudEvent(data); /* throws when it is none */
        assert.ok(event.validate());
    }
    const posted = new CloudEvent(of('mail')[0].data);
    assert.deepEqual(posted.data, { id: 17 });
    assert.equal(posted.subject, '17');
    assert.equal(posted.partitionkey, 'k');
    assert.ok(Math.abs(Date.parse(posted.time) - Date.now()) < END_MS);
});

events('the reader of docs/events-layout.md reads what there is and what comes', async () => {
    const read = await readerOfDocs();
    const redis = server.client.duplicate();
    const types = [];
    try {
        for (const type of ['a', 'b']) await ox(server, 'publish', type);
        const two = ['c', 'd'].map((type) => JSON.stringify({ type })).join('\n');
        const newest = (await server.client.xrevrange(LOG, '+', '-', 'COUNT', 1))[0][0];
        const ms = Number(newest.split('-')[0]);
        await server.client.xadd(LOG, `${ms + 1}-4`, 'z', deflateSync(two), 'c', '2');
        await server.client.hset('bull::ox:{events}:info', 'n', '4');
        for await (const { position, event } of read(redis, LOG)) {
            assert.match(position, /^\d+-\d+$/);
            types.push(`${position.split('-')[1]} ${event.type}`);
            if (event.type === 'd') setTimeout(() => ox(server, 'publish', 'e'), 50);
            if (event.type === 'e') break;
        }
        assert.deepEqual(types, ['1 a', '2 b', '3 c', '4 d', '5 e']);
        /* From inside an entry. */
        for await (const { event } of read(redis, LOG, `${ms + 1}-3`)) {
            assert.equal(event.type, 'd');
            break;
        }
    } finally {
        redis.disconnect();
    }
});

events('what BullMQ removes of queues leaves a stream alone', async () => {
    await ox(server, 'bind', 'a', 'q');
    await ox(server, 'publish', 'a');
    const queue = new Queue('q', { connection: server.client.options });
    try {
        await queue.obliterate({ force: true });
        await queue.removeOrphanedJobs?.();
    } finally {
        await queue.close();
    }
    assert.equal(await server.client.xlen(LOG), 1);
    assert.equal(await server.client.hlen('bull::ox:{events}:binds'), 1);
    assert.equal((await ox(server, 'queues')).stdout ?? '', '');
});
