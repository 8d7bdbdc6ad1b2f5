// The questions of images: the same photos through ox-worker and through a BullMQ worker with
// sharp (peer_sharp.mjs), from the adding of the jobs until the last is completed.
//
// Each job makes what `outputs` says, with quality, effort, chroma and progressive said for both
// sides. A few jobs, untimed, go before. Processor time is that of the worker and all its
// children within the timed part; memory is the sum of their peaks since they started, with the
// libraries that they share counted once for each, so it is rather too high where there are
// children. How alike outputs and photos look is measured once for each candidate, for some of
// the photos, by worker_likeness.c.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { allDone } from './observe.mjs';
import { launch, makeFolder, soon } from './servers.mjs';

const jpeg = (width) => ({ file: `${width}.jpg`, width, format: 'jpeg', quality: 80, progressive: false, chroma: '4:2:0' });
const webp = (width) => ({ file: `${width}.webp`, width, format: 'webp', quality: 80, effort: 4 });
const avif = (width) => ({ file: `${width}.avif`, width, format: 'avif', quality: 50, effort: 4, chroma: '4:2:0' });

const KINDS = /\.(jpe?g|png|webp|avif|tiff?)$/i;
const WARM = 4;
const COMPARED = 10;

// ---- processes -----------------------------------------------------------------------------

const statOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
  } catch {
    return undefined; // it has ended meanwhile
  }
};

const family = (root) => {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = statOf(pid);
    if (stat) parents.set(Number(pid), Number(stat[1]));
  }
  const belongs = (pid) => pid === root || (parents.has(pid) && belongs(parents.get(pid)));
  return [...parents.keys()].filter(belongs);
};

// Seconds of processor time, with that of children that have ended.
const cpuOf = (pids) =>
  pids.map(statOf).reduce((sum, stat) => sum + (stat ? stat.slice(11, 15).reduce((s, x) => s + Number(x), 0) / 100 : 0), 0);

const peakOf = (pids) =>
  pids.reduce((sum, pid) => sum + Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) / 1024, 0);

// ---- runs ----------------------------------------------------------------------------------

export const makeImages = ({ build, beside, size, limit_s, versions, photosFrom }) => {
  const count = { full: 40, quick: 12, smoke: 1 }[size];
  const cores = cpus().length;
  const likeness = join(build, 'tests/bench/worker_likeness');

  // Made, or copied, when the first run wants them: {root, names}; below the root they are in in/.
  let made;
  const photos = () => {
    if (made) return made;
    const root = makeFolder();
    const folder = join(root, 'in');
    mkdirSync(folder);
    if (photosFrom) {
      for (const name of readdirSync(photosFrom).filter((n) => KINDS.test(n))) copyFileSync(join(photosFrom, name), join(folder, name));
    } else {
      execFileSync(join(build, 'docs/make_photos'), [folder, String(count)]);
    }
    const names = readdirSync(folder).sort();
    if (names.length === 0) throw new Error(`no photos in ${photosFrom}`);
    return (made = { root, names });
  };

  // How alike some of the photos and each of their outputs look, and how wide those are.
  const compare = ({ root, names }, folder, outputs) => {
    const some = names.filter((_, i) => i % Math.ceil(names.length / COMPARED) === 0);
    return outputs.map(({ file, width }) => {
      const pairs = some.flatMap((name) => [join(root, 'in', name), join(root, folder, `${name}-${file}`)]);
      const lines = execFileSync(likeness, pairs, { encoding: 'utf8' }).trim().split('\n').map((line) => line.split(' ').map(Number));
      if (lines.some(([wide]) => wide > width)) throw new Error(`${file}: wider than ${width} pixels`);
      return lines.reduce((sum, [, , similarity]) => sum + similarity, 0) / lines.length;
    });
  };

  const running = (who, from, outputs, options = {}) => {
    let likes; // of the first run
    return async ({ redis, socket }) => {
      const { root, names } = photos();
      const out = (name, i) => ({ input: `in/${name}`, outputs: outputs.map((o) => ({ ...o, file: `out/${i}${name}-${o.file}` })) });
      mkdirSync(join(root, 'out'));
      const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
      const queue = new Queue('bench', { connection });
      const worker = launch(from, who, 'serve', socket, { limit_s, root, concurrency: cores, ...options });
      const limit = Date.now() + limit_s * 1000;
      const completed = async (wanted) => {
        while ((await redis.zcard('bull:bench:completed')) < wanted) {
          const [failed] = await queue.getFailed(0, 0);
          if (failed) throw new Error(`${who}: a job failed: ${failed.failedReason}`);
          if (Date.now() > limit) throw new Error(`${who}: not done within ${limit_s} s; was a job lost?`);
          await soon(5);
        }
      };
      try {
        const warm = Array.from({ length: Math.min(WARM, count) }, (_, i) => names[i % names.length]);
        await queue.addBulk(warm.map((name, i) => ({ name: 'bench', data: out(name, `warm${i}-`) })));
        await completed(warm.length);
        const cpu = cpuOf(family(worker.child.pid));
        const start = performance.now();
        await queue.addBulk(names.map((name) => ({ name: 'bench', data: out(name, '') })));
        await completed(warm.length + names.length);
        const seconds = (performance.now() - start) / 1000;
        const pids = family(worker.child.pid);
        const used = { cpu: cpuOf(pids) - cpu, mb: peakOf(pids) };
        worker.child.kill('SIGTERM');
        await worker.answer;
        const sizes = outputs.map((o) => names.reduce((sum, name) => sum + statSync(join(root, 'out', `${name}-${o.file}`)).size, 0));
        likes ??= compare({ root, names }, 'out', outputs);
        const exact = await allDone(redis, 'ox', warm.length + names.length);
        return {
          exact, seconds, per_s: names.length / seconds, cpu_ms: (used.cpu * 1000) / names.length, mb: used.mb,
          kb: sizes.map((bytes) => bytes / 1000 / names.length), likes,
        };
      } finally {
        worker.child.kill('SIGKILL');
        await queue.close();
        connection.disconnect();
        rmSync(join(root, 'out'), { recursive: true });
      }
    };
  };

  // ---- questions ---------------------------------------------------------------------------

  const versionOf = (from) => execFileSync(join(from, 'tests/bench/worker_likeness'), { encoding: 'utf8' }).trim();
  const perSecond = { title: 'jobs/s', of: (a) => a.per_s };
  const cpu = { title: 'CPU ms', of: (a) => a.cpu_ms };
  const memory = { title: 'MB', of: (a) => a.mb };
  const question = (name, title, outputs) => ({
    name, title, turns: 3, rare: true, compare: [perSecond, cpu, memory],
    goal: 'at least 1.1× sharp\'s jobs/s with Debian\'s libvips, 1.5× with libvips 8.18; memory at most 0.6×; bytes at equal similarity at most sharp\'s.',
    figures: [
      perSecond, cpu, memory,
      ...outputs.flatMap(({ file }, i) => [
        { title: `kB, ${file}`, of: (a) => a.kb[i], show: (x) => x.toFixed(1) },
        { title: `SSIM, ${file}`, of: (a) => a.likes[i], show: (x) => x.toFixed(4) },
      ]),
    ],
    candidates: [
      ...(versions.sharp ? [{ label: `bullmq ${versions.bullmq}, sharp ${versions.sharp}`, run: running('sharp', build, outputs, { threads: 1 }) }] : []),
      ...[beside, build].filter((from) => from).map((from) => ({
        label: `Ox, libvips ${versionOf(from)}`, run: running('images', from, outputs),
      })),
    ],
  });
  return [
    question('images-one', 'A 12 MP photo to one JPEG', [jpeg(1600)]),
    question('images-three', 'A 12 MP photo to a JPEG and two WebP', [jpeg(1600), webp(800), webp(320)]),
    question('images-avif', 'A 12 MP photo to a JPEG and an AVIF', [jpeg(1600), avif(640)]),
  ];
};
