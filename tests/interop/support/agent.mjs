/*
 * agent.mjs - the test's side of an agent: a child process that answers lines of JSON.
 *
 * There are two kinds, with one protocol: the C program of agent/, which is libox, and
 * node_agent.mjs, which is npm bullmq. Tests say what they want from "Ox"; with
 * OX_INTEROP_SELF=1 they get BullMQ itself instead, which checks the tests.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { waitFor, within } from './wait.mjs';

const nodeAgent = fileURLToPath(new URL('node_agent.mjs', import.meta.url));

export const selfCheck = process.env.OX_INTEROP_SELF === '1';
export const build = process.env.OX_BUILD ??
    fileURLToPath(new URL('../../../build', import.meta.url));

export class AgentError extends Error {
    constructor(reply, op) {
        super(`${op}: ${reply.name} (${reply.code}): ${reply.error}`);
        this.name = 'AgentError';
        this.code = reply.name;
        this.text = reply.error;
    }
}

export class Agent {
    /* `kind`: 'ox', or a version of bullmq. */
    static async start(url, kind = 'ox') {
        if (kind === 'ox' && selfCheck) kind = '6.7.0';
        const agent = new Agent();
        agent.events = [];
        agent.pending = new Map();
        agent.lastId = 0;
        agent.spawn(kind, url);
        await waitFor(() => agent.events.length > 0 || agent.gone, `the ${kind} agent`);
        if (agent.gone) throw new Error(`the ${kind} agent ended at once`);
        return agent;
    }

    spawn(kind, url) {
        const argv = kind === 'ox'
            ? [join(build, 'tests/interop/agent/agent'), url]
            : [process.execPath, nodeAgent, url, kind];
        this.process = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
        this.exited = new Promise((resolve) => {
            const end = (code, signal) => {
                this.gone = { code, signal };
                for (const { reject } of this.pending.values())
                    reject(new Error('the agent is gone'));
                this.pending.clear();
                resolve(this.gone);
            };
            this.process.once('exit', end);
            this.process.once('error', (error) => end(error.message, null));
        });
        this.process.stdin.on('error', () => {}); /* a killed agent: pending calls tell */
        createInterface({ input: this.process.stdout }).on('line', (line) => this.hear(line));
    }

    hear(line) {
        const message = JSON.parse(line);
        if (message.id === undefined) {
            this.events.push(message);
            return;
        }
        const call = this.pending.get(message.id);
        this.pending.delete(message.id);
        if (message.code !== undefined) call?.reject(new AgentError(message, call.op));
        else call?.resolve(message.value);
    }

    call(op, args = {}, ms = 30000) {
        if (this.gone) return Promise.reject(new Error('the agent is gone'));
        const id = ++this.lastId;
        const answer = new Promise((resolve, reject) => {
            this.pending.set(id, { resolve, reject, op });
        });
        this.process.stdin.write(`${JSON.stringify({ ...args, id, op })}\n`);
        return within(answer, `the answer to ${op}`, ms);
    }

    /* Shorter forms of the calls that nearly every test makes. */
    add(queue, name, data, opts, more) {
        return this.call('add', { queue, name, data, opts, ...more });
    }
    go(key = '') {
        return this.call('go', { key });
    }
    starts(job) {
        return this.events.filter((e) => e.event === 'start' && (!job || e.job === job));
    }
    errors() {
        return this.events.filter((e) => e.event === 'error');
    }

    async startWorker(queue, options = {}) {
        const worker = await this.call('worker_start', { queue, ...options });
        await waitFor(
            () => this.events.some((e) => e.event === 'ready' && e.worker === worker),
            'the worker to be ready',
        );
        return worker;
    }

    async kill() {
        this.process.kill('SIGKILL');
        await this.exited;
    }

    /* Ends the agent in good order; anything else than a clean end is a failure. */
    async stop() {
        if (this.gone) return;
        this.process.stdin.end();
        try {
            await within(this.exited, 'the end of an agent');
        } catch (error) {
            await this.kill();
            throw error;
        }
        if (this.gone.code !== 0)
            throw new Error(`an agent ended with ${JSON.stringify(this.gone)}`);
    }
}
