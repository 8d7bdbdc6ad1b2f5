/*
 * report.mjs - what a run of the tests prints: one line a test, the failures with their
 * errors, and node:test's own closing numbers.
 *
 * With OX_INTEROP_RESULTS, every result is also written there, one JSON object a line: what
 * docs.mjs makes docs/compatibility.md of.
 */
import { appendFileSync } from 'node:fs';

const results = process.env.OX_INTEROP_RESULTS;

function describe(error) {
    const cause = error?.cause ?? error;
    const text = cause?.stack ?? cause?.message ?? String(cause);
    return text.split('\n').filter((line) => !/node:internal|node_modules/.test(line))
        .map((line) => `        ${line}\n`).join('');
}

/* A test file as a whole: of interest only when it failed by itself. */
const isFile = (name) => /\.m?js$/.test(name);

export default async function* report(source) {
    let passed = 0;
    let failed = 0;
    for await (const { type, data } of source) {
        if (type === 'test:diagnostic' && data.nesting === 0 && process.env.OX_INTEROP_SELF)
            yield /^as said/.test(data.message) ? `        ${data.message.split('\n')[0]}\n` : '';
        if (type !== 'test:pass' && type !== 'test:fail') continue;
        const ok = type === 'test:pass';
        if (isFile(data.name) && (ok || data.details.error?.failureType === 'subtestsFailed'))
            continue;
        if (ok && data.skip !== undefined) continue;
        if (ok) passed++;
        else failed++;
        if (results)
            appendFileSync(results, `${JSON.stringify({ name: data.name, ok })}\n`);
        const took = Math.round(data.details.duration_ms);
        yield `${ok ? 'ok    ' : 'FAILED'}  ${data.name} (${took} ms)\n`;
        if (!ok) yield describe(data.details.error);
    }
    yield `# tests ${passed + failed}\n# pass ${passed}\n# fail ${failed}\n`;
    yield `${passed} passed, ${failed} failed\n`;
}
