/* remembered.mjs: what a hub with a store answers, for specs of the history and compare views: runs whose
 * numbers are computed from a seed, in the shape of docs/serve.md. */

const STARTED_MS = 1_795_000_000_000;
const POINTS = 120;

function randomSource(seed) {
  let x = seed;
  return () => (x = (x * 16807) % 2147483647) / 2147483647;
}

/** A run that decodes with `rate` tokens/s. */
export function run(id, { rate = 200, seed = 7, ...more } = {}) {
  const random = randomSource(seed);
  const started_ms = STARTED_MS + seed * 3_600_000;
  const facts = { name: "cli", instance: "9f86d081884c7d65", backend: "cpu", tier: "avx512vnni", threads: 2 };
  const made = { model: "bitnet-tales", host: "AMD EPYC 9B14, 2 CPUs", build: "0.1.0 19cf141" };
  const times = { started_ms, heard_ms: started_ms + 30_000, ended_ms: started_ms + 30_000, reason: "done" };
  const points = Array.from({ length: POINTS }, (_, i) => {
    const n = Math.round(rate / 4);
    const each = (1 / rate) * (1 + 0.06 * (random() - 0.5));
    const quantiles = { p50: each * 0.98, p95: each * 1.2, p99: each * 1.5 };
    const rest = { min: each * 0.8, max: each * 2, last: each, ...quantiles };
    return { t_ms: started_ms + 250 * (i + 1) + (i > 60 ? 4_000 : 0), span_ms: 250, n, sum: n * each, ...rest };
  });
  const memory = points.map(({ t_ms, span_ms }, i) => {
    const bytes = 18e6 + 1000 * i;
    return { t_ms, span_ms, n: 1, sum: bytes, min: bytes, max: bytes, last: bytes, p50: null, p95: null, p99: null };
  });
  const n = points.reduce((sum, p) => sum + p.n, 0);
  const sum = points.reduce((total, p) => total + p.sum, 0);
  const statistics = { n, sum, min: 0.8 / rate, max: 2 / rate, mean: sum / n };
  const none = { p50: null, p90: null, p95: null, p99: null };
  const metrics = [
    {
      name: "time_per_output_token", unit: "s", kind: "hist", help: "one decode step", labels: null, ...statistics,
      p50: 0.98 / rate, p90: 1.1 / rate, p95: 1.2 / rate, p99: 1.5 / rate,
    },
    {
      name: "memory", unit: "By", kind: "gauge", help: "resident memory", labels: null, n: POINTS,
      sum: 18.06e6 * POINTS, min: 18e6, max: 18.12e6, mean: 18.06e6, ...none,
    },
    {
      name: "generation_tokens", unit: "{token}", kind: "counter", help: "tokens sampled", labels: null, n, sum: n,
      min: 1, max: 1, mean: 1, ...none,
    },
  ];
  const operations = [
    { id: 1, parent: 0, op: "generate", strategy: "avx512vnni", duration_s: 1.25, ok: true, units: 128, unit: "token" },
    { id: 2, parent: 0, op: "load", strategy: "mmap", duration_s: 0.01, ok: false, error: "no such file" },
  ].map((op, i) => ({ ...op, t_ms: started_ms + 1000 * (i + 1) }));
  return {
    run: { id, ...facts, ...made, ...times, last_seq: POINTS, samples: 2 * POINTS, lost_samples: 180, clock: null, ...more },
    metrics,
    gaps: [{ seq: 61, to: 76, n: 180, reason: "spool_full", t_ms: started_ms + 17_000 }],
    operations,
    points: { time_per_output_token: points, memory, generation_tokens: points.map((p) => ({ ...p, sum: p.n })) },
  };
}

/** Answers the page's questions about `runs`; `asked` collects them. */
export async function remember(page, runs, asked = []) {
  await page.route("**/performance/history*", (route) => {
    const query = new URL(route.request().url()).searchParams;
    asked.push(Object.fromEntries(query));
    if (!query.has("run")) return route.fulfill({ json: { runs: runs.map(({ run }) => run) } });
    const found = runs.find(({ run }) => run.id === query.get("run"));
    if (!found) return route.fulfill({ status: 404, json: { error: { message: "there is no such run" } } });
    const { points, ...details } = found;
    if (!query.has("metric")) return route.fulfill({ json: details });
    const metric = details.metrics.find(({ name }) => name === query.get("metric"));
    const { name, unit, kind } = metric;
    const resolution = query.get("resolution") === "auto" ? "raw" : query.get("resolution");
    return route.fulfill({ json: { run: details.run.id, metric: name, unit, kind, resolution, points: points[name] } });
  });
  await page.route("**/performance/export*", (route) => {
    const query = new URL(route.request().url()).searchParams;
    asked.push({ method: route.request().method(), ...Object.fromEntries(query) });
    const name = `run.${query.get("format")}`;
    return route.fulfill({ body: "exported", headers: { "Content-Disposition": `attachment; filename="${name}"` } });
  });
}
