/*
 * redis.mjs - a private redis-server for one test file.
 *
 * Each server listens on a unix socket in a fresh temporary folder, keeps nothing on disk
 * (unless `args` say so) and dies with the process that started it: by stop(), at exit, or on a
 * signal. Should the process itself be killed, the runner finds the server by its pid file. The
 * clock of a server can be moved, see ../../clock/clock.c.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync, writeFileSync,
    writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { build } from './agent.mjs';
import { waitFor } from './wait.mjs';

const servers = new Set();

function killAll() {
    for (const server of servers) server.kill();
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => process.exit(1));

export class RedisServer {
    /* `args`: further arguments of redis-server; later ones win. `clock`: setClock() moves its clock. */
    static async start(args = [], { clock = false } = {}) {
        const server = new RedisServer();
        server.folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'redis-'));
        server.socket = join(server.folder, 's');
        server.url = `unix://${server.socket}`;
        server.args = args;
        servers.add(server);
        if (clock) {
            server.clock = join(server.folder, 'clock');
            server.setClock(0);
        }
        server.spawn();
        await waitFor(() => existsSync(server.socket), 'the socket of redis-server');
        server.client = server.connect();
        await waitFor(() => server.client.ping().catch(() => false), 'an answer of redis-server');
        return server;
    }

    spawn() {
        this.process = spawn(
            'redis-server',
            ['--port', '0', '--unixsocket', this.socket, '--dir', this.folder,
                '--save', '', '--appendonly', 'no', '--loglevel', 'warning', ...this.args],
            { stdio: ['ignore', 'ignore', 'inherit'], env: !this.clock ? process.env :
                { ...process.env, OX_TEST_CLOCK: this.clock,
                    LD_PRELOAD: join(build, 'tests/clock/clock.so') } },
        );
        this.exited = new Promise((resolve) => this.process.once('exit', resolve));
        writeFileSync(join(this.folder, 'pid'), `${this.process.pid}\n`);
    }

    /* To so many ms before (negative) or behind the clock of the machine, at once. */
    setClock(offsetMs) {
        const file = openSync(this.clock, constants.O_WRONLY | constants.O_CREAT, 0o600);
        writeSync(file, new BigInt64Array([BigInt(offsetMs)]), 0, 8, 0);
        closeSync(file);
    }

    /* As a crash would: the process is gone, the files stay. spawn() starts it again. */
    async crash() {
        this.process.kill('SIGKILL');
        await this.exited;
    }

    /* A new ioredis connection. */
    connect() {
        return new Redis({ path: this.socket, maxRetriesPerRequest: null });
    }

    kill() {
        if (!servers.delete(this)) return;
        this.process.kill('SIGKILL');
        rmSync(this.folder, { recursive: true, force: true });
    }

    async stop() {
        this.client.disconnect();
        this.kill();
        await this.exited;
    }
}
