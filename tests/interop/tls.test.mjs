/*
 * tls.test.mjs - ox and ox-worker over TLS beside BullMQ, whose ioredis speaks TLS to the same
 * server: a job crosses each way. The server wants a certificate of every client.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { ox, oxWorker } from './support/programs.mjs';
import { RedisServer } from './support/redis.mjs';
import { selfCheck } from './support/suite.mjs';

const script = `set -e; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $new -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
openssl req $new -keyout key.pem -out request -subj /CN=localhost
echo subjectAltName=DNS:localhost >names
openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 \\
    -extfile names`;

function freePort() {
    return new Promise((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

test('jobs cross between Ox and BullMQ, both over TLS', { skip: selfCheck }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tls-'));
    const file = (name) => join(folder, name);
    execFileSync('sh', ['-c', script], { cwd: folder, stdio: 'ignore' });
    const port = await freePort();
    const server = await RedisServer.start(['--tls-port', String(port), '--tls-cert-file',
        file('cert.pem'), '--tls-key-file', file('key.pem'), '--tls-ca-cert-file',
        file('ca.pem'), '--bind', '127.0.0.1']);
    const url = `rediss://localhost:${port}?ca=${file('ca.pem')}&cert=${file('cert.pem')}` +
        `&key=${file('key.pem')}`;
    const connection = { host: 'localhost', port, family: 4, maxRetriesPerRequest: null, tls: {
        ca: readFileSync(file('ca.pem')), cert: readFileSync(file('cert.pem')),
        key: readFileSync(file('key.pem')), servername: 'localhost' } };
    const worker = await oxWorker({ url }, 'mine=echo');
    const queue = new Queue('mine', { connection });
    const events = new QueueEvents('mine', { connection, lastEventId: '0' });
    const theirs = new Worker('theirs', async (job) => ({ got: job.data }), { connection });
    try {
        await events.waitUntilReady();
        const data = { text: 'ü'.repeat(100000) };
        const job = await queue.add('job', data);
        assert.deepEqual(await job.waitUntilFinished(events, 20000), data);
        const { status, stdout, stderr } =
            await ox({ url }, 'add', 'theirs', 'job', '{"a":[1,2]}', '--wait=20s');
        assert.equal(stderr, '');
        assert.equal(status, 0);
        assert.deepEqual(JSON.parse(stdout), { got: { a: [1, 2] } });
    } finally {
        await worker.stop();
        await Promise.all([theirs.close(), events.close(), queue.close()]);
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
    }
});
