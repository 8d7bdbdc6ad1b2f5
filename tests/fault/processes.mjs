/*
 * processes.mjs - what the kernel says of processes: who descends from whom, how much memory and
 * how many descriptors one has.
 */
import { readdirSync, readFileSync } from 'node:fs';

function read(path) {
    try {
        return readFileSync(path, 'utf8');
    } catch {
        return ''; /* it has ended */
    }
}

/* [{pid, depth}], children at depth 1. */
export function descendants(pid, depth = 1) {
    return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
        .flatMap((child) => [{ pid: child, depth }, ...descendants(child, depth + 1)]);
}

/* Processes, but zombies, that have `text` on their command line. */
export function processesWith(text) {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)
        .filter((pid) => read(`/proc/${pid}/cmdline`).includes(text));
}

export const memoryKb = (pid, which = 'VmRSS') =>
    Number(read(`/proc/${pid}/status`).match(new RegExp(`^${which}:\\s+(\\d+)`, 'm'))?.[1]);

export const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;
