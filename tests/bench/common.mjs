// What the peers share: a job's data, time and processor time, and whether a run was exact.

// {n, pad} whose JSON has about `bytes` bytes; ox_bench.c makes the same.
export const pad = (n, bytes) => ({
  n,
  pad: 'x'.repeat(Math.max(0, bytes - `{"n":${n},"pad":""}`.length)),
});

export const exactness = (runs) => runs.every((times) => times === 1);

export const percentiles = (samples) => {
  const sorted = Float64Array.from(samples).sort();
  const at = (p) => sorted[Math.round(p * (sorted.length - 1))];
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
};

// Runs `body`, which handles `jobs` jobs; its time, rate, processor time and peak memory.
export const measure = async (jobs, body) => {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await body();
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return {
    jobs,
    seconds,
    per_s: jobs / seconds,
    exact: true,
    cpu_s: (used.user + used.system) / 1e6,
    rss_kb: process.resourceUsage().maxRSS,
  };
};
