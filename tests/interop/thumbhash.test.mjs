/*
 * thumbhash.test.mjs - the placeholders of the image handler are what the npm package thumbhash
 * makes of the same pixels, and what it reads.
 *
 * Pictures are made from a fixed seed: of many shapes, smooth and noisy, opaque and transparent.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { rgbaToThumbHash, thumbHashToApproximateAspectRatio } from 'thumbhash';

const here = path.dirname(fileURLToPath(import.meta.url));
const build = process.env.OX_BUILD ?? path.join(here, '../../build');
const program = path.join(build, 'tests/interop/worker_thumbhash');

let state = 0x2f6e2b1;
function random(below) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
}

const shapes = [[1, 1], [1, 100], [100, 1], [2, 3], [100, 100], [100, 75], [75, 100], [100, 56],
    [33, 99], [64, 64], [10, 7], [100, 30]];

// A slope of colours, with noise in part of them; alpha is full, noisy, a slope or nothing.
function paint(width, height, noise, alpha) {
    const rgba = new Uint8Array(4 * width * height);
    const [a, b, c] = [random(256), random(256), random(256)];
    for (let y = 0, at = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at += 4) {
            rgba[at] = Math.min(255, (a * x) / width + random(noise));
            rgba[at + 1] = Math.min(255, (b * y) / height + random(noise));
            rgba[at + 2] = Math.min(255, (c * (x + y)) / (width + height) + random(noise));
            rgba[at + 3] = [255, random(256), Math.floor((255 * x) / width), 0][alpha];
        }
    }
    return { width, height, rgba };
}

const pictures = [];
for (const [width, height] of shapes) {
    for (const noise of [1, 20, 256]) {
        for (const alpha of [0, 0, 1, 2, 3]) {
            pictures.push(paint(width, height, noise, alpha));
        }
    }
}

// A term that is zero lies between the steps 7 and 8, where the last bit of a cosine decides.
function settled(hash) {
    const bytes = Buffer.from(hash, 'base64');
    const terms = bytes[2] & 0x80 ? 6 : 5;
    return bytes.toString('hex', 0, terms) + bytes.toString('hex', terms).replace(/8/g, '7');
}

test(`thumbhash 0.1.1: ${pictures.length} pictures have the same hashes`, () => {
    const input = Buffer.concat(pictures.flatMap(
        ({ width, height, rgba }) => [Buffer.from([width, height]), Buffer.from(rgba)]));
    const lines = execFileSync(program, { input, maxBuffer: 1 << 24 }).toString().split('\n');
    assert.equal(lines.length, pictures.length + 1);
    let same = 0;
    pictures.forEach(({ width, height, rgba }, i) => {
        const wanted = Buffer.from(rgbaToThumbHash(width, height, rgba)).toString('base64');
        assert.equal(settled(lines[i]), settled(wanted), `picture ${i}, ${width} x ${height}`);
        same += lines[i] === wanted;
        const ratio = thumbHashToApproximateAspectRatio(Buffer.from(lines[i], 'base64'));
        assert.ok(ratio > 0 && Number.isFinite(ratio));
    });
    assert.ok(same > 0.9 * pictures.length, `only ${same} are the same to the last bit`);
});
