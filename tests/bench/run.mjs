// run.mjs BUILD [--quick|--smoke] [--only NAME,..] [--repeat N] [--peers all] [--photos DIR]
//         [--beside BUILD] [--write FILE]
//
// Measures Ox and its peers, one question after the other (questions.mjs). For each question all
// candidates take turns on the same private Redis, forwards and backwards, so that a machine
// whose speed drifts slows all of them alike; a figure is the median of the turns, a ratio the
// median of the ratios within each turn. Every candidate warms up first, untimed. Every run must
// have handled every job exactly once, or the benchmark fails.
//
// --quick takes under two minutes; --smoke only shows that everything still runs. --peers all
// also asks Sidekiq, beanstalkd and nats-server (with libnats), where they are installed. --photos takes those of a folder for
// the questions of images, --beside measures the image handler of another build as well. --write
// puts the tables into FILE between its two marker lines. --only takes the start of a name, up to
// a hyphen, for all that begin so.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { empty } from './observe.mjs';
import { makeQuestions } from './questions.mjs';
import { soon, startRedis, versions as findVersions } from './servers.mjs';

const usage = (text) => {
  console.error(`run.mjs: ${text}`);
  process.exit(2);
};
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    only: { type: 'string' },
    repeat: { type: 'string' },
    peers: { type: 'string' },
    photos: { type: 'string' },
    beside: { type: 'string' },
    write: { type: 'string' },
  },
});
const size = flags.smoke ? 'smoke' : flags.quick ? 'quick' : 'full';
const repeat = Number(flags.repeat ?? { smoke: 1, quick: 3, full: 5 }[size]);
if (!Number.isInteger(repeat) || repeat < 1) usage('--repeat must be a number of turns');
if (flags.peers !== undefined && flags.peers !== 'all') usage('--peers can be all');

const build = resolve(positionals[0] ?? 'build');
const versions = findVersions(flags.peers === 'all', build);
const packages = { sidekiq: 'ruby-sidekiq', beanstalkd: 'beanstalkd', nats: 'nats-server libnats-dev' };
const absent = Object.keys(packages).filter((who) => flags.peers === 'all' && !versions[who]);
if (absent.length > 0) {
  const needed = absent.map((who) => packages[who]).join(' ');
  console.error(`Not installed, so not measured: ${absent.join(', ')} (Debian: ${needed}; or sh tests/support/deps.sh bench-peers)`);
}
const questions = makeQuestions({
  build,
  beside: flags.beside && resolve(flags.beside),
  photosFrom: flags.photos && resolve(flags.photos),
  size,
  versions,
  limit_s: { smoke: 60, quick: 60, full: 240 }[size],
});
const picks = (name) => questions.filter((q) => q.name === name || q.name.startsWith(`${name}-`));
const unknown = flags.only?.split(',').filter((name) => picks(name).length === 0) ?? [];
if (unknown.length > 0) {
  usage(`no question ${unknown.join(', ')}; there are ${questions.map((q) => q.name).join(', ')}`);
}
const wanted = (flags.only?.split(',').flatMap(picks) ?? questions.filter((q) => size !== 'quick' || !q.rare)).map((q) => q.name);

// ---- numbers -------------------------------------------------------------------------------

const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
const short = (x) =>
  x >= 10000 ? `${(x / 1000).toFixed(x >= 100000 ? 0 : 1)}k` : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
const known = (values) => values.every((value) => Number.isFinite(value));

// A figure that says how it is shown is one that does not change from run to run.
const cell = ({ of, show }, answers) => {
  const values = answers.map(of);
  if (!known(values)) return '';
  if (show) return show(median(values));
  const spread = values.length > 1 ? ` (${short(Math.min(...values))}–${short(Math.max(...values))})` : '';
  return `${short(median(values))}${spread}`;
};
const ratio = (mine, theirs) => {
  const pairs = mine.map((value, turn) => value / theirs[turn]);
  return known(pairs) ? `${median(pairs).toFixed(2)}×` : '';
};

// ---- asking --------------------------------------------------------------------------------

// The answers of each candidate, turn by turn. `fault` is called with what was wrong.
const ask = async ({ candidates, redisArgs, turns }, fault) => {
  const server = await startRedis(redisArgs);
  const answers = candidates.map(() => []);
  const order = [...candidates.entries()];
  try {
    for (let turn = 0; turn < Math.min(repeat, turns ?? repeat); turn += 1) {
      for (const [i, candidate] of order) {
        await empty(server.redis, soon);
        const answer = await candidate.run(server);
        if (!answer.exact) fault(`${candidate.label}: a job was lost or ran twice`);
        answers[i].push(answer);
      }
      order.reverse();
    }
  } finally {
    await server.stop();
  }
  return answers;
};

const table = ({ title, note, goal, figures, compare = [], candidates }, answers) => {
  const heads = compare.map((f) => (compare.length > 1 ? `ratio ${f.title.replace(' ms', '')}` : 'ratio'));
  const shown = figures.filter((f) => answers.some((turns) => known(turns.map(f.of))));
  const lines = ['', `### ${title}`, '', ...(note ? [note, ''] : [])];
  lines.push(`| | ${[...shown.map((f) => f.title), ...heads].join(' | ')} |`);
  lines.push(`|---|${[...shown, ...heads].map(() => '---:').join('|')}|`);
  for (const [i, { label, against = 0 }] of candidates.entries()) {
    const cells = shown.map((f) => cell(f, answers[i]));
    const ratios = compare.map((f) => (i === against ? '' : ratio(answers[i].map(f.of), answers[against].map(f.of))));
    lines.push(`| ${[label, ...cells, ...ratios].join(' | ')} |`);
  }
  return goal ? [...lines, '', `Goal: ${goal}`] : lines;
};

const lines = [];
const problems = [];
let passed = 0;
for (const question of questions.filter((q) => wanted.includes(q.name))) {
  const before = problems.length;
  try {
    const answers = await ask(question, (what) => problems.push(`${question.name}: ${what}`));
    const text = table(question, answers);
    console.log(text.join('\n'));
    lines.push(...text);
  } catch (error) {
    problems.push(`${question.name}: ${error.message}`);
  }
  if (problems.length === before) passed += 1;
}

// Figures of a run that was not exact are worth nothing: they are not written.
if (flags.write && problems.length === 0) {
  const text = readFileSync(flags.write, 'utf8');
  const [begin, end] = ['<!-- tables: begin -->', '<!-- tables: end -->'];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) usage(`${flags.write}: no lines ${begin} and ${end}`);
  const where = `Measured with ${cpus().length} cores (${cpus()[0].model.trim()}), Redis ${versions.redis}, Node ${process.versions.node}; ${repeat} turns each, ${Math.min(repeat, 3)} in the longer questions.`;
  writeFileSync(flags.write, `${text.slice(0, from + begin.length)}\n\n${where}\n${lines.join('\n')}\n\n${text.slice(to)}`);
}
for (const problem of problems) console.error(problem);
console.log(`\n${passed} passed, ${wanted.length - passed} failed`);
process.exit(problems.length > 0 ? 1 : 0);
