/* board.spec.mjs: the dashboard without a browser: messages in, numbers out.
 *
 * The modules under web/ are bundled here as they are and called directly. The messages are those of
 * docs/protocol.md, so the page that describes the protocol cannot drift from the code that reads it.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const ROOT = new URL("../../../", import.meta.url);

async function importTs(...names) {
  const contents = names.map((name) => `export * from "./web/${name}";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(ROOT), loader: "ts" },
    bundle: true,
    format: "esm",
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

const board = await importTs(
  "shared/format.ts",
  "dashboard/histogram.ts",
  "dashboard/protocol.ts",
  "dashboard/columns.ts",
  "dashboard/derive.ts",
  "dashboard/store.ts",
  "dashboard/socket.ts",
  "dashboard/charts.ts",
  "dashboard/freeze.ts",
  "dashboard/grid.ts",
  "dashboard/router.ts",
  "dashboard/ratio.ts",
  "dashboard/breakdown.ts",
  "dashboard/health.ts",
  "dashboard/trace_parse.ts",
);

const T0 = 1_795_000_000_000;

/* Prints the bucket of each argument, then quantiles of all of them, then every edge. */
const HISTOGRAM_C = `
#include <stdio.h>
#include <stdlib.h>
#include "bitnet/histogram.h"
static bitnet_histogram h;
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        printf("%d\\n", (int)bitnet_histogram_bucket_of(strtod(argv[i], NULL)));
        bitnet_histogram_add(&h, strtod(argv[i], NULL));
    }
    const double shares[] = {0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1};
    for (int i = 0; i < 8; i++) printf("%.17g\\n", bitnet_histogram_quantile(&h, shares[i]));
    for (int i = 0; i <= BITNET_HISTOGRAM_BUCKETS; i++) printf("%.17g\\n", bitnet_histogram_edge(i));
    return 0;
}
`;

/** Every JSON message in docs/protocol.md, as the hub would send it to a viewer. */
async function documentedMessages() {
  const page = await readFile(new URL("docs/protocol.md", ROOT), "utf8");
  const blocks = [...page.matchAll(/```json\n([\s\S]*?)```/g)].flatMap(([, block]) => block.trim().split(/\n(?=\{)/));
  return blocks.map((block) => JSON.parse(block));
}

function hello(producer, instance, more = {}) {
  const metrics = [{ name: "time_per_output_token", unit: "s", kind: "hist", help: "one decode step" }];
  const fields = { name: "cli", backend: "cpu", tier: "avx2", threads: 2, model: "bitnet-tales", metrics };
  return { type: "hello", producer, proto: 1, role: "producer", instance, ...fields, ...more };
}

function decodeWindow(producer, seq, t_ms, n, secondsEach) {
  const tpot = {
    n,
    sum: n * secondsEach,
    min: secondsEach * 0.5,
    max: secondsEach * 2,
    last: secondsEach,
    b: [board.bucketOf(secondsEach), n],
  };
  return { type: "window", producer, seq, t_ms, span_ms: 100, dropped: 0, m: { time_per_output_token: tpot } };
}

function storeOf(messages, now = T0) {
  const store = new board.Store();
  const all = [{ type: "welcome", proto: 1, hub: "bitnet 0.1.0", t_ms: T0 }, ...messages];
  for (const message of all) store.apply(board.parseHubMessage(JSON.stringify(message)), now);
  return store;
}

function close(actual, expected, relative, what) {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `${what}: got ${actual}, expected ${expected} within ${relative * 100} %`,
  );
}

test("every message of docs/protocol.md that a viewer hears is understood", async () => {
  const messages = await documentedMessages();
  const heardByViewers = new Set(["welcome", "hello", "window", "op", "gap", "clock", "bye", "alert", "health"]);
  const seen = new Map();
  for (const message of messages) {
    if (message.role === "viewer" || !heardByViewers.has(message.type)) continue;
    const parsed = board.parseHubMessage(JSON.stringify({ producer: 3, ...message }));
    assert.ok(parsed, `not understood: ${JSON.stringify(message)}`);
    seen.set(parsed.type, parsed);
  }
  assert.deepEqual([...seen.keys()].sort(), [...heardByViewers, "missed"].sort());
  const { hello, op, gap, missed, clock, alert, health } = Object.fromEntries(seen);
  assert.equal(hello.metrics.get("time_per_output_token").unit, "s");
  assert.equal(hello.expected.get("decode_rate"), 212);
  assert.equal(hello.host, "AMD EPYC 9B14, 2 CPUs");
  const window = messages.find((m) => m.type === "window" && m.s);
  const { m, s } = board.parseHubMessage(JSON.stringify({ producer: 3, ...window }));
  assert.deepEqual(m.get("time_per_output_token").b, [314, 3, 317, 5, 322, 1]);
  assert.deepEqual([s[0].name, s[0].labels.get("kernel"), s[0].sum], ["kernel_time", "tern_matmul", 0.004]);
  assert.deepEqual([op.op, op.ok, op.duration_s, op.units, op.unit], ["generate", true, 1.25, 128, "token"]);
  assert.deepEqual([gap.seq, gap.to, gap.n, gap.reason], [3, 40, 180, "spool_full"]);
  assert.equal(missed.n, 40);
  assert.deepEqual([clock.offset_ms, clock.error_ms], [0.412, 0.205]);
  assert.deepEqual([alert.rule, alert.state, alert.value, alert.limit], ["decode_rate < 0.7 * expected for 30s", "firing", 101, 148.4]);
  assert.deepEqual([health.status, health.reasons.length, health.store], ["degraded", 1, "ok"]);
});

test("a number on the wire becomes text with a unit, and a missing one a dash", () => {
  const cases = [
    [0.038, "s", "38 ms"],
    [0.00082, "s", "820 µs"],
    [0.0083, "s", "8.3 ms"],
    [1.24, "s", "1.2 s"],
    [18_350_080, "By", "18 MB"],
    [211.6, "{token}/s", "212 tok/s"],
    [1904, "{token}/s", "1,904 tok/s"],
    [0, "{token}", "0 tokens"],
    [1, "{token}", "1 token"],
    [0.805, "1", "81 %"],
    [0, "1", "0 %"],
    [NaN, "s", "–"],
    [null, "1", "–"],
    [undefined, "By", "–"],
  ];
  for (const [value, unit, text] of cases) assert.equal(board.quantity(value, unit), text);
});

test("messages that are not of the protocol are dropped, whatever they are", () => {
  const bad = [
    "",
    "{",
    "null",
    "[]",
    '"window"',
    '{"type":"window"}',
    '{"type":"window","producer":"1","seq":1,"t_ms":1}',
    '{"type":"window","producer":1,"seq":1,"t_ms":1e999}',
    '{"type":"hello","producer":1}',
    '{"type":"news"}',
  ];
  for (const json of bad) assert.equal(board.parseHubMessage(json), undefined, json);
});

test("a metric called __proto__ is only a metric", () => {
  const json = '{"type":"window","producer":1,"seq":1,"t_ms":5,"m":{"__proto__":{"n":1,"sum":2,"last":2}}}';
  assert.equal(board.parseHubMessage(json).m.get("__proto__").last, 2);
  assert.equal({}.last, undefined);
});

test("decode speed is steps over step time in the last active second", () => {
  const slowThenFast = [1, 2, 3, 4].map((i) => decodeWindow(7, i, T0 + 500 * i, 10, i < 3 ? 0.02 : 0.005));
  const store = storeOf([hello(7, "aa"), ...slowThenFast]);
  const [p] = store.rows();
  /* windows 2, 3 and 4 ended within a second of the newest: 30 steps in 0.2 + 0.05 + 0.05 s */
  close(board.decodeRate(p.columns), 100, 1e-9, "tokens per second");
});

test("a producer that measured nothing has no speed rather than speed zero", () => {
  const [p] = storeOf([hello(7, "aa")]).rows();
  assert.equal(board.quantity(board.decodeRate(p.columns), "{token}/s"), "–");
  assert.equal(board.quantity(board.lastValue(p.columns, "memory"), "By"), "–");
});

test("quantiles of many windows are those of all their values, within a bucket", () => {
  const BUCKET_ERROR = 1 / 32; /* half a bucket, of the value (histogram.h) */
  let seed = 12345;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const values = Array.from({ length: 2000 }, () => 0.005 * Math.exp(0.4 * (random() + random() + random() - 1.5)));
  const columns = new board.Columns();
  for (let i = 0; i < 100; i++) {
    const some = values.slice(20 * i, 20 * i + 20);
    const counts = new Map();
    for (const bucket of some.map(board.bucketOf)) counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    const b = [...counts].sort(([x], [y]) => x - y).flat();
    const m = { n: 20, sum: some.reduce((x, y) => x + y), min: Math.min(...some), max: Math.max(...some), last: some[7], b };
    columns.append({ t_ms: T0 + 100 * i, span_ms: 100, m: new Map([["time_per_output_token", m]]), s: [] });
  }
  const sorted = [...values].sort((a, b) => a - b);
  const shares = [0.01, 0.5, 0.95, 0.99, 1];
  const found = board.recentQuantiles(columns, "time_per_output_token", shares);
  shares.forEach((share, i) => {
    const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    close(found[i], exact, BUCKET_ERROR, `quantile ${share}`);
  });
});

test("buckets and percentiles are those of core/tracker/histogram.c, bit for bit", async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "bitnet-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const source = path.join(folder, "main.c");
  await writeFile(source, HISTOGRAM_C);
  const at = (name) => fileURLToPath(new URL(name, ROOT));
  const sources = [source, at("core/tracker/histogram.c"), at("core/base/base.c")];
  const program = path.join(folder, "main");
  const includes = ["-I", at("core/include"), "-I", at("core")];
  await promisify(execFile)(process.env.CC || "cc", ["-std=c11", ...includes, ...sources, "-lm", "-o", program]);
  const random = Array.from({ length: 500 }, (_, i) => Math.abs(Math.sin(i + 1)) * 10 ** ((i % 25) - 12));
  const edges = Array.from({ length: board.BUCKETS + 1 }, (_, i) => board.bucketEdge(i));
  const values = [0, -1, 1e-300, 1e300, ...random, ...edges, ...edges.map((x) => x * (1 - 2 ** -53))];
  const { stdout } = await promisify(execFile)(program, values.map(String));
  const lines = stdout.trim().split("\n");
  const all = new board.Histogram();
  values.forEach((value, i) => {
    assert.equal(String(board.bucketOf(value)), lines[i], `the bucket of ${value}`);
    all.add([board.bucketOf(value), 1]);
  });
  const shares = [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1];
  const theirs = lines.slice(values.length).map(Number);
  assert.deepEqual(shares.map((share) => all.quantile(share)), theirs.slice(0, shares.length));
  assert.deepEqual(edges, theirs.slice(shares.length));
});

test("buckets that are not ascending, or counts that are none, are no buckets", () => {
  const metric = (b) => {
    const m = { x: { n: 1, sum: 1, b } };
    return board.parseHubMessage(JSON.stringify({ type: "window", producer: 1, seq: 1, t_ms: 5, m })).m.get("x").b;
  };
  assert.deepEqual(metric([3, 1, 900, 2]), [3, 1, 900, 2]);
  for (const b of [[3], [3, 0], [3, 1, 3, 1], [5, 1, 3, 1], [1024, 1], [-1, 1], [1.5, 1], [3, "1"], "3,1", { 0: 3 }]) {
    assert.deepEqual(metric(b), [], JSON.stringify(b));
  }
});

test("windows the hub replays after a reconnection are counted once", () => {
  const windows = [1, 2, 3].map((i) => decodeWindow(7, i, T0 + 100 * i, 10, 0.01));
  const store = storeOf([hello(7, "aa"), ...windows]);
  store.disconnected();
  const again = [{ type: "welcome", hub: "bitnet", t_ms: T0 + 900 }, hello(7, "aa"), ...windows];
  for (const m of again) store.apply(board.parseHubMessage(JSON.stringify(m)), T0 + 900);
  const [p] = store.rows();
  assert.equal(p.columns.length, 3);
  assert.equal(p.missed, 0);
});

test("a producer keeps its key and its columns when a restarted hub numbers it anew", () => {
  const store = storeOf([hello(1, "aa"), hello(2, "bb"), decodeWindow(2, 9, T0 + 100, 10, 0.01)]);
  store.disconnected();
  const after = [
    { type: "welcome", hub: "bitnet", t_ms: T0 + 9000 },
    hello(1, "bb"),
    decodeWindow(1, 12, T0 + 9100, 1, 0.01),
  ];
  for (const m of after) store.apply(board.parseHubMessage(JSON.stringify(m)), T0 + 9000);
  const b = store.producers.get("bb");
  assert.equal(b.key, "B");
  assert.equal(b.columns.length, 2);
  assert.equal(b.missed, 2, "windows 10 and 11 were sent while there was no hub");
  store.forgetOld(T0 + 9000 + 7000);
  assert.equal(store.producers.get("aa").state(T0 + 16000), "lost", "the new hub never named it");
  assert.equal(store.producers.get("bb").ended, false);
});

test("the end of an older connection does not end the instance that came back", () => {
  const store = storeOf([hello(1, "aa"), hello(2, "aa"), { type: "bye", producer: 1, reason: "lost" }]);
  assert.equal(store.producers.size, 1);
  assert.equal(store.rows()[0].ended, false);
});

test("live, idle, silent, ended and lost follow from what was heard and when", () => {
  const now = T0 + 100;
  const store = storeOf([hello(1, "aa"), decodeWindow(1, 1, T0 + 100, 10, 0.01)], T0);
  const [p] = store.rows();
  assert.equal(p.state(now), "live");
  assert.equal(p.state(now + 4_000), "idle");
  assert.equal(p.stateAge(now + 4_000), 4_000);
  assert.equal(p.state(now + 20_000), "silent");
  store.apply({ type: "bye", producer: 1, reason: "done" }, T0 + 20_000);
  assert.equal(p.state(now + 20_000), "ended");
  store.apply({ type: "bye", producer: 1, reason: "lost" }, T0 + 20_000);
  assert.equal(p.state(now + 20_000), "lost");
});

test("a producer whose clock is wrong is placed by the hub's clock", () => {
  const store = storeOf([hello(1, "aa")]);
  const now = T0 + 10_000; /* long after welcome, so this window is not a replay */
  store.apply(board.parseHubMessage(JSON.stringify(decodeWindow(1, 1, now + 3_600_000, 10, 0.01))), now);
  const [p] = store.rows();
  assert.equal(p.clockOffMs, 3_600_000);
  assert.equal(p.state(now + 100), "live");
});

test("columns keep the newest windows, in order, however many come", () => {
  const columns = new board.Columns();
  for (let i = 0; i < 5000; i++) {
    const m = new Map(i % 2 ? [["memory", { n: 1, sum: i, last: i, min: i, max: i, b: [] }]] : []);
    columns.append({ t_ms: T0 + 100 * i, span_ms: 100, m, s: [] });
  }
  const memory = columns.metrics.get("memory");
  assert.ok(columns.length >= 600, `${columns.length} windows kept, a minute is 600`);
  for (let i = 0; i < columns.length; i++) {
    const which = (columns.t[i] - T0) / 100;
    assert.equal(which, 5000 - columns.length + i);
    assert.deepEqual(memory.last[i], which % 2 ? which : NaN);
  }
});

test("reconnection waits grow to ten seconds and never fall in step", () => {
  const waits = [0, 1, 2, 3, 4, 5, 20].map((attempt) => board.backoffMs(attempt, 0.999));
  assert.deepEqual(waits, [500, 1000, 2000, 3999, 7998, 9998, 9998]);
  assert.ok(board.backoffMs(5, 0) <= 8_000, "a fifth of the wait is random");
});

test("a chart's bin holds the windows that ended in it, and a bin without any is a hole", () => {
  const windows = [
    decodeWindow(1, 1, T0 + 1_050, 10, 0.01),
    decodeWindow(1, 2, T0 + 1_150, 30, 0.02),
    decodeWindow(1, 3, T0 + 5_000, 10, 0.01),
  ];
  const [p] = storeOf([hello(1, "aa"), ...windows]).rows();
  const line = board.binned(p, "time_per_output_token", T0, board.rate);
  assert.equal(line.length, 301, "a minute in bins of 200 ms");
  close(line[5], 40 / 0.7, 1e-9, "bin 5 has windows 1 and 2: 40 steps in 0.1 + 0.6 s");
  close(line[25], 100, 1e-9, "bin 25 has window 3");
  assert.equal(line.filter((y) => y !== null).length, 2);
});

test("one outlier does not flatten a chart of times, but a speed is shown up to its top", () => {
  const times = [...Array.from({ length: 99 }, () => 0.001), 0.6];
  assert.ok(board.yTop([times], [times]) < 0.01);
  assert.ok(board.yTop([times], []) > 0.6);
  assert.equal(board.yTop([[null, null]], []), 1, "an empty chart still has an axis");
});

test("what a gap stands for is not missed, and what no gap stands for is", () => {
  const gap = { type: "gap", producer: 7, seq: 2, to: 9, n: 180, reason: "spool_full" };
  const told = [hello(7, "aa"), decodeWindow(7, 1, T0 + 100, 10, 0.01), gap, decodeWindow(7, 10, T0 + 900, 10, 0.01)];
  const [p] = storeOf(told).rows();
  assert.equal(p.missed, 0);
  assert.deepEqual(p.gaps.map(({ seq, to, n }) => [seq, to, n]), [[2, 9, 180]]);
  const [q] = storeOf([told[0], told[1], told[3]]).rows();
  assert.equal(q.missed, 8);
});

test("a clock that the hub has measured places windows that came before it and after it", () => {
  const ahead = 3_600_000;
  const clock = { type: "clock", producer: 7, offset_ms: ahead, error_ms: 0.2 };
  const [p] = storeOf([hello(7, "aa"), decodeWindow(7, 1, T0 + 100 + ahead, 10, 0.01), clock]).rows();
  assert.equal(p.heardAt, T0 + 100);
  assert.equal(p.state(T0 + 200), "live");
});

test("a frozen board takes nothing from after it was frozen, and loses nothing of it", () => {
  const recorder = new board.Recorder();
  const apply = (m) => recorder.apply(board.parseHubMessage(JSON.stringify(m)), T0);
  const op = (seq, t_ms) => ({ type: "op", producer: 7, seq, t_ms, id: seq, op: "x", strategy: "", duration_s: 1, ok: true });
  for (const m of [{ type: "welcome", hub: "bitnet", t_ms: T0 }, hello(7, "aa"), decodeWindow(7, 1, T0 + 100, 10, 0.01)]) apply(m);
  recorder.freeze(T0 + 500);
  for (const m of [decodeWindow(7, 2, T0 + 400, 10, 0.01), decodeWindow(7, 3, T0 + 600, 10, 0.01), op(4, T0 + 700)]) apply(m);
  const lengths = () => [recorder.shown, recorder.recording].map((s) => s.rows()[0].columns.length);
  assert.deepEqual(lengths(), [2, 3], "window 2 belongs to the time before, window 3 does not");
  assert.deepEqual([recorder.windowsSince, recorder.operationsSince], [1, 1]);
  assert.equal(recorder.viewNow(T0 + 9_000), T0 + 500);
  recorder.resume();
  assert.deepEqual(lengths(), [3, 3]);
  assert.equal(recorder.shown.operations.length, 1);
});

test("cells that a spreadsheet would compute get an apostrophe, numbers do not", () => {
  const cases = [
    ["=1+1", "'=1+1"],
    ["+cmd", "'+cmd"],
    ["-cmd|'/c'", "'-cmd|'/c'"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", "\"'\r=1\""],
    ["-5.5e3", "-5.5e3"],
    [-5.5, "-5.5"],
    ['say "hi", twice', '"say ""hi"", twice"'],
    ["two\nlines", '"two\nlines"'],
    [null, ""],
    [NaN, ""],
  ];
  for (const [cell, text] of cases) assert.equal(board.csvCell(cell), text);
  const grid = { columns: [{ name: "who" }, { name: "speed", unit: "{token}/s" }], rows: [["=A1", 211.6]] };
  const titled = { title: "Now", help: "Who | what", grid };
  assert.equal(board.csv([titled]), "panel,who,speed (tok/s)\r\nNow,'=A1,211.6\r\n");
  assert.match(board.markdown({ ...titled, grid: { ...grid, rows: [["<b>|[x](y)", 211.6]] } }), /\\<b\\>\\\|\\\[x\\\]\(y\) \| 212 tok\/s/);
  assert.deepEqual(JSON.parse(board.json([titled], { view: "live" })).panels[0].rows, [["=A1", 211.6]]);
});

test("names are cut, and what would act on the text around them is shown as such", () => {
  assert.equal(board.text("x".repeat(65_536)).length, 201, "200 characters and an ellipsis");
  assert.equal(board.text("a\u0000b\u202ec\u2066d\ne"), "a\ufffdb\ufffdc\ufffdd\ufffde");
  assert.equal(board.text("\u05e9\u05dc\u05d5\u05dd \u{1f600}"), "\u05e9\u05dc\u05d5\u05dd \u{1f600}", "letters of any script stay");
  const pair = "x".repeat(199) + "\u{1f600}";
  assert.equal(board.text(pair), "x".repeat(199) + "…", "no half of a pair");
});

test("of ten thousand series a thousand are kept and the others counted", () => {
  const columns = new board.Columns();
  for (let w = 0; w < 100; w++) {
    const s = Array.from({ length: 100 }, (_, i) => {
      return { name: "kernel_time", labels: new Map([["kernel", `k${w}-${i}`]]), n: 1, sum: 1, b: [] };
    });
    columns.append({ t_ms: T0 + w, m: new Map(), s });
  }
  assert.equal(columns.series.size, 1000);
  assert.equal(columns.seriesLeftOut, 9000);
  const parts = board.partsOf(columns);
  assert.equal(parts.length, 8);
  assert.deepEqual([parts[7].label, parts[7].seconds], ["993 others", 993]);
});

test("an address is read and written without loss, and an unknown one is the live view", () => {
  const settings = { sel: "9f", metric: "a&b=c?d#e", range: "10" };
  const place = board.parsePlace(board.placeHash("history", settings));
  assert.equal(place.view, "history");
  assert.deepEqual(Object.fromEntries(place.settings), settings);
  assert.equal(board.parsePlace("#nonsense?x=1").view, "live");
});

/* Windows whose means are `mean` with noise, from a fixed seed. */
function noisy(mean, n, seed, noise = 0.05) {
  let x = seed;
  const random = () => (x = (x * 16807) % 2147483647) / 2147483647;
  return Array.from({ length: n }, () => ({ sum: 10 * mean * (1 + noise * (random() + random() - 1)), n: 10 }));
}

test("a ratio's verdict is beyond the effect, within it, or undecided", () => {
  const base = noisy(1, 200, 11);
  const verdict = (b, effect = 0.02) => board.verdictOf(board.ratioOf(base, b), effect);
  assert.equal(verdict(noisy(1.1, 200, 12)), "higher");
  assert.equal(verdict(noisy(0.9, 200, 13)), "lower");
  assert.equal(verdict(noisy(1.001, 200, 14)), "same");
  assert.equal(verdict(noisy(1.02, 200, 15)), "undecided", "an effect of just the size asked about");
  assert.equal(verdict(noisy(1.1, 6, 16, 2)), "undecided", "six windows that vary by their whole size");
  assert.equal(board.ratioOf(base, noisy(1, 4, 17)), undefined, "four windows say nothing of how they vary");
  const { ratio, low, high } = board.ratioOf(base, noisy(1.1, 200, 12));
  assert.ok(low < ratio && ratio < high && high - low < 0.02, `${low} < ${ratio} < ${high}`);
  assert.deepEqual(board.ratioOf(base, noisy(1.1, 200, 12)), { ratio, low, high }, "the seed is fixed");
});

test("the interval of a ratio of equal runs excludes 1 about as often as it says", () => {
  const RUNS = 200;
  const EXCLUDED_MOST = 0.12; /* 5 % by construction; a percentile bootstrap of 40 windows is a little narrow */
  let excluded = 0;
  for (let i = 0; i < RUNS; i++) {
    const { low, high } = board.ratioOf(noisy(1, 40, 1000 + i, 0.2), noisy(1, 40, 5000 + i, 0.2));
    if (low > 1 || high < 1) excluded++;
  }
  assert.ok(excluded > 0 && excluded / RUNS < EXCLUDED_MOST, `${excluded} of ${RUNS} intervals exclude 1`);
});

test("slices of a trace are nested by time, and own times leave out what lies inside", () => {
  const events = [
    { ph: "M", pid: 1, tid: 1, name: "thread_name", args: { name: "engine" } },
    { ph: "X", pid: 1, tid: 1, ts: 100, dur: 50, name: "layer", args: { layer: 0 } },
    { ph: "X", pid: 1, tid: 1, ts: 100, dur: 30, name: "matmul" },
    { ph: "X", pid: 1, tid: 1, ts: 130, dur: 15, name: "matmul" },
    { ph: "B", pid: 1, tid: 2, ts: 110, name: "wait" },
    { ph: "E", pid: 1, tid: 2, ts: 120 },
    { ph: "i", pid: 1, tid: 2, ts: 120, name: "mark" },
  ];
  for (const file of [JSON.stringify({ traceEvents: events }), JSON.stringify(events)]) {
    const { trace, args } = board.parseTrace(file);
    assert.deepEqual(trace.threads.map(({ label, depth }) => [label, depth]), [["engine", 2], ["thread 2", 1]]);
    assert.deepEqual([...trace.start], [0, 0, 30, 10]);
    assert.deepEqual([...trace.length], [50, 30, 15, 10]);
    assert.deepEqual([...trace.self], [5, 30, 15, 10]);
    assert.deepEqual(trace.totals.map((t) => [t.name, t.count, t.total, t.self]), [["matmul", 2, 45, 45], ["wait", 1, 10, 10], ["layer", 1, 50, 5]]);
    assert.deepEqual(args[0], { layer: 0 });
    assert.deepEqual([trace.span, trace.leftOut], [50, 1]);
  }
});

test("what is no trace is refused with a sentence", () => {
  const cases = [
    ["hello", /not JSON/],
    ["{}", /neither a list "traceEvents"/],
    ['{"traceEvents":3}', /neither a list/],
    ["[1]", /one of its events is no object/],
    ["[]", /holds no slices/],
    ['[{"ph":"X","name":"a"}]', /holds no slices/],
  ];
  for (const [file, why] of cases) assert.throws(() => board.parseTrace(file), why, file);
});

test("health says what was lost and why, what leaks, and what nobody measured", () => {
  const told = [
    hello(7, "aa"),
    { ...decodeWindow(7, 1, T0, 10, 0.01), dropped: 3 },
    { type: "gap", producer: 7, seq: 2, to: 9, n: 180, reason: "spool_full" },
    { type: "window", producer: 7, seq: 10, t_ms: T0, span_ms: 1, dropped: 3, m: { memory_slope_low: { n: 1, sum: 2000, last: 2000 } } },
    { type: "clock", producer: 7, offset_ms: 0.4, error_ms: 0.2 },
    { type: "alert", rule: "decode_rate < 5", producer: 7, metric: "decode_rate", state: "firing", value: 4, limit: 5, t_ms: T0 },
    { type: "health", status: "degraded", reasons: ["the disk is full"], store: "full" },
  ];
  const items = new Map(board.healthItems(storeOf(told)).map((item) => [item.about, item]));
  const found = (about) => `${items.get(about).level}: ${items.get(about).text}`;
  assert.equal(found("losses"), "warn: 3 records dropped (ring full) · 1 gap, 180 samples (spool full)");
  assert.equal(found("leaks"), "bad: A cli leaks at least 2.0 kB/s");
  assert.equal(found("clocks"), "good: clock sync ±0.2 ms");
  assert.equal(found("alerts"), "bad: alert: A cli: decode_rate < 5 (now 4.0, limit 5.0)");
  assert.equal(found("store"), "bad: store: the disk is full");
  assert.equal(found("hub"), "warn: hub degraded: the disk is full");
  const nothing = board.healthItems(storeOf([hello(7, "aa")])).map(({ about, level }) => `${about} ${level}`);
  assert.deepEqual(nothing, ["alerts unknown", "clocks unknown", "losses good", "store unknown", "leaks unknown"]);
});
