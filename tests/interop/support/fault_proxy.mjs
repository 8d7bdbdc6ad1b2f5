/*
 * fault_proxy.mjs - stands between one client process and redis-server, and harms what passes.
 *
 * It listens on a unix socket of its own and carries each connection to the server's. One
 * fault at a time, begun and ended by the test, concerns every connection:
 *
 *   stall   a silent network: nothing passes and nothing is closed, not even what one side
 *           closes. At the end all that was held passes (or, with `reset`, every connection is
 *           closed and what was held is gone)
 *   delay   each chunk passes `delay_ms` late
 *   bytes   chunks pass byte by byte
 *   cut     half a reply passes, then the connection is closed; `count` times
 *   lost    a script's reply does not pass, and the connection is closed: the call was applied
 *           and the client never hears of it; `count` times
 *   missing a script's reply does not pass, and the connection goes on; `count` times
 *   extra   a reply that nobody asked for follows another: `what`, as bytes, or that other one
 *           once more; `count` times
 */
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { pause } from './wait.mjs';

const ONE_BY_ONE = 300; /* so many bytes of a chunk; the rest passes at once */
const CALLS = /evalsha|bzpopmin/i;

/* Where the reply that begins at `at` ends, or -1 when it is not whole. */
function replyEnd(bytes, at) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return -1;
    const size = Number(bytes.toString('latin1', at + 1, line));
    let end = line + 2;
    switch (String.fromCharCode(bytes[at])) {
    case '+': case '-': case ':': return end;
    case '$':
        if (size >= 0) end += size + 2;
        return end <= bytes.length ? end : -1;
    case '*':
        for (let i = 0; i < size && end >= 0; i++) end = replyEnd(bytes, end);
        return end;
    default: return -1; /* the middle of one */
    }
}

/* One direction of a connection: chunks in order, then the end. */
class Way {
    constructor(link, from, to, isReply) {
        Object.assign(this, { link, to, isReply, held: [], busy: false });
        from.on('data', (chunk) => this.push(chunk));
        from.on('close', () => this.push(null));
        from.on('error', () => {}); /* close follows */
    }

    push(chunk) {
        this.held.push(chunk);
        if (!this.busy) this.drain();
    }

    async drain() {
        this.busy = true;
        while (this.held.length > 0 && !this.link.dead) {
            while (this.link.proxy.gate) await this.link.proxy.gate;
            if (this.link.dead) break;
            const chunk = this.held.shift();
            if (chunk === null) this.link.close();
            else await this.pass(chunk);
        }
        this.busy = false;
    }

    async pass(chunk) {
        const fault = this.link.proxy.fault;
        if (fault?.sort === 'delay') await pause(fault.delay_ms);
        if (fault?.sort === 'bytes') return this.passBytes(chunk);
        if (!this.isReply) this.link.called ||= CALLS.test(chunk.toString('latin1'));
        else if (fault?.count > 0 && this.link.called) return this.harm(fault, chunk);
        this.to.write(chunk);
    }

    async passBytes(chunk) {
        for (let i = 0; i < Math.min(chunk.length, ONE_BY_ONE) && !this.link.dead; i++) {
            this.to.write(chunk.subarray(i, i + 1));
            await turn();
        }
        if (chunk.length > ONE_BY_ONE) this.to.write(chunk.subarray(ONE_BY_ONE));
    }

    harm(fault, chunk) {
        if (['missing', 'extra'].includes(fault.sort)) return this.shift(fault, chunk);
        fault.count--;
        fault.done++;
        if (fault.sort === 'cut') this.to.write(chunk.subarray(0, chunk.length >> 1));
        this.link.close();
    }

    /* From here on each reply answers another request. */
    shift(fault, chunk) {
        const end = replyEnd(chunk, 0);
        if (end < 0) return this.to.write(chunk);
        fault.count--;
        fault.done++;
        const first = chunk.subarray(0, end);
        if (fault.sort === 'extra') this.to.write(Buffer.concat([first, fault.what ?? first]));
        return end === chunk.length || this.to.write(chunk.subarray(end));
    }
}

class Link {
    constructor(proxy, client) {
        this.proxy = proxy;
        this.client = client;
        this.server = createConnection(proxy.target);
        new Way(this, client, this.server, false);
        new Way(this, this.server, client, true);
    }

    /* What was written still passes. */
    close() {
        this.dead = true;
        this.client.destroySoon();
        this.server.destroySoon();
        this.proxy.links.delete(this);
    }

    destroy() {
        this.dead = true;
        this.client.destroy();
        this.server.destroy();
        this.proxy.links.delete(this);
    }
}

let last = 0;

export class FaultProxy {
    /* `user`: "name:password@" for the URL, or nothing. */
    static async start(server, user = '') {
        const proxy = new FaultProxy();
        proxy.target = server.socket;
        proxy.links = new Set();
        proxy.path = join(server.folder, `p${++last}`);
        proxy.url = `unix://${user}${proxy.path}`;
        proxy.listener = createServer((client) => proxy.links.add(new Link(proxy, client)));
        await new Promise((resolve) => proxy.listener.listen(proxy.path, resolve));
        return proxy;
    }

    begin(fault) {
        this.fault = { count: 0, done: 0, ...fault };
        if (fault.sort === 'stall')
            this.gate = new Promise((resolve) => (this.open = resolve));
        else if (this.fault.count > 0)
            for (const link of this.links) link.called = false;
    }

    /* Returns how many connections were harmed in one moment. */
    end() {
        const { done = 0, reset } = this.fault ?? {};
        this.fault = null;
        if (reset) for (const link of [...this.links]) link.destroy();
        this.gate = null;
        this.open?.();
        return done;
    }

    close() {
        for (const link of [...this.links]) link.destroy();
        this.end();
        this.listener.close();
    }
}
