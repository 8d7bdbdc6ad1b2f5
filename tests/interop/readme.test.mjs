/*
 * readme.test.mjs - what README.md says, typed in as it stands there.
 *
 * The console blocks of "Two minutes" are run in a folder of their own, in order, on a terminal
 * of 80 columns; what the page shows must come, but for numbers and times. The same `ox dev`
 * then serves the lines for a shell and the program for Node.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from './support/agent.mjs';
import { png } from './support/programs.mjs';
import { waitFor, within } from './support/wait.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const readme = readFileSync(here('../../README.md'), 'utf8');

/* The text under a heading, up to the next one of any level. */
function section(title) {
    const [, text] = readme.split(`\n## ${title}\n`);
    assert.ok(text, `README.md has no section "${title}"`);
    return text.split('\n## ')[0];
}

const blocks = (text, language) =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map((one) => one[1]);

/* Commands of a console block: what is typed, over several lines while a quote is open, and
 * what is shown. */
function commandsOf(block) {
    const commands = [];
    let open = false;
    for (const line of block.trimEnd().split('\n')) {
        if (!open && line.startsWith('$ ')) commands.push({ typed: line.slice(2), shown: [] });
        else if (open) commands.at(-1).typed += `\n${line}`;
        else commands.at(-1).shown.push(line);
        if (open || line.startsWith('$ '))
            open = commands.at(-1).typed.split("'").length % 2 === 0;
    }
    return commands;
}

/* Lines without what differs from run to run. */
const steady = (line) => line.trim()
    .replace(/\b(now|in \d+\w|\d+\w ago)\b/g, 'WHEN')
    .replace(/"format":"\w+"/g, '"format":"F"')
    .replace(/"sha256":"\w+"/g, '"sha256":"S"')
    .replace(/\d+(,\d{3})*(\.\d+)?/g, 'N')
    .replace(/-?N/g, 'N')
    .replace(/\s+/g, ' ');

function run(file, args, dir, env) {
    return new Promise((resolve) => {
        execFile(file, args, { cwd: dir, env, timeout: 60000 }, (error, stdout, stderr) =>
            resolve({ status: error ? (error.code ?? error.signal) : 0, stdout, stderr }));
    });
}

/* As somebody at a terminal sees it. */
async function onTerminal(typed, dir, env) {
    const path = join(dir, 'typed');
    writeFileSync(path, `stty cols 80\n${typed}\n`);
    const { stdout } = await run('script', ['-qec', `sh ${path}`, '/dev/null'], dir, env);
    return stdout.replaceAll('\r', '');
}

const lacks = (command, said) => {
    const lines = said.split('\n').map(steady);
    return command.shown.filter((line) => !lines.includes(steady(line)));
};

/* Those that only look may be typed again until work is done. */
const looks = /^ox (counts|jobs) /;

async function typeIn(command, dir, env) {
    let said;
    await waitFor(async () => {
        said = await onTerminal(command.typed, dir, env);
        return !looks.test(command.typed) || lacks(command, said).length === 0;
    }, command.typed).catch(() => {});
    assert.deepEqual(lacks(command, said), [], `$ ${command.typed}\n${said}`);
}

/* `ox dev` as the first block starts it. */
async function startDev(words, dir, env) {
    const child = spawn('sh', ['-c', `exec ${words}`],
        { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const dev = { log: '', child };
    child.stdout.on('data', (text) => (dev.url ??= String(text).trim()));
    child.stderr.on('data', (text) => (dev.log += text));
    dev.ended = new Promise((resolve) => child.once('exit', (code) => {
        dev.code = code;
        resolve();
    }));
    await waitFor(() => dev.url || dev.code !== undefined, words);
    assert.ok(dev.url, dev.log);
    return dev;
}

function newFolder() {
    const dir = mkdtempSync(join(tmpdir(), 'readme-'));
    symlinkSync(build, join(dir, 'build'));
    symlinkSync(here('node_modules'), join(dir, 'node_modules'));
    mkdirSync(join(dir, 'demo/photos/in'), { recursive: true });
    for (const number of [1, 2, 3])
        writeFileSync(join(dir, `demo/photos/in/car-${number}.jpg`), png(1200, 900));
    writeFileSync(join(dir, 'job.json'), '{"input": "in/car-1.jpg"}');
    writeFileSync(join(dir, 'jobs.jsonl'), '{"name": "compress", "data": {"input": "in/car-2.jpg"}}');
    return dir;
}

test('README: two minutes, a shell and Node, as typed', { skip: process.env.OX_INTEROP_SELF === '1' }, async () => {
    const dir = newFolder();
    const env = { ...process.env, PATH: `${join(dir, 'build')}:${process.env.PATH}`, NO_COLOR: '1' };
    delete env.OX_REDIS_URL;
    const [first, ...others] = blocks(section('Two minutes'), 'console').map(commandsOf);
    const start = first.find(({ typed }) => typed.startsWith('ox dev'));
    const dev = await startDev(start.typed, dir, env);
    try {
        assert.equal(dev.url, `unix://${dir}/.ox/redis.sock`);
        env.OX_REDIS_URL = dev.url;
        const commands = others.flat().filter(({ typed }) => !typed.startsWith('export '));
        assert.ok(commands.length >= 8);
        for (const command of commands) await typeIn(command, dir, env);

        const [shell] = blocks(section('Adding a job'), 'sh');
        const lines = shell.trim().split('\n');
        assert.ok(lines.length >= 3);
        for (const line of lines) {
            const { status, stderr } = await run('sh', ['-c', line], dir, env);
            assert.equal(status, 0, `${line}: ${stderr}`);
        }

        const [program] = blocks(section('Adding a job'), 'js');
        writeFileSync(join(dir, 'add.mjs'), program);
        const node = await run(process.execPath, ['add.mjs'], dir, env);
        assert.equal(node.status, 0, node.stderr);
        assert.match(node.stdout, /file: 'in\/car-1\.jpg'/);
    } finally {
        dev.child.kill('SIGTERM');
        await within(dev.ended, 'ox dev to stop').finally(() => dev.child.kill('SIGKILL'));
        rmSync(dir, { recursive: true, force: true });
    }
    assert.equal(dev.code, 0, dev.log);
});
