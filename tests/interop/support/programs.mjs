/*
 * programs.mjs - the real binaries, run as a user runs them.
 */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { build } from './agent.mjs';
import { waitFor, within } from './wait.mjs';

/* Runs ox to its end: {status, stdout, stderr}. */
export function ox(server, ...args) {
    return new Promise((resolve) => {
        const env = { ...process.env, OX_REDIS_URL: server.url };
        execFile(join(build, 'ox'), args, { env, timeout: 30000 }, (error, stdout, stderr) => {
            const status = error ? (error.code ?? error.signal) : 0;
            resolve({ status, stdout, stderr });
        });
    });
}

/* An ox-worker that has connected. `stop` drains it and checks its exit. */
export async function oxWorker(server, ...args) {
    const child = spawn(join(build, 'ox-worker'), args,
        { env: { ...process.env, OX_REDIS_URL: server.url }, stdio: ['ignore', 'ignore', 'pipe'] });
    const worker = { child, log: '' };
    child.stderr.on('data', (text) => (worker.log += text));
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => {
        worker.ended = code ?? signal;
        resolve();
    }));
    worker.stop = async () => {
        child.kill('SIGTERM');
        try {
            await within(ended, 'ox-worker to stop', 60000);
        } finally {
            child.kill('SIGKILL');
        }
        if (worker.ended !== 0) throw new Error(`ox-worker: ${worker.ended}\n${worker.log}`);
    };
    await waitFor(() => worker.log.includes('event=connected') || worker.ended !== undefined,
        'ox-worker to connect', 60000);
    if (worker.ended !== undefined)
        throw new Error(`ox-worker ended with ${worker.ended}\n${worker.log}`);
    return worker;
}

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

function chunk(type, body) {
    const out = Buffer.alloc(body.length + 12);
    out.writeUInt32BE(body.length, 0);
    out.write(type, 4, 'latin1');
    body.copy(out, 8);
    out.writeUInt32BE(crc32(out.subarray(4, body.length + 8)), body.length + 8);
    return out;
}

/* A PNG of colours that run into each other. */
export function png(width, height) {
    const rows = Buffer.alloc(height * (1 + width * 3));
    for (let y = 0, at = 0; y < height; y++) {
        rows[at++] = 0;
        for (let x = 0; x < width; x++) {
            rows[at++] = (x * 255) / width;
            rows[at++] = (y * 255) / height;
            rows[at++] = 128 + 100 * Math.sin((x + y) / 9);
        }
    }
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
        chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
