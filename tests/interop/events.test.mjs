/*
 * events.test.mjs - events that ox publishes, in the hands of others: jobs of bound queues are
 * worked by both majors of BullMQ and shown by bull-board, their data is what the CloudEvents
 * SDK takes, the log is read as docs/events-layout.md says, with its own example, and neither
 * what BullMQ cleans up nor its Relay touches it.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { deflateSync } from 'node:zlib';
import { Queue, Relay } from 'bullmq';
import { CloudEvent } from 'cloudevents';
import { openBoard } from './support/board.mjs';
import { loadBullmq, versions } from './support/npm.mjs';
import { ox } from './support/programs.mjs';
import { RedisServer } from './support/redis.mjs';
import { selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const BASE = 'bull::ox:{events}:', LOG = `${BASE}log`;
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

/* An example of docs/events-layout.md, as it stands there. */
async function exampleOfDocs(index) {
    const page = readFileSync('../../docs/events-layout.md', 'utf8');
    const file = resolve(`.example-${process.pid}-${index}.mjs`);
    writeFileSync(file, [...page.matchAll(/```js\n(.*?)```/gs)][index][1]);
    try {
        return await import(pathToFileURL(file));
    } finally {
        rmSync(file);
    }
}

for (const version of versions) events(`a bound queue is worked by BullMQ ${version}, and its data is a CloudEvent`, async () => {
    const { Worker } = await loadBullmq(version);
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

events('bull-board shows a bound queue and the event of its job', async () => {
    await ox(server, 'bind', 'car.*', 'images', '--attempts', '3');
    await ox(server, 'bind', 'car.posted', 'mail', '--delay', '1h');
    await ox(server, 'publish', 'car.posted', '{"id":17}', '--id', 'x', '--source', '/cars');
    const queues = ['images', 'mail'].map((name) =>
        new Queue(name, { connection: server.client.options }));
    try {
        const ask = openBoard(queues);
        const list = async (activeQueue, status) => (await ask('get', '/api/queues', { query: {
            activeQueue, status, page: '1', jobsPerPage: '10' } })).queues
            .find((queue) => queue.name === activeQueue);
        const [job] = (await list('images', 'waiting')).jobs;
        assert.equal(job.name, 'car.posted');
        assert.match(job.id, /^ev-[0-9a-f]{40}$/);
        assert.equal(job.data.source, '/cars');
        assert.deepEqual(job.data.data, { id: 17 });
        assert.equal((await list('mail', 'delayed')).jobs[0].id, job.id);
        const one = await ask('get', '/api/queues/:queueName/:jobId',
            { params: { queueName: 'images', jobId: job.id } });
        assert.equal(one.status, 'waiting');
    } finally {
        await Promise.all(queues.map((queue) => queue.close()));
    }
});

/* A namespace and a queue with the names of the stream, under the same prefix. */
events('a Relay, and queues called as a stream is, do not meet it', async () => {
    const connection = server.client.options;
    const relay = new Relay({ connection, namespace: 'events', sweepInterval: 1000 });
    const queues = ['events', 'ox', 'relay'].map((name) => new Queue(name, { connection }));
    const heard = [];
    try {
        await relay.waitUntilReady();
        await relay.subscribe('car.*', (message) => heard.push(message.topic));
        await ox(server, 'bind', 'car.*', 'images');
        await ox(server, 'publish', 'car.posted', '{"id":17}');
        await relay.publish('car.sold', { id: 18 }, { retain: 60000 });
        await Promise.all(queues.map((queue) => queue.add('job', {})));
        await waitFor(() => heard.length > 0, 'the message of the relay', END_MS);
        assert.deepEqual(heard, ['car.sold']);
        assert.deepEqual(await relay.getNamespaces(), ['events']);
        const names = (text) => text.split('\n').filter(Boolean).map((l) => l.split('\t')[0]);
        assert.deepEqual(names((await ox(server, 'stream', 'ls')).stdout), ['events']);
        assert.deepEqual(names((await ox(server, 'queues')).stdout).sort(),
            ['events', 'images', 'ox', 'relay']);
        await relay.deleteRetained('car.sold');
        for (const queue of queues) {
            await queue.removeOrphanedJobs();
            await queue.obliterate({ force: true });
        }
        assert.equal(await server.client.xlen(LOG), 1);
        await ox(server, 'stream', 'rm', 'events', '--yes');
        assert.deepEqual(await server.client.keys('bull::ox:*'), []);
        await relay.publish('car.gone', {});
        await waitFor(() => heard.length > 1, 'the relay goes on', END_MS);
    } finally {
        await relay.close();
        await Promise.all(queues.map((queue) => queue.close()));
    }
});

events('the reader of docs/events-layout.md reads what there is and what comes', async () => {
    const { read } = await exampleOfDocs(0);
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
    assert.equal((await ox(server, 'queues')).stdout, '');
});

events('Node publishes as docs/events-layout.md says', async () => {
    const { read } = await exampleOfDocs(0), { publish } = await exampleOfDocs(1);
    const redis = server.client.duplicate(), reader = server.client.duplicate();
    await ox(server, 'stream', 'install');
    await ox(server, 'bind', 'car.*', 'images');
    await ox(server, 'bind', 'car.posted', 'mail');
    try {
        const first = await publish(redis, { type: 'car.posted', source: '/shop', data: { id: 17 } });
        assert.match(first[0], /^\d+-1$/);
        assert.equal(first[1], 2);
        const sold = { id: 'x', type: 'car.sold', source: '/shop' };
        const second = await publish(redis, sold);
        assert.equal(second[1], 1);
        assert.deepEqual(await publish(redis, sold), [second[0], 'duplicate']);
        /* The same id from ox is one as well, and the other way round. */
        const told = await ox(server, 'publish', 'car.sold', '--id', 'x', '--source', '/shop', '--json');
        assert.deepEqual(JSON.parse(told.stdout), { position: second[0], jobs: 0, duplicate: true });
        await ox(server, 'publish', 'plain', '--id', 'y', '--source', '/shop');
        const plain = await publish(redis, { id: 'y', type: 'plain', source: '/shop' });
        assert.equal(plain[1], 'duplicate');
        /* Many in a call, more than an entry holds, some of them twice. */
        const many = Array.from({ length: 100 }, (_, i) => JSON.stringify(
            new CloudEvent({ id: `m${i % 90}`, type: i % 2 ? 'car.sold' : 'click', source: '/shop' })));
        const answers = await redis.fcall('ox_publish_v1', 1, BASE, ...many);
        assert.equal(answers.length, 100);
        assert.equal(answers.filter(([, jobs]) => jobs === 'duplicate').length, 10);
        assert.equal(answers.filter(([, jobs]) => jobs === 1).length, 45);
        let seen = 0;
        for await (const { event } of read(reader, LOG)) {
            assert.ok(new CloudEvent(event).validate());
            if (++seen === 93) break;
        }
        const tail = await ox(server, 'tail', '--from', 'start', '--until-end', '--json');
        assert.equal(tail.stdout.trim().split('\n').length, 93);
        assert.equal(await server.client.llen('bull:images:wait'), 47);
        assert.equal(await server.client.llen('bull:mail:wait'), 1);
        const info = await server.client.hgetall(`${BASE}info`);
        assert.deepEqual([info.n, info.jobs, info.duplicates], ['93', '48', '13']);
        await ox(server, 'stream', 'install'); /* replaces it */
    } finally {
        redis.disconnect();
        reader.disconnect();
    }
});

events('what the function cannot publish is refused as a whole', async () => {
    await ox(server, 'stream', 'install');
    const redis = server.client;
    const good = { specversion: '1.0', id: '1', source: '/s', type: 'a', time: '2026-11-29T08:50:00Z' };
    const text = JSON.stringify(good);
    const rows = [
        [BASE, '[]', 'event 2 of 2: it is not a JSON object'],
        [BASE, '{', 'it is not a JSON object'],
        [BASE, `{\n${text.slice(1)}`, 'it has line feeds'],
        /* What Redis' own reader of JSON takes, and others do not. */
        ...['NaN', '0x10', '01', '-.5', '1.', 'Infinity', '"a\tb"'].map((data) =>
            [BASE, `${text.slice(0, -1)},"data":${data}}`, 'it is not a JSON object']),
        [BASE, { specversion: '0.3' }, 'specversion must be "1.0"'],
        [BASE, { id: '' }, 'id must be a string that is not empty'],
        [BASE, { source: 'a b' }, 'source is not a URI reference'],
        [BASE, { type: 'a.*' }, 'type must be segments'],
        [BASE, { type: 'a..b' }, 'type must be segments'],
        [BASE, { time: 'now' }, 'time is not a time such as'],
        [BASE, { time: undefined }, 'time must be a string'],
        [BASE, { user_id: 1 }, 'the attribute user_id: names have only a-z and 0-9'],
        [BASE, { data: 1, data_base64: '' }, 'it has both data and data_base64'],
        [BASE, { data: 'x'.repeat(300000) }, 'an event is larger than 262144 bytes'],
        ['bull:events:', {}, 'give one key, PREFIX::ox:{STREAM}:'],
    ];
    for (const [key, event, why] of rows) {
        const bad = typeof event === 'string' ? event : JSON.stringify({ ...good, ...event });
        await assert.rejects(redis.fcall('ox_publish_v1', 1, key, text, bad),
            (err) => err.message.includes(why) || assert.fail(`${err.message}, not ${why}`));
    }
    await assert.rejects(redis.fcall('ox_publish_v1', 1, BASE), /give 1 to 1000 events/);
    assert.deepEqual(await redis.keys('bull*'), []);
    /* A bound queue whose key is of another type. */
    await ox(server, 'bind', 'a', 'q');
    await redis.set('bull:q:wait', 'x');
    await assert.rejects(redis.fcall('ox_publish_v1', 1, BASE, text), /WRONGTYPE bull:q:wait is a string, not a list/);
    assert.equal(await redis.exists(LOG), 0);
});
