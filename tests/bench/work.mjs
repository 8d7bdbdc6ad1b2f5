#!/usr/bin/env node
// A program as a worker: gives a job's data back, for one job, or with the word `stream` for as
// many as come. The questions of exec are asked with it and with cat(1).
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

if (process.argv[2] === 'stream') {
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, data } = JSON.parse(line);
    process.stdout.write(`${JSON.stringify({ id, result: data })}\n`);
  }
} else {
  console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8'))));
}
