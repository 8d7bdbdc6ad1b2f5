// The peer of ox-worker's image handler: a BullMQ worker with sharp. It takes the same job data,
// as far as the benchmark uses it, and writes the same files.
//
//   peer_sharp.mjs serve --socket PATH --root DIR --concurrency N --threads N
//
// As fast as sharp was found to be: nothing cached, outputs of one job made from one decode (of
// the largest size, whose raw pixels the others are made from), no mozjpeg extras. Runs what
// there is until SIGTERM; whoever started it counts.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import sharp from 'sharp';

const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    socket: { type: 'string' },
    root: { type: 'string' },
    concurrency: { type: 'string' },
    threads: { type: 'string' },
  },
});
sharp.cache(false);
sharp.concurrency(Number(options.threads));

const encoders = {
  jpeg: (image, { quality, progressive, chroma }) =>
    image.jpeg({ quality, progressive, chromaSubsampling: chroma, optimiseCoding: true, mozjpeg: false }),
  webp: (image, { quality, effort }) => image.webp({ quality, effort }),
  avif: (image, { quality, effort, chroma }) => image.avif({ quality, effort, chromaSubsampling: chroma }),
};

const write = async (image, output) => {
  const path = join(options.root, output.file);
  const { width, height, size } = await encoders[output.format](image, output).toFile(path);
  return { file: output.file, width, height, bytes: size };
};

const make = async ({ data: { input, outputs } }) => {
  const photo = sharp(join(options.root, input)).autoOrient();
  const [largest] = [...outputs].sort((a, b) => b.width - a.width);
  const first = photo.resize({ width: largest.width, withoutEnlargement: true });
  if (outputs.length === 1) return { outputs: [await write(first, largest)] };
  const { data, info } = await first.raw().toBuffer({ resolveWithObject: true });
  const small = (width) =>
    width >= info.width ? sharp(data, { raw: info }) : sharp(data, { raw: info }).resize({ width });
  return { outputs: await Promise.all(outputs.map((output) => write(small(output.width), output))) };
};

const connection = new Redis({ path: options.socket, maxRetriesPerRequest: null });
const worker = new Worker('bench', make, { connection, concurrency: Number(options.concurrency) });
await new Promise((resolve) => process.once('SIGTERM', resolve));
await worker.close();
process.exit(0);
