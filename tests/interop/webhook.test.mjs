/*
 * webhook.test.mjs - ox-worker sends jobs that BullMQ added to an HTTPS server of the test: what
 * the server gets, judged by the reference library of Standard Webhooks; what its answers mean
 * to the job; and where nothing may be sent to.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync,
    writeFileSync } from 'node:fs';
import { createServer as createPlain } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { Queue, QueueEvents } from 'bullmq';
import { Webhook } from 'standardwebhooks';
import { build } from './support/agent.mjs';
import { oxWorker } from './support/programs.mjs';
import { RedisServer } from './support/redis.mjs';
import { selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const END_MS = 30000;
const HOUR_MS = 3600000;
const certificates = `set -e; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $new -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
for name in localhost client; do
    openssl req $new -keyout $name.key -out request -subj /CN=$name
    echo subjectAltName=DNS:$name >names
    openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem \\
        -days 2 -extfile names
done`;
const secrets = ['first', 'second'].map(
    (word) => `whsec_${Buffer.from(word.padEnd(30, '.')).toString('base64')}`);

let folder, redis, server;
const file = (name) => join(folder, name);

/* Notes what comes, and answers as `answer` says. */
function note(hook) {
    return (request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => {
            const { method, url, headers, httpVersion, socket } = request;
            hook.seen.push({ method, url, headers, httpVersion, body: Buffer.concat(parts),
                client: socket.getPeerCertificate?.().subject?.CN });
            hook.answer(request, response, hook.seen.length);
        });
    };
}

/* A server on a free port of this machine; `make(listener)` creates it. */
async function listen(make) {
    const hook = { seen: [], connections: 0, sockets: new Set(), answer: (_, r) => r.end('{}') };
    hook.server = make(note(hook));
    hook.server.on('connection', (socket) => {
        hook.connections++;
        hook.sockets.add(socket);
        socket.on('close', () => hook.sockets.delete(socket));
    });
    await new Promise((resolve) => hook.server.listen(0, resolve));
    hook.port = hook.server.address().port;
    hook.hangUp = () => hook.sockets.forEach((socket) => socket.destroy());
    hook.close = () => {
        hook.hangUp();
        return new Promise((resolve) => hook.server.close(resolve));
    };
    return hook;
}

const identity = () => ({ key: readFileSync(file('localhost.key')),
    cert: readFileSync(file('localhost.pem')), ca: readFileSync(file('ca.pem')) });

before(async () => {
    if (selfCheck) return;
    folder = mkdtempSync(join(tmpdir(), 'hook-'));
    execFileSync('sh', ['-c', certificates], { cwd: folder, stdio: 'ignore' });
    writeFileSync(file('secret'), `${secrets[0]}\n`);
    redis = await RedisServer.start();
    server = await listen((listener) =>
        createServer({ ...identity(), requestCert: true, rejectUnauthorized: false }, listener));
});

after(async () => {
    if (selfCheck) return;
    await server.close();
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
});

/* A worker on a queue of its own that sends to `url`, and that queue. */
async function begin(name, url, args = []) {
    const connection = { path: redis.socket, maxRetriesPerRequest: null };
    const queue = new Queue(name, { connection });
    const events = new QueueEvents(name, { connection, lastEventId: '0' });
    await events.waitUntilReady();
    const worker = await oxWorker(redis, '--concurrency=1', ...args, `${name}=webhook:${url}`);
    const hook = { queue, worker };
    hook.add = (data, opts, job = 'paid') => queue.add(job, data, opts);
    /* How it ended: { value } or { reason }, and after how many attempts. */
    hook.run = async (data = {}, opts = {}) => {
        const job = await hook.add(data, opts);
        const end = await job.waitUntilFinished(events, END_MS).then((value) => ({ value }),
            (error) => ({ reason: error.message }));
        return { ...end, attempts: (await queue.getJob(job.id)).attemptsMade, id: job.id };
    };
    hook.end = async () => {
        try {
            await worker.stop();
        } finally {
            await Promise.all([events.close(), queue.close()]);
        }
    };
    return hook;
}

const local = () => ['--ca', file('ca.pem'), '--allow', 'localhost'];
const here = (path = '/') => `https://localhost:${server.port}${path}`;

let queues = 0;

/* A test with a worker that sends to the server of the file, unless told otherwise. */
function hooked(text, args, body, url = here) {
    test(text, { skip: selfCheck, timeout: 120000 }, async () => {
        server.seen = [];
        server.answer = (_, response) => response.end('{}');
        const hook = await begin(`q${++queues}`, url(), args());
        try {
            await body(hook);
        } finally {
            await hook.end();
        }
    });
}

const status = (code, body = '', headers = {}) => (_, response) =>
    response.writeHead(code, headers).end(body);

hooked('a message: signed, the same at each attempt, and what the worker says of itself',
    () => [...local(), '--secret', `@${file('secret')}`], async ({ queue, run }) => {
        server.answer = (_, response, count) =>
            response.writeHead(count === 1 ? 500 : 200).end('{"ok":[1,2]}');
        const data = { text: 'ü "x" \u2028', list: [1.50, null] };
        const { value, attempts, id } = await run(data, { attempts: 2 });
        assert.deepEqual(value, { ok: [1, 2] });
        assert.equal(attempts, 2);
        const [first, second] = server.seen;
        const job = await queue.getJob(id);
        assert.deepEqual(new Webhook(secrets[0]).verify(second.body, second.headers),
            { type: 'paid', timestamp: new Date(job.timestamp).toISOString(), data });
        new Webhook(secrets[0]).verify(first.body, first.headers);
        assert.throws(() => new Webhook(secrets[1]).verify(second.body, second.headers),
            /No matching signature/);
        assert.deepEqual(first.body, second.body);
        assert.equal(first.headers['webhook-id'], `${queue.name}:${id}`);
        assert.equal(second.headers['webhook-id'], `${queue.name}:${id}`);
        assert.equal(first.method, 'POST');
        assert.equal(first.headers['content-type'], 'application/json');
        assert.match(first.headers['user-agent'], /^ox-worker\/\d/);
        assert.deepEqual(['ox-queue', 'ox-job-id', 'ox-job-name', 'ox-attempt'].map(
            (name) => second.headers[name]), [queue.name, id, 'paid', '2']);
    });

test('secrets: several sign while they are changed; none stands in a command line',
    { skip: selfCheck }, async () => {
        process.env.WEBHOOK_SECRET = secrets.join(' ');
        const hook = await begin('rotated', here(), local());
        delete process.env.WEBHOOK_SECRET;
        try {
            await hook.run();
            const { body, headers } = server.seen.at(-1);
            secrets.forEach((secret) => new Webhook(secret).verify(body, headers));
            const lines = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
                try {
                    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
                } catch {
                    return ''; /* it has ended */
                }
            });
            assert.ok(lines.some((line) => line.includes('rotated')));
            assert.ok(!lines.some((line) => line.includes('whsec_')));
        } finally {
            await hook.end();
        }
    });

/* The sandbox allows files and not names: see worker/sandbox.h. */
hooked('confined: the log says so, and the --ca that takes the place of another is read', () => {
    copyFileSync(file('client.pem'), file('own.pem')); // no authority
    return ['--ca', file('own.pem'), '--allow', 'localhost'];
}, async ({ run, worker }) => {
    const line = worker.log.split('\n').find((one) => one.includes('event=sandbox'));
    assert.match(line, /handler=webhook sandbox=on/);
    assert.doesNotMatch(line, /unused/);
    assert.match((await run()).reason, /SSL certificate problem/);
    for (let i = 0; i < 2; i++) {
        copyFileSync(file('ca.pem'), file('next.pem'));
        renameSync(file('next.pem'), file('own.pem'));
        const { value, attempts } = await run({}, { attempts: 3 });
        assert.deepEqual([value, attempts], [{}, 1]);
        server.hangUp();
    }
});

hooked('data alone, own headers, and names that no header can hold',
    () => [...local(), '--body', 'data', '--headers', `@${file('headers')}`],
    async ({ add, queue }) => {
        const job = await add({ a: 1 }, { jobId: 'a.b/ü x' }, 'na\r\nme: ü');
        await waitFor(async () => await job.isCompleted(), 'the end');
        const { body, headers } = server.seen[0];
        assert.equal(body.toString(), '{"a":1}');
        assert.equal(headers.authorization, 'Bearer t0ken');
        assert.equal(headers['webhook-id'], `${queue.name}:a%2Eb%2F%C3%BC%20x`);
        assert.equal(headers['ox-job-id'], 'a.b/%C3%BC%20x');
        assert.equal(headers['ox-job-name'], 'na%0D%0Ame:%20%C3%BC');
        assert.equal(headers['webhook-signature'], undefined);
    }, () => {
        writeFileSync(file('headers'), '\nAuthorization: Bearer t0ken\n');
        return here();
    });

hooked('2xx completes with the body, whatever it is', local, async ({ run }) => {
    const answers = [
        [status(200, '{"a": [1]}'), { a: [1] }],
        [status(201, ' 17 \n'), 17],
        [status(200, 'thank you'), 'thank you'],
        [status(204), null],
        [status(200, Buffer.from([0x61, 0xff])), 'a\ufffd'],
        [status(200, '"half'), '"half'],
        [(_, response) => { /* in chunks */
            response.write('[1,');
            setImmediate(() => response.end('2]'));
        }, [1, 2]],
    ];
    for (const [answer, value] of answers) {
        server.answer = answer;
        assert.deepEqual((await run()).value, value);
    }
});

hooked('what the server blames on the request fails for good, the rest is tried again', local,
    async ({ run }) => {
        const rows = [
            [400, 'no such field\nmore', 1, 'HTTP 400: no such field'],
            [401, '', 1, 'HTTP 401'],
            [404, '\n  <h1>\u001b[1mgone\n', 1, 'HTTP 404: <h1>\u241b[1mgone'],
            [410, '', 1, 'HTTP 410'],
            [422, 'x'.repeat(5000), 1, `HTTP 422: ${'x'.repeat(500)}`],
            [408, '', 2, 'HTTP 408'],
            [425, '', 2, 'HTTP 425'],
            [429, 'slow down', 2, 'HTTP 429: slow down'],
            [500, '{"error":1}', 2, 'HTTP 500: {"error":1}'],
            [503, '', 2, 'HTTP 503'],
            [304, '', 2, 'HTTP 304'],
            [308, 'gone', 2, 'HTTP 308: gone'],
            [302, 'x', 2, `HTTP 302: redirect to https://localhost not followed`],
        ];
        for (const [code, body, tries, reason] of rows) {
            server.answer = status(code, body, code === 302 ? { location: '/?key=1' } : {});
            const end = await run({}, { attempts: 2 });
            assert.equal(end.attempts, tries, `HTTP ${code}`);
            if (code !== 404) assert.equal(end.reason, reason);
            else assert.ok(!end.reason.includes('\u001b') && end.reason.includes('gone'));
        }
    });

hooked('Retry-After: the longer of it and the backoff, in seconds or as a date', 
    () => [...local(), '--max-retry-after', '3h'], async ({ add, queue }) => {
        const date = () => new Date(Date.now() + HOUR_MS).toUTCString();
        const rows = [ /* status, header, backoff, the wait */
            [503, '3600', 0, HOUR_MS, HOUR_MS],
            [429, '3600', 0, HOUR_MS, HOUR_MS],
            [503, date(), 0, HOUR_MS - 5000, HOUR_MS],
            [429, '60', 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS],
            [503, '9000000', 0, 3 * HOUR_MS, 3 * HOUR_MS],
            [503, 'soon', HOUR_MS, HOUR_MS, HOUR_MS],
            [503, 'Wed, 21 Oct 2015 07:28:00 GMT', HOUR_MS, HOUR_MS, HOUR_MS],
        ];
        for (const [code, header, delay, from, to] of rows) {
            server.answer = status(code, 'busy', { 'retry-after': header });
            const { id } = await add({}, { attempts: 2, backoff: { type: 'fixed', delay } });
            await waitFor(async () => await queue.getJobState(id) === 'delayed', 'the failure');
            const job = await queue.getJob(id);
            assert.ok(job.delay >= from && job.delay <= to, `${header}: ${job.delay} ms`);
            assert.equal(job.attemptsMade, 1);
            assert.equal(JSON.parse(JSON.stringify(job.stacktrace))[0].split('\n')[0],
                `HTTP ${code}: busy`);
        }
        server.answer = status(503, 'busy', { 'retry-after': '3600' });
        const { id } = await add({}, { attempts: 1 });
        await waitFor(async () => await queue.getJobState(id) === 'failed', 'the last failure');
    });

/* ---- where it may not go ----------------------------------------------------------------- */

hooked('a name that stands for this machine is refused for good', () => ['--ca', file('ca.pem')],
    async ({ run }) => {
        const { reason, attempts } = await run({}, { attempts: 3 });
        assert.match(reason, /^webhook: localhost: (127\.0\.0\.1|::1) is loopback \(--allow\)$/);
        assert.equal(attempts, 1);
        assert.equal(server.seen.length, 0);
    });

hooked('--allow takes networks', () => ['--ca', file('ca.pem'), '--allow', '127.0.0.0/8, ::1'],
    async ({ run }) => assert.deepEqual((await run()).value, {}));

test('addresses and settings that are refused at the start', { skip: selfCheck }, () => {
    const start = (word, ...args) => {
        const { status: code, stderr } = spawnSync(join(build, 'ox-worker'),
            ['--redis', redis.url, ...args, `q=webhook:${word}`], { encoding: 'utf8' });
        assert.equal(code, 2, `${word}: ${stderr}`);
        return stderr;
    };
    const loopback = /is loopback; --allow lets it pass/;
    for (const host of ['127.0.0.1', '127.1', '0x7f000001', '2130706433', '[::1]',
        '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]'])
        assert.match(start(`https://${host}/`), loopback, host);
    assert.match(start('https://10.1.2.3/'), /is private/);
    assert.match(start('https://169.254.169.254/latest'), /is link-local/);
    assert.match(start('https://100.64.0.1/'), /shared/);
    assert.match(start('https://0.0.0.0/'), /this machine/);
    assert.match(start('https://[fd00::1]/'), /unique-local/);
    assert.match(start('http://example.com/'), /without TLS \(see --http\)/);
    assert.match(start('http://9.9.9.9/', '--allow', '10.0.0.0/8'), /without TLS/);
    assert.match(start('http://example.com/', '--proxy', 'http://127.0.0.1:1'), /without TLS/);
    assert.match(start('ftp://example.com/'), /ftp is neither https nor http/);
    assert.match(start('example.com/hook'), /https:\/\/HOST\/PATH/);
    assert.match(start('@/nonexistent'), /--url: .*No such file/);
    assert.match(start(''), /needs a URL/);
    const url = 'https://example.com/';
    assert.match(start(url, '--allow', '10.0.0.0/33'), /--allow: "10\.0\.0\.0\/33" is neither/);
    assert.match(start(url, '--secret', secrets[0]), /--secret takes @FILE/);
    writeFileSync(file('short'), 'whsec_c2hvcnQ=\n');
    assert.match(start(url, '--secret', `@${file('short')}`), /secret 1 is not whsec_ and 24/);
    writeFileSync(file('wrong'), 'Fine: 1\nwebhook-id: 1\n');
    assert.match(start(url, '--headers', `@${file('wrong')}`), /--headers: line 2/);
    assert.match(start(url, '--key', file('ca.key')), /--cert, which is missing/);
    assert.match(start(url, '--ca', '/nonexistent'), /--ca: .*No such file/);
});

hooked('redirects: a POST stays one, on the same host with all its headers',
    () => [...local(), '--redirects', '2', '--secret', `@${file('secret')}`],
    async ({ run }) => {
        server.answer = ({ url }, response) => (url === '/new' ? response.end('"there"')
            : response.writeHead(url === '/' ? 307 : 308,
                { location: url === '/' ? '/next' : here('/new') }).end());
        assert.equal((await run({ a: 1 })).value, 'there');
        assert.deepEqual(server.seen.map(({ url }) => url), ['/', '/next', '/new']);
        const last = server.seen.at(-1);
        assert.equal(new Webhook(secrets[0]).verify(last.body, last.headers).data.a, 1);
        /* one more than may be */
        server.answer = (_, response) => response.writeHead(307, { location: '/' }).end();
        assert.match((await run()).reason, /^HTTP 307: redirect to https:.* not followed$/);
        server.answer = (_, response) => response.writeHead(303, { location: '/' }).end();
        assert.match((await run()).reason, /^HTTP 303: redirect to https:.* not followed$/);
    });

hooked('redirects never lead to private addresses, out of TLS or to odd ports',
    () => [...local(), '--redirects', '3'], async ({ run }) => {
        const rows = [
            [`https://127.0.0.1:${server.port}/`, /127\.0\.0\.1: 127\.0\.0\.1 is loopback/],
            ['https://10.0.0.1/', /10\.0\.0\.1 is private/],
            ['https://[::ffff:10.0.0.1]/', /is private/],
            ['https://169.254.169.254/', /is link-local/],
            [`http://localhost:${server.port}/`, /redirect to localhost refused: it leaves TLS/],
            ['https://127.0.0.1:22/', /port 22 is neither 443 nor that of the URL/],
            ['https://user:x@example.com/', /user's name/],
            ['file:///etc/passwd', /neither https nor http/],
        ];
        for (const [location, reason] of rows) {
            const before = server.seen.length;
            server.answer = (_, response) => response.writeHead(307, { location }).end();
            const end = await run({}, { attempts: 2 });
            assert.match(end.reason, reason);
            assert.equal(end.attempts, 1);
            assert.equal(server.seen.length, before + 1);
        }
    });

hooked('another host gets neither signature nor own headers nor certificate',
    () => ['--insecure', '--allow', 'localhost,127.0.0.1', '--redirects', '1', '--secret',
        `@${file('secret')}`, '--headers', `@${file('headers')}`, '--cert', file('client.pem'),
        '--key', file('client.key')],
    async ({ run }) => {
        const elsewhere = `https://127.0.0.1:${server.port}/`;
        server.answer = ({ headers }, response) => (headers.host.startsWith('localhost')
            ? response.writeHead(307, { location: elsewhere }).end() : response.end('7'));
        assert.equal((await run()).value, 7);
        const [own, other] = server.seen;
        assert.equal(own.client, 'client');
        assert.equal(own.headers.authorization, 'Bearer t0ken');
        assert.ok(own.headers['webhook-signature']);
        assert.equal(other.client, undefined);
        assert.equal(other.headers.authorization, undefined);
        assert.equal(other.headers['webhook-signature'], undefined);
        assert.equal(other.headers['webhook-id'], own.headers['webhook-id']);
        assert.deepEqual(other.body, own.body);
    });

/* ---- TLS, time and size ------------------------------------------------------------------ */

hooked('an authority that is not trusted is tried again: a certificate may be renewed',
    () => ['--allow', 'localhost'], async ({ run }) => {
        const { reason, attempts } = await run({}, { attempts: 2 });
        assert.match(reason, /^webhook: localhost: SSL certificate problem/);
        assert.equal(attempts, 2);
        assert.equal(server.seen.length, 0);
    });

hooked('a certificate of another name is not taken',
    () => ['--ca', file('ca.pem'), '--allow', '127.0.0.1'], async ({ run }) => {
        assert.match((await run()).reason, /^webhook: 127\.0\.0\.1: SSL: .*127\.0\.0\.1/);
        assert.equal(server.seen.length, 0);
    }, () => `https://127.0.0.1:${server.port}/`);

hooked('a body that never ends, and one that never begins, are given up',
    () => [...local(), '--request-timeout', '400ms'], async ({ run }) => {
        server.answer = (_, response) => response.write('[1');
        const { reason, attempts } = await run({}, { attempts: 2 });
        assert.match(reason, /^webhook: localhost: Operation timed out/);
        assert.equal(attempts, 2);
        server.answer = () => {};
        assert.match((await run()).reason, /^webhook: localhost: Operation timed out/);
        server.answer = (request) => request.socket.destroy();
        assert.match((await run()).reason, /^webhook: localhost: /);
    });

hooked('the time of the job is kept: the run ends before it is killed',
    () => [...local(), '--timeout', '1s'], async ({ run, worker }) => {
        server.answer = () => {};
        assert.match((await run()).reason, /^webhook: localhost: Operation timed out/);
        assert.ok(!worker.log.includes('child-died'), worker.log);
    });

hooked('bodies have bounds, both ways',
    () => [...local(), '--max-request', '1K', '--max-response', '4K'], async ({ run }) => {
        server.answer = (_, response) => response.end('x'.repeat(4096));
        assert.equal((await run()).value.length, 4096);
        server.answer = (_, response) => response.end('x'.repeat(1 << 24));
        const large = await run({}, { attempts: 2 });
        assert.equal(large.reason, 'bad output: the response has more than 4K (--max-response)');
        assert.equal(large.attempts, 1);
        server.answer = (_, response) => response.writeHead(500).end('x'.repeat(1 << 24));
        assert.match((await run()).reason, /^HTTP 500: x/);
        const before = server.seen.length;
        const end = await run({ text: 'x'.repeat(1024) }, { attempts: 2 });
        assert.equal(end.reason, 'webhook: the request would have more than 1K (--max-request)');
        assert.equal(end.attempts, 1);
        assert.equal(server.seen.length, before);
    });

hooked('an answer is decoded, within bounds', () => [...local(), '--max-response', '4K'],
    async ({ run }) => {
        const answer = (encoding, body, status = 200) => (_, response) =>
            response.writeHead(status, { 'content-encoding': encoding }).end(body);
        server.answer = answer('gzip', gzipSync('{"stored":1}'));
        assert.deepEqual((await run()).value, { stored: 1 });
        assert.match(server.seen.at(-1).headers['accept-encoding'], /gzip/);
        server.answer = answer('deflate', deflateSync('{"stored":2}'));
        assert.deepEqual((await run()).value, { stored: 2 });
        server.answer = answer('gzip', gzipSync('no such customer'), 422);
        assert.equal((await run()).reason, 'HTTP 422: no such customer');
        server.answer = answer('gzip', gzipSync(Buffer.alloc(1 << 26)));
        const bomb = await run({}, { attempts: 2 });
        assert.equal(bomb.reason, 'bad output: the response has more than 4K (--max-response)');
        assert.equal(bomb.attempts, 1);
        for (const [encoding, body] of [['odd', 'x'], ['gzip', '{"stored":3}'],
            ['gzip', Buffer.concat([gzipSync('{"stored"'), gzipSync(':4}')])]]) {
            server.answer = answer(encoding, body);
            const end = await run({}, { attempts: 2 });
            assert.match(end.reason, /^bad output: the response's content-encoding cannot be/);
            assert.equal(end.attempts, 1);
        }
        server.answer = answer('odd', 'x', 503);
        assert.match((await run()).reason, /^HTTP 503/);
    });

hooked('a large body arrives whole and at once', local, async ({ run }) => {
    const text = 'ü'.repeat(1 << 20);
    await run({ text });
    assert.equal(JSON.parse(server.seen[0].body).data.text, text);
    assert.equal(server.seen[0].headers.expect, undefined);
});

hooked('nobody there is tried again', local, async ({ run }) => {
    const { reason, attempts } = await run({}, { attempts: 2 });
    assert.equal(reason, 'webhook: localhost: Connection refused');
    assert.equal(attempts, 2);
}, () => 'https://localhost:1/');

/* ---- connections ------------------------------------------------------------------------- */

hooked('connections stay open between jobs, and one that was lost meanwhile costs nothing',
    local, async ({ run }) => {
        const before = server.connections;
        for (let i = 0; i < 20; i++) await run();
        assert.equal(server.connections - before, 1);
        server.hangUp();
        const { value, attempts } = await run({}, { attempts: 1 });
        assert.deepEqual([value, attempts], [{}, 1]);
        assert.equal(server.connections - before, 2);
    });

hooked('a request that is lost with a kept connection is sent once more, and no more than that',
    local, async ({ run }) => {
        const sent = (id) => server.seen.filter(({ headers }) =>
            headers['webhook-id'].endsWith(`:${id}`)).length;
        await run();
        let lost = true;
        server.answer = (request, response) => {
            if (lost) request.socket.destroy();
            else response.end('{}');
            lost = false;
        };
        const once = await run();
        assert.deepEqual([once.value, once.attempts, sent(once.id)], [{}, 1, 2]);
        server.answer = (request) => request.socket.destroy();
        const always = await run();
        assert.deepEqual([always.attempts, sent(always.id)], [1, 2]);
        const anew = await run({}, { attempts: 2 }); /* there is no kept connection */
        assert.deepEqual([anew.attempts, sent(anew.id)], [2, 2]);
    });

test('HTTP/2 where the server has it; plain HTTP where it is allowed; proxies only if asked for',
    { skip: selfCheck }, async () => {
        const two = await listen((listener) =>
            createSecureServer({ ...identity(), allowHTTP1: true }, listener));
        const plain = await listen(createPlain);
        const proxy = await listen(createPlain);
        const through = [];
        proxy.server.on('connect', (request, socket) => {
            through.push(request.url);
            const onward = connect(two.port, 'localhost', () => {
                socket.write('HTTP/1.1 200 fine\r\n\r\n');
                onward.pipe(socket).pipe(onward);
            });
            onward.on('error', () => socket.destroy());
            socket.on('error', () => onward.destroy());
        });
        process.env.https_proxy = process.env.http_proxy = 'http://127.0.0.1:1';
        const cases = [
            [two, `https://localhost:${two.port}/`, local()],
            [plain, `http://localhost:${plain.port}/`, ['--allow', 'localhost']],
            [plain, `http://127.0.0.1:${plain.port}/`, ['--allow', '127.0.0.1']],
            [two, `https://localhost:${two.port}/`, ['--ca', file('ca.pem'), '--proxy',
                `http://127.0.0.1:${proxy.port}`]],
        ];
        try {
            for (const [target, url, args] of cases) {
                const hook = await begin(`way${++queues}`, url, args);
                try {
                    assert.deepEqual((await hook.run()).value, {}, url);
                    assert.equal(target.seen.at(-1).httpVersion, target === two ? '2.0' : '1.1');
                } finally {
                    await hook.end();
                }
            }
            assert.deepEqual(through, [`localhost:${two.port}`]);
        } finally {
            delete process.env.https_proxy;
            delete process.env.http_proxy;
            await Promise.all([two.close(), plain.close(), proxy.close()]);
        }
    });
