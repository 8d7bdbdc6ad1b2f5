/*
 * redis.mjs - a private redis-server for one test file.
 *
 * Each server listens on a unix socket in a fresh temporary folder, keeps nothing on disk
 * (unless `args` say so) and dies with the process that started it: by stop(), at exit, or on a
 * signal. Should the process itself be killed, the runner finds the server by its pid file.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { waitFor } from './wait.mjs';

const servers = new Set();

function killAll() {
    for (const server of servers) server.kill();
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => process.exit(1));

export class RedisServer {
    /* `args`: further arguments of redis-server; later ones win. */
    static async start(args = []) {
        const server = new RedisServer();
        server.folder = mkdtempSync(join(process.env.OX_INTEROP_TMP ?? tmpdir(), 'redis-'));
        server.socket = join(server.folder, 's');
        server.url = `unix://${server.socket}`;
        server.args = args;
        servers.add(server);
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
            { stdio: ['ignore', 'ignore', 'inherit'] },
        );
        this.exited = new Promise((resolve) => this.process.once('exit', resolve));
        writeFileSync(join(this.folder, 'pid'), `${this.process.pid}\n`);
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
