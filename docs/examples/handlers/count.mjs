#!/usr/bin/env node
// count.mjs DIR - counts lines and words of text files below DIR: {"files": ["a.txt", ...]}
//
//   ox-worker --mode stream 'texts=exec:./count.mjs /srv/texts'
//
// One program for many jobs: a line of JSON in for each, lines of JSON out. Between jobs it waits
// for its stdin, and ends when that does. console.log() is stdout, which is for answers only.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function count(job) {
    const sum = { lines: 0, words: 0 };
    for (const [i, file] of job.data.files.entries()) {
        const below = join('/', file); // what ".." is in it ends at the top
        const text = await readFile(join(process.argv[2], below), 'utf8');
        sum.lines += text.split('\n').length - 1;
        sum.words += text.match(/\S+/g)?.length ?? 0;
        say({ progress: { done: i + 1, of: job.data.files.length } });
        say({ log: `${file}: ${text.length} characters` });
    }
    return sum;
}

for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line);
    try {
        say({ id: job.id, result: await count(job) });
    } catch (error) {
        say({ id: job.id, error: error.message, retry: error.code !== 'ENOENT' });
    }
}
