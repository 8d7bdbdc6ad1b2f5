/*
 * obey.mjs - the processor of BullMQ workers in these tests: it does what the job's data
 * says. agent/worker.c does the same in a libox worker and describes the steps.
 */
import { pause } from './wait.mjs';

/* What holds at a key, until someone says go. */
export class Gates {
    waiting = new Map();

    hold(key) {
        return new Promise((resolve) => {
            const list = this.waiting.get(key) ?? [];
            list.push(resolve);
            this.waiting.set(key, list);
        });
    }

    /* Returns how many went on. */
    go(key) {
        const list = this.waiting.get(key) ?? [];
        this.waiting.delete(key);
        for (const resolve of list) resolve();
        return list.length;
    }

    count(key) {
        return this.waiting.get(key)?.length ?? 0;
    }
}

function planOf(data, starts) {
    if (Array.isArray(data?.starts) && data.starts.length > 0)
        return data.starts[Math.min(Math.max(starts, 1), data.starts.length) - 1];
    if (Array.isArray(data?.steps)) return data.steps;
    if (typeof data?.do === 'string') return [data];
    return [{ do: 'return', value: data }];
}

function errorOf(step, kinds) {
    const error = step.unrecoverable
        ? new kinds.UnrecoverableError(step.reason)
        : new Error(step.reason);
    if (step.stack !== undefined) error.stack = step.stack;
    return error;
}

/* `kinds`: the bullmq package; `context`: {worker(), gates, addChild(job, step)}. Each step
 * returns undefined to go on, or {value} to end the job. */
const steps = {
    return: (job, step) => ({
        value: step.text !== undefined ? JSON.parse(step.text) : (step.value ?? null),
    }),
    fail: (job, step, context) => {
        throw errorOf(step, context.kinds);
    },
    sleep: (job, step) => pause(step.ms),
    hold: (job, step, context) => context.gates.hold(step.key ?? ''),
    progress: async (job, step) => void (await job.updateProgress(step.value)),
    log: async (job, step) => void (await job.log(step.row)),
    update_data: (job, step) => job.updateData(step.value),
    delay: async (job, step, context, token) => {
        await job.moveToDelayed(Date.now() + step.ms, token);
        throw new context.kinds.DelayedError();
    },
    release: async (job, step, context, token) => {
        await job.moveToWait(token);
        throw new context.kinds.WaitingError();
    },
    rate_limit: async (job, step, context) => {
        await context.worker().rateLimit(step.ms);
        throw new context.kinds.RateLimitError();
    },
    wait_children: async (job, step, context, token) => {
        if (await job.moveToWaitingChildren(token))
            throw new context.kinds.WaitingChildrenError();
    },
    child: (job, step, context) => context.addChild(job, step),
    crash: () => process.kill(process.pid, 'SIGKILL'),
};

export function obey(context) {
    return async (job, token) => {
        context.started?.(job);
        for (const step of planOf(job.data, job.attemptsStarted)) {
            if (!steps[step.do]) throw new context.kinds.UnrecoverableError('no such step');
            const end = await steps[step.do](job, step, context, token);
            if (end && 'value' in end) return end.value;
        }
        return null;
    };
}
