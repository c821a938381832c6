/* live.spec.mjs: the live view with producers whose numbers are known: one screen, where the time goes, operations, losses,
 * freezing, tables and exports. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { openPage, REAL, serve, sharedBrowser } from "./helpers.mjs";
import { added, decoding, gauge, histogram, kernels, produce } from "./producing.mjs";

const shared = sharedBrowser();

const KERNELS = { tern_matmul: [0.075, 3e9, 0.06], attention: [0.025, 1e8, 0.005] };

async function openBoard(t, server, hash = "", options = {}) {
  const board = await openPage(t, shared, `${server.url}dashboard/${hash}`, options);
  await board.locator('body[data-link="open"]').waitFor();
  return board;
}

const row = (board, name) => board.locator("#producers > tbody > tr[data-instance]", { hasText: name });

async function threeProducers(t, server) {
  const all = [];
  for (const [name, rate] of [["tab", 118], ["cli", 236], ["server", 1904]]) {
    const p = await produce(t, server, { name, expected: name === "cli" ? { decode_rate: 472 } : {} });
    const s = name === "cli" ? kernels(KERNELS) : [];
    for (let i = 0; i < 5; i++) p.window({ ...decoding(rate), memory_slope_low: gauge(-5) }, { s });
    p.op({ id: 1, strategy: "avx2", units: 128, unit: "token", duration_s: 0.61 });
    all.push(p);
  }
  return all;
}

test("three producers, both charts, operations and health fit one screen of 1280 by 720", REAL, async (t) => {
  const server = await serve(t);
  const [, cli] = await threeProducers(t, server);
  const board = await openBoard(t, server, "", { viewport: { width: 1280, height: 720 } });
  await row(board, "server").waitFor();
  cli.op({ id: 2, op: "load", ok: false, error: "no such file: " + "a long name ".repeat(10) });
  await board.locator(".operations .below").waitFor();
  const size = () => board.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  assert.deepEqual(await size(), [1280, 720]);
  const cut = await board.evaluate(() =>
    [...document.querySelectorAll("#board .panel")].map((p) => [p.id, p.getBoundingClientRect().bottom]),
  );
  for (const [id, bottom] of cut) assert.ok(bottom <= 720, `${id} ends at ${bottom}`);
  await row(board, "cli").getByRole("button").click();
  assert.deepEqual(await size(), [1280, 720], "what a row opens scrolls inside its panel");
  board.assertClean();
});

test("the time of a profiled producer is shown by kernel, with its share of the roofline", REAL, async (t) => {
  const server = await serve(t);
  await threeProducers(t, server);
  const board = await openBoard(t, server);
  const bars = board.locator("#breakdown .bars li");
  await bars.first().waitFor();
  assert.equal(await board.locator("#time-of").textContent(), "B cli", "the first that says where its time goes");
  const texts = await bars.evaluateAll((all) => all.map((li) => [...li.children].map((e) => e.textContent)));
  assert.deepEqual(texts, [
    ["tern_matmul", "", "75 %", "40 GB/s · 80 %"],
    ["attention", "", "25 %", "4.0 GB/s · 20 %"],
  ]);
  const roofline = await board.locator(".roofline").textContent();
  const [, reached] = /^Decode reaches (\d+) % of the roofline, 472 tok\/s\.$/.exec(roofline) ?? [];
  assert.ok(reached > 40 && reached < 60, `236 of 472 tok/s are about a half: ${roofline}`);
  await row(board, "tab").locator('[data-column="model"]').click();
  await board.locator("#breakdown .nothing").getByText("run it with --profile").waitFor();
  assert.match(board.url(), /sel=[0-9a-f]{16}/);
  await board.reload();
  await board.locator("#time-of").getByText("A tab").waitFor();
  board.assertClean();
});

test("a request's stages stand in for kernels that nobody profiled", REAL, async (t) => {
  const server = await serve(t);
  const stages = ["tokenize_time", "prefill_time", "decode_time", "sample_time"];
  const metrics = stages.map((name) => ({ name, unit: "s", kind: "hist", min: 0, help: name }));
  const p = await produce(t, server, { metrics });
  const times = [0.01, 0.2, 0.7, 0.09];
  p.window(Object.fromEntries(stages.map((name, i) => [name, histogram([times[i]])])));
  const board = await openBoard(t, server);
  const shares = board.locator("#breakdown .share");
  await shares.first().waitFor();
  assert.deepEqual(await shares.allTextContents(), ["70 %", "20 %", "9.0 %", "1.0 %"]);
  board.assertClean();
});

test("a failed operation says why, and a producer that ends without a bye is lost", REAL, async (t) => {
  const server = await serve(t);
  const p = await produce(t, server, { name: "fragile" });
  p.window(decoding(100));
  p.op({ id: 183, op: "chat", strategy: "greedy", duration_s: 0.4, ok: false, error: "the model ran out of room" });
  p.op({ id: 184, op: "chat", strategy: "greedy", duration_s: 0.6, units: 128, unit: "token" });
  const board = await openBoard(t, server);
  const failed = board.locator("#operation-list tr", { hasText: "#183" });
  await failed.waitFor();
  assert.equal(await failed.locator(".outcome").textContent(), "failed");
  assert.equal(await board.locator("#operation-list .below").textContent(), "the model ran out of room");
  const fine = board.locator("#operation-list tr", { hasText: "#184" });
  assert.deepEqual(await fine.locator("td").allTextContents(), ["Afragile", "#184", "chat greedy", "128 tokens", "600 ms", "ok"]);
  p.end();
  await row(board, "fragile").locator(".state").getByText(/^lost/).waitFor();
  board.assertClean();
});

test("what a producer dropped or declared lost is in its row and in the health strip", REAL, async (t) => {
  const server = await serve(t);
  const p = await produce(t, server, { name: "lossy" });
  p.window({ ...decoding(100), memory_slope_low: gauge(2000) });
  p.gap(180);
  p.window(decoding(100), { dropped: 3 });
  const board = await openBoard(t, server);
  await row(board, "lossy").locator(".note").getByText("3 records dropped · 1 gap").waitFor();
  const health = await board.locator("#health-list li").allTextContents();
  assert.ok(health.includes("⚠warning: 3 records dropped (ring full) · 1 gap, 180 samples (spool full)"), health.join("; "));
  assert.ok(health.includes("✕bad: A lossy leaks at least 2.0 kB/s"), health.join("; "));
  await board.locator("#health-list li", { hasText: "clock sync ±" }).waitFor({ timeout: 10_000 });
  board.assertClean();
});

test("the header says what tracking costs, energy is per token, percentiles come from all windows", REAL, async (t) => {
  const server = await serve(t);
  const p = await produce(t, server, { name: "meter" });
  const overhead = { tracker_overhead: 0.003, tracker_overhead_low: 0.002, tracker_overhead_high: 0.004 };
  const cost = Object.fromEntries(Object.entries(overhead).map(([name, value]) => [name, gauge(value)]));
  p.window({ time_per_output_token: histogram(new Array(99).fill(0.004)), generation_tokens: added(99), energy_cpu: added(20) });
  p.window({ time_per_output_token: histogram([0.1]), generation_tokens: added(1), ...cost });
  const board = await openBoard(t, server);
  await board.locator("#link").getByText(/1 producer · tracker cost 0\.3 % ±0\.1 · 00:00:\d\d/).waitFor();
  const cells = row(board, "meter");
  assert.equal(await cells.locator('[data-column="energy"]').textContent(), "0.2 J/token");
  const [p50, p99] = (await cells.locator('[data-column="tpot"]').textContent()).match(/[\d.]+/g).map(Number);
  const BUCKET_ERROR = 1 / 32; /* docs/protocol.md */
  assert.ok(Math.abs(p50 - 4) <= 4 * BUCKET_ERROR + 0.05, `p50 ${p50} ms of 99 tokens at 4 ms and one at 100`);
  assert.ok(Math.abs(p99 - 4) <= 4 * BUCKET_ERROR + 0.05, `p99 ${p99} ms: the 99th of 100 is a fast one`);
  board.assertClean();
});

test("a frozen board stands still, records on, and its address opens the same board again", REAL, async (t) => {
  const server = await serve(t);
  const p = await produce(t, server, { name: "steady" });
  for (let i = 0; i < 5; i++) p.window(decoding(100));
  const board = await openBoard(t, server);
  await row(board, "steady").waitFor();
  await board.waitForTimeout(300); /* what is recorded next must be of a later millisecond than what is shown */
  await board.click("#freeze");
  await board.locator("#frozen").getByText("0 windows and 0 operations recorded since").waitFor();
  const decode = row(board, "steady").locator('[data-column="decode"]');
  const before = await decode.textContent();
  await board.waitForTimeout(50);
  for (let i = 0; i < 20; i++) p.window(decoding(900));
  p.op({ id: 1 });
  await board.locator("#frozen").getByText("20 windows and 1 operation recorded since").waitFor();
  assert.equal(await decode.textContent(), before);
  assert.equal(await board.locator("#operation-list tbody tr").count(), 0);
  assert.match(board.url(), /frozen=\d+/);

  const again = await openBoard(t, server, new URL(board.url()).hash);
  await again.locator("#frozen").getByText("20 windows and 1 operation recorded since").waitFor();
  assert.equal(await row(again, "steady").locator('[data-column="decode"]').textContent(), before);

  await board.click("#freeze");
  await board.locator("#operation-list tbody tr").waitFor();
  assert.match(await decode.textContent(), /^[4-9]\d\d tok\/s$/, "the fast windows were recorded");
  assert.doesNotMatch(board.url(), /frozen/);
  board.assertClean();
  again.assertClean();
});

test("every panel has a table, a copy as Markdown, and a place in the exports", REAL, async (t) => {
  const server = await serve(t);
  await threeProducers(t, server);
  const board = await openBoard(t, server);
  await board.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(server.url).origin });
  await row(board, "server").waitFor();
  const panels = ["now", "throughput", "time", "latency", "requests", "health"];
  for (const id of panels) {
    await board.locator(`#${id}`).getByRole("button", { name: "Table" }).click();
    await board.locator(`#${id} .as-table tbody tr`).first().waitFor();
    await board.locator(`#${id}`).getByRole("button", { name: "Copy" }).click();
    await board.locator(`#${id}`).getByText("Copied").waitFor();
    const copied = await board.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^### .+\n\n.+\n\n\| .+ \|\n\| [-: |]+ \|\n\| /, id);
  }
  assert.match(board.url(), new RegExp(`tables=${panels.join("%2C")}`));
  await board.reload();
  const latency = board.locator("#latency .as-table tbody tr").first();
  await latency.waitFor();
  const n = await latency.locator("td").allTextContents();
  assert.equal(n[1], String(5 * 12), "five windows of twelve tokens");

  const read = async (format) => {
    const [file] = await Promise.all([board.waitForEvent("download"), board.click(`#export-${format}`)]);
    assert.match(file.suggestedFilename(), new RegExp(`^bitnet-live-\\d{14}\\.${format}$`));
    return readFile(await file.path(), "utf8");
  };
  const { panels: exported, view } = JSON.parse(await read("json"));
  assert.equal(view, "live");
  assert.equal(exported.length, panels.length);
  const [now] = exported;
  assert.deepEqual(now.rows.map((cells) => cells[0]), ["A tab", "B cli", "C server"]);
  assert.ok(now.rows[2][3] > 1000, "the decode speed is a number");
  const lines = (await read("csv")).split("\r\n");
  assert.equal(lines[0].split(",")[0], "panel");
  assert.ok(lines.some((line) => line.startsWith("Where the time goes,tern_matmul,")), lines.join("\n"));
  board.assertClean();
});

test("alerts that began before the page listened are shown, and those that end go", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  let hub;
  const alert = { rule: "decode_rate < 0.7 * expected for 30s", producer: 1, metric: "decode_rate", value: 101, limit: 148 };
  const pending = { ...alert, rule: "memory > 1GB", state: "pending" };
  await page.route("**/performance/stats", (route) =>
    route.fulfill({ json: { alerts: [{ ...alert, state: "firing", since_ms: 1 }, pending] } }),
  );
  await page.routeWebSocket(/\/tracker$/, (ws) => {
    hub = (message) => ws.send(JSON.stringify(message));
    hub({ type: "welcome", proto: 1, hub: "bitnet", t_ms: Date.now() });
    hub({ type: "health", status: "ok", reasons: [], store: "ok" });
    hub({ type: "hello", producer: 1, name: "cli", instance: "aa", backend: "cpu", tier: "", threads: 1, model: "", metrics: [] });
  });
  await page.goto(`${server.url}dashboard/`);
  const alerts = page.locator("#health-list li", { hasText: "alert" });
  await alerts.getByText("alert: A cli: decode_rate < 0.7 * expected for 30s (now 101, limit 148)").waitFor();
  await page.locator("#health-list li", { hasText: "history is kept" }).waitFor();
  hub({ type: "alert", ...alert, state: "resolved", t_ms: 2 });
  await alerts.getByText("no alert fires").waitFor();
  page.assertClean();
});

/* A change of the address behind # is no navigation, which the driver now and then waits for all the same. */
const SAME_PAGE = { noWaitAfter: true };

test("the way back to a view leads to it as it was left", REAL, async (t) => {
  const server = await serve(t);
  await threeProducers(t, server);
  const board = await openBoard(t, server, "#live?range=10");
  await row(board, "server").waitFor();
  await board.getByRole("link", { name: "Traces" }).click(SAME_PAGE);
  await board.locator("#trace-open").waitFor();
  assert.equal(await board.locator("#view-live").isVisible(), false);
  await board.getByRole("link", { name: "Live" }).click(SAME_PAGE);
  await row(board, "server").waitFor();
  assert.equal(await board.locator("#range").inputValue(), "10");
  await board.goBack();
  await board.locator("#trace-open").waitFor();
  board.assertClean();
});

test("at the width of a phone everything is stacked and nothing sticks out", REAL, async (t) => {
  const server = await serve(t);
  await threeProducers(t, server);
  const board = await openBoard(t, server, "", { viewport: { width: 375, height: 812 } });
  await row(board, "server").waitFor();
  assert.equal(await board.evaluate(() => document.documentElement.scrollWidth), 375);
  const charts = await board.locator("#rate-chart canvas, #ecdf canvas").evaluateAll((all) => all.map((c) => c.clientWidth));
  for (const width of charts) assert.ok(width > 250, `a chart is ${width} wide`);
  board.assertClean();
});
