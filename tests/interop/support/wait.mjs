/*
 * wait.mjs - waiting for a state, never for a time.
 */

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Calls `probe` until it gives something true, and returns that. Throws after `ms`. */
export async function waitFor(probe, what, ms = 10000) {
    const deadline = Date.now() + ms;
    for (let wait = 1; ; wait = Math.min(wait * 2, 20)) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${what}`);
        await pause(wait);
    }
}

/* A promise, or an error when it takes longer than `ms`. */
export async function within(promise, what, ms = 10000) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

export function median(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
}
