/*
 * json_parity.test.mjs - item 66: Ox reads stored JSON as BullMQ does, which means JSON.parse
 * of the text that Node makes of the bytes.
 *
 * The texts are made from a fixed seed: whole values, and such with bytes changed, put in or
 * taken out. Both sides must take and refuse the same ones, with the same values. Where Ox's
 * texts cannot hold a value it is U+FFFD: half a surrogate pair and NUL. How many U+FFFD stand
 * for bytes that are not UTF-8 differs, so runs of them count as one. A number beyond a double
 * is the largest one.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { versions } from './support/npm.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const build = process.env.OX_BUILD ?? path.join(here, '../../build');
const program = path.join(build, 'tests/interop/json_read');

let state = 0x51ab3c07;
function random(below) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
}
const pick = (list) => list[random(list.length)];

const strings = ['""', '"a"', '"half \\ud83d"', '"\\udf82 back"', '"\\ud83c\\udf82"', '"\\u0000"',
    '"🚗"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9é"', '"\\ud83d\\ud83c\\udf82"', '"__proto"',
    '"\\u0061"', '"\u2028"', '"\u007f"'];
const numbers = ['0', '-0', '1', '-1.5', '1e400', '-1e400', '1e-400', '0.1', '5e-324',
    '123456789012345678901', '1E+2', '9007199254740993', '2.5e-8'];
const scalars = [...strings, ...numbers, 'true', 'false', 'null'];
const spaces = ['', '', ' ', '\n', '\t\r '];

function value(depth) {
    const many = random(4);
    if (depth === 0 || random(3) === 0) return pick(scalars);
    if (random(2))
        return `[${Array.from({ length: many }, () => value(depth - 1)).join(pick(spaces) + ',')}]`;
    return `{${Array.from({ length: many }, () => pick(strings) + pick(spaces) + ':' +
        pick(spaces) + value(depth - 1)).join(',')}${pick(spaces)}}`;
}

const changes = [...Buffer.from('{}[]",:\\/ue0-.+ tfn\n\t'), 0, 1, 0x80, 0xc3, 0xe2, 0xff, 0xf0,
    0xef, 0xbb, 0xbf];
function changed(bytes) {
    const at = random(bytes.length + 1);
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    const one = Buffer.from([pick(changes)]);
    return pick([() => Buffer.concat([head, one, tail]), () => Buffer.concat([head,
        tail.subarray(1)]), () => Buffer.concat([head, one, tail.subarray(1)])])();
}

function texts() {
    const list = ['['.repeat(5000) + ']'.repeat(5000), '{"a":'.repeat(600) + '1' + '}'.repeat(600),
        '\ufeff{}', '', ' ', '[1]x', '01', '"\u0000"', '{"a":1,"a":2}'].map((t) => Buffer.from(t));
    for (let i = 0; i < 20000; i++) {
        let bytes = Buffer.from(pick(spaces) + value(random(5)) + pick(spaces));
        for (let n = random(4); n > 0; n--) bytes = changed(bytes);
        list.push(bytes);
    }
    return list;
}

const seen = (text) => text.replace(/\u0000/g, '\ufffd').toWellFormed().replace(/\ufffd+/g, '\ufffd');
function mapped(parsed) {
    if (typeof parsed === 'string') return seen(parsed);
    if (typeof parsed === 'number')
        return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, parsed));
    if (Array.isArray(parsed)) return parsed.map(mapped);
    if (parsed === null || typeof parsed !== 'object') return parsed;
    return Object.fromEntries(Object.entries(parsed).map(([k, v]) => [seen(k), mapped(v)]));
}

/* undefined when it is refused. */
function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

/* Names that become one name by U+FFFD may have either value. */
const ambiguous = (text) => (text.match(/\ufffd|\\u(d[89a-f]|0000)/gi) ?? []).length > 1 &&
    text.includes('{');

test(`item 66 (worker, bullmq ${versions[0]}): stored JSON is taken, refused and read as by JSON.parse`,
    () => {
        const all = texts();
        const input = all.map((bytes) => bytes.toString('hex')).join('\n') + '\n';
        const answers = execFileSync(program, { input, maxBuffer: 1 << 28 }).toString().split('\n');
        let taken = 0;
        all.forEach((bytes, i) => {
            const text = bytes.toString('utf8');
            const theirs = parse(text);
            const what = `${JSON.stringify(text.slice(0, 200))} ${bytes.toString('hex').slice(0, 200)}`;
            assert.equal(answers[i] !== '-', theirs !== undefined, what);
            if (theirs === undefined) return;
            taken++;
            if (i > 1 && !ambiguous(text))
                assert.deepEqual(mapped(JSON.parse(answers[i])), mapped(theirs), what);
        });
        assert.ok(taken > 3000 && taken < 18000, `${taken} taken`);
    });
